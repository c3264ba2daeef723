"""Text of users on a terminal: control characters as escape sequences, so that they cannot change what is shown."""

from __future__ import annotations

import re
from typing import TextIO

_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 controls, except tab and line feed
    r"\u2028\u2029\u202a-\u202e\u2066-\u2069"  # line and paragraph separators, bidirectional embeddings, isolates
    r"\ud800-\udfff]"  # surrogates, as in names of files that are not UTF-8
)
_LINE_BREAKS = {"\n": r"\n", "\t": r"\t"}


def printable(text: str) -> str:
    r"""Return the text with control characters as escape sequences such as \x1b; tabs and line feeds stay."""
    return _UNSAFE.sub(_escape, text) if not text.isprintable() else text


def one_line(text: str) -> str:
    """Return the text as `printable` does, with tabs and line feeds as escape sequences too."""
    if text.isprintable():
        return text
    return printable("".join(_LINE_BREAKS.get(character, character) for character in text))


def cell(text: str) -> str:
    """Return a text as a cell of tab-separated output: runs of white space become a space, then as `printable`."""
    return printable(" ".join(text.split()))


def print_line(text: str, file: TextIO | None = None) -> None:
    """Print a line, or several, as `printable` returns it; `file` defaults to standard output."""
    print(printable(text), file=file, flush=True)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
