"""Tokens -> a line of text, with spaces where they belong, as far as tokens tell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fastlstm.text.tokenizer import WORD_PATTERN, clean_text

_TOKEN = re.compile(WORD_PATTERN)
_APOSTROPHES = "'’"
_ENDINGS = frozenset(("s", "t", "re", "ve", "ll", "d", "m"))
"""What follows an apostrophe inside an English word: it's, don't, we're."""
_WIDE = "，。！？、：；「」『』（）【】《》"
"""Chinese and Japanese punctuation, which has its space within."""
_OPENING = "([{<“‘«¿¡$£€#@"
_CLOSING = ".,;:!?)]}>”»%…"
_JOINING = ("-", "/")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
"""Characters of scripts that have no spaces between words."""


def detokenize(tokens: Iterable[str]) -> str:
    """Words and punctuation as one line."""
    return "".join(add_spaces(tokens))


def split_tokens(text: str) -> list[str]:
    """A text's words and punctuation, as they are written."""
    return _TOKEN.findall(clean_text(text))


def add_spaces(tokens: Iterable[str], before: str = "") -> Iterator[str]:
    """Each token with the space that belongs before it, as soon as the next one is known.

    `before` is the text that they follow.
    """
    line = _Line()
    for token, following in _followed(split_tokens(before)):
        line.add(token, following)
    for token, following in _followed(tokens):
        yield line.add(token, following)


def _followed(tokens: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each token and the one after it, which is empty for the last."""
    waiting = None
    for token in tokens:
        if waiting is not None:
            yield waiting, token
        waiting = token
    if waiting is not None:
        yield waiting, ""


class _Line:
    """What of a line's beginning decides on the space before its next token."""

    def __init__(self) -> None:
        self._last = ""
        self._joined = True
        self._double = self._single = False

    def add(self, token: str, following: str) -> str:
        """The token with or without a space before it."""
        joined, self._joined = self._joined, False
        if token in _APOSTROPHES:
            joined |= self._apostrophe(following)
        elif not _is_word(token):
            joined |= self._punctuation(token, following)
        elif self._last and _UNSPACED.match(self._last[-1]) and _UNSPACED.match(token):
            joined = True
        self._last = token
        return token if joined else f" {token}"

    def _apostrophe(self, following: str) -> bool:
        """Whether it stands close to what is before it; it may end a quotation, begin one, or be part of a word."""
        last = self._last
        if _is_word(last) and following in _ENDINGS:
            self._joined = True
            return True
        if self._single:
            self._single = False
            return True
        if len(last) == 1 and last.isalpha() and last not in "ai" and _is_word(following):  # o'clock, l'amour
            self._joined = True
            return True
        if len(last) > 4 and last.endswith("s"):  # the actors' faces
            return True
        self._single = self._joined = True
        return False

    def _punctuation(self, token: str, following: str) -> bool:
        """Likewise for any other run of punctuation."""
        first, end, last = token[0], token[-1], self._last
        if token in _JOINING:
            self._joined = True
            return True
        close = (
            first in _CLOSING
            or first in _WIDE
            or (first == '"' and self._double)
            or (first in _APOSTROPHES and self._single)
        )
        if first in _APOSTROPHES:
            self._single = False
        if end == "‘":
            self._single = True
        if token.count('"') % 2:
            self._double = not self._double
            self._joined = self._double
        number = last.isdecimal() and following.isdecimal()
        if token in ".:" and number:
            self._joined = True  # 7.5, 10:30
        elif token == "," and number and len(following) == 3 and len(last) <= 3:
            self._joined = True  # 25,000
        elif token == "." and len(last) == 1 and last.isalpha() and last not in "ai" and len(following) == 1:
            self._joined = following.isalpha()  # u.s.
        elif end in _OPENING or end in _WIDE:
            self._joined = True
        return close


def _is_word(token: str) -> bool:
    return bool(token) and (token[0].isalnum() or token[0] == "_")
