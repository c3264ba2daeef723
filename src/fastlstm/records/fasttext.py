"""Rows of a fastText file: `__label__name` and the text, one of each a line."""

from __future__ import annotations

import re
from pathlib import Path

from fastlstm.errors import DataError
from fastlstm.records.checks import Rows
from fastlstm.records.files import open_text

_LINE = re.compile(r"\s*__label__(?P<label>\S*)(?P<text>.*)", re.DOTALL)
_LABEL = re.compile(r"(?<!\S)__label__")


def fasttext_rows(path: Path, source: str) -> Rows:
    """One row a line, numbered by line; blank lines are skipped.

    Raises `DataError`, with the line's number, unless a line has exactly one label, at its
    beginning. fastText itself takes several; a classifier of one class a text can't.
    """
    with open_text(path, newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            match = _LINE.fullmatch(line)
            if match is None:
                raise DataError(
                    f"line {number} of {source}: no __label__ at its beginning; expected '__label__name text'"
                )
            text = match["text"].strip()
            if _LABEL.search(text):
                raise DataError(
                    f"line {number} of {source}: more than one __label__ came, expected one; "
                    "several labels a text are not supported"
                )
            yield number, text, match["label"]
