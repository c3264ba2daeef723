"""Detokenizer: tokens -> one line of text, with spaces inferred from the tokens."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

_APOSTROPHES = "'’"
_CONTRACTIONS = frozenset(("s", "t", "re", "ve", "ll", "d", "m"))
"""Tokens after the apostrophe of an English word: it's, don't, we're."""
_WIDE = "，。！？、：；「」『』（）【】《》"
"""Chinese and Japanese punctuation, whose glyphs include the space."""
_OPENING = "([{<“‘«¿¡$£€#@"
_CLOSING = ".,;:!?)]}>”»%…"
_JOINING = ("-", "/")
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u1b00-\u1b7f\u3005-\u3007\u3021-\u312f"
    "\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua48f\ua980-\ua9ff\uaa60-\uaadf\uf900-\ufaff"
    "\uff66-\uff9f\U00011700-\U0001174f\U00016fe0-\U00018dff\U0001aff0-\U0001b2ff\U00020000-\U0003ffff]"
)
"""Letters of scripts without spaces between words."""


def detokenize(tokens: Iterable[str]) -> str:
    """Return tokens, words and punctuation, as one line of text."""
    return "".join(add_spaces(tokens))


def add_spaces(tokens: Iterable[str], prefix: Sequence[str] = ()) -> Iterator[str]:
    """Yield each token with its leading space, if any, as soon as the next token is known.

    `prefix` are the tokens of the text before.
    """
    state = _SpacingState()
    for token, following in _with_next(prefix):
        state.add(token, following)
    for token, following in _with_next(tokens):
        yield state.add(token, following)


def _with_next(tokens: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each token with the next one, which is empty for the last."""
    previous = None
    for token in tokens:
        if previous is not None:
            yield previous, token
        previous = token
    if previous is not None:
        yield previous, ""


class _SpacingState:
    """The state that decides on the space before the next token: the last token and the open quotation marks."""

    def __init__(self) -> None:
        self._last = ""
        self._join_next = True
        self._in_double_quotes = self._in_single_quotes = False

    def add(self, token: str, following: str) -> str:
        """Return the token, with a space before it unless it joins the last one."""
        joins, self._join_next = self._join_next, False
        if token in _APOSTROPHES:
            joins |= self._add_apostrophe(following)
        elif not _is_word(token):
            joins |= self._add_punctuation(token, following)
        elif UNSPACED.match(self._last) and UNSPACED.match(token):
            joins = True
        self._last = token
        return token if joins else f" {token}"

    def _add_apostrophe(self, following: str) -> bool:
        """Return whether an apostrophe joins the last token. It may open or close a quotation, or be in a word."""
        last = self._last
        if _is_word(last) and following in _CONTRACTIONS:
            self._join_next = True
            return True
        if self._in_single_quotes:
            self._in_single_quotes = False
            return True
        if len(last) == 1 and last.isalpha() and last not in "ai" and _is_word(following):  # o'clock, l'amour
            self._join_next = True
            return True
        if len(last) > 4 and last.endswith("s"):  # the actors' faces
            return True
        self._in_single_quotes = self._join_next = True
        return False

    def _add_punctuation(self, token: str, following: str) -> bool:
        """Return whether other punctuation joins the last token."""
        first, end, last = token[0], token[-1], self._last
        if token in _JOINING:
            is_first, is_last = token != last, token != following
            self._join_next = not is_last or is_first
            return is_last or not is_first  # an unspaced hyphen, or a dash of several with spaces around
        if _is_emoji(token) and _is_emoji(last):
            return True
        joins = (
            first in _CLOSING
            or first in _WIDE
            or (first == '"' and self._in_double_quotes)
            or (first in _APOSTROPHES and self._in_single_quotes)
        )
        if first in _APOSTROPHES:
            self._in_single_quotes = False
        if end == "‘":
            self._in_single_quotes = True
        if token.count('"') % 2:
            self._in_double_quotes = not self._in_double_quotes
            self._join_next = self._in_double_quotes
        between_digits = last.isdecimal() and following.isdecimal()
        if token in ".:" and between_digits:
            self._join_next = True  # 7.5, 10:30
        elif token == "," and between_digits and len(following) == 3 and len(last) <= 3:
            self._join_next = True  # 25,000
        elif token == "." and len(last) == 1 and last.isalpha() and last not in "ai" and len(following) == 1:
            self._join_next = following.isalpha()  # u.s.
        elif end in _OPENING or end in _WIDE:
            self._join_next = True
        return joins


def _is_emoji(token: str) -> bool:
    return bool(token) and unicodedata.category(token[0]) == "So"


def _is_word(token: str) -> bool:
    return bool(token) and (token[0].isalnum() or token[0] == "_")
