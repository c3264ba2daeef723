"""Text that comes in pieces, cut anywhere -> stretches of it that end where no token can go on."""

from __future__ import annotations

import re

from fastlstm.text.tokenizer import CHINESE, HTML_BREAK

MAX_PENDING = 10_000
"""Characters that are held back; a longer stretch without an end is cut there, so that memory does not grow."""

_SPACES = " \t\n\r\f\v"
"""What parts tokens by any definition of white space."""
_BREAK_BEGUN = re.compile(r"<(?:b(?:r\s*/?)?)?$", re.IGNORECASE)
"""What may yet become an HTML line break."""


class TokenBuffer:
    """Gives text on as soon as its last token is complete, and holds the rest back.

    Tokens end at white space and HTML line breaks, after a Chinese character, and between ASCII letters or digits
    and ASCII punctuation: none of these joins with what comes after, by Unicode's composition or otherwise.
    """

    def __init__(self, held: str = "") -> None:
        self.held = held

    def feed(self, text: str) -> str:
        """What can be read now of all that came."""
        held = self.held + text
        end = _complete(held)
        if len(held) - end > MAX_PENDING:
            end = len(held)
        self.held = held[end:]
        return held[:end]

    def end(self) -> str:
        """What was held back, since nothing comes after it."""
        rest, self.held = self.held, ""
        return rest


def _complete(text: str) -> int:
    """How many characters are complete tokens and what parts them."""
    begun = _BREAK_BEGUN.search(text)
    breaks = [found.span() for found in HTML_BREAK.finditer(text)] if "<" in text else []
    for at in range(begun.start() if begun else len(text), 0, -1):
        if any(first < at < last for first, last in breaks):
            continue
        before = text[at - 1]
        if before in _SPACES or any(at == last for _, last in breaks):
            return at
        if not before.isascii() and CHINESE.match(before):
            return at
        after = text[at : at + 1]
        if after and before.isascii() and after.isascii() and _is_word(before) != _is_word(after):
            return at
    return 0


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
