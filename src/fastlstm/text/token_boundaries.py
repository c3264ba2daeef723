"""Token boundaries in streamed text: which part of the text so far consists of complete tokens."""

from __future__ import annotations

import re

from fastlstm.text.segmentation import CHINESE, HTML_BREAK, RUNS, SUBWORDS
from fastlstm.text.tokenizer import TextTokenizer

MAX_PENDING = 10_000
"""Maximum number of characters held back; a longer run without a boundary is split, which bounds memory."""

_SPACES = " \t\n\r\f\v"
"""Characters that separate tokens by any definition of white space."""
_PARTIAL_BREAK = re.compile(r"<(?:b(?:r\s*/?)?)?$", re.IGNORECASE)
"""A suffix that may become an HTML line break."""
_COMPLETE = re.compile(rf"(?:[{_SPACES}]|{CHINESE.pattern}|<br[{_SPACES}]*/?>)$", re.IGNORECASE)
"""A suffix after which a new token begins, whatever follows."""
_COMPLETE_SEGMENT = re.compile(rf"(?:[{_SPACES}]|<br[{_SPACES}]*/?>)$", re.IGNORECASE)
"""The same for subwords, which span several Chinese characters."""


class TokenBuffer:
    """Releases text as soon as its last token is complete, and holds the rest back.

    White space, HTML line breaks and Chinese characters are complete at once. Any other token is complete when the
    next one begins: later text may still add letters or marks to it, even by Unicode composition. With the tokenizers
    of earlier models, only ASCII letters or digits and ASCII punctuation complete each other.

    Tokens that are parts of a word are complete when the next word or symbol begins. Subwords of scripts without spaces
    are complete when the run of letters ends: at white space, punctuation, or a word of another script.

    `pending` is the text held back.
    """

    def __init__(self, tokenizer: TextTokenizer, pending: str = "") -> None:
        self._tokenizer = tokenizer
        self.pending = pending

    def feed(self, text: str) -> str:
        """Append `text` and return the complete tokens."""
        pending = self.pending + text
        end = self._complete_length(pending)
        if len(pending) - end > MAX_PENDING:
            end = len(pending)
        self.pending = pending[end:]
        return pending[:end]

    def flush(self) -> str:
        """Return the text held back, at the end of the stream."""
        pending, self.pending = self.pending, ""
        return pending

    def _complete_length(self, text: str) -> int:
        """Return the length of a prefix that ends at a token boundary, the longest one that is known to."""
        if self._tokenizer.segmentation is RUNS:
            return _complete_runs_length(text)
        if partial_break := _PARTIAL_BREAK.search(text):
            return partial_break.start()
        complete = _COMPLETE_SEGMENT if self._tokenizer.segmentation is SUBWORDS else _COMPLETE
        return len(text) if complete.search(text) else self._tokenizer.last_segment_start(text)


def _complete_runs_length(text: str) -> int:
    """Return the length of the longest prefix that ends at a token boundary of `RUNS`."""
    partial_break = _PARTIAL_BREAK.search(text)
    breaks = [match.span() for match in HTML_BREAK.finditer(text)] if "<" in text else []
    for end in range(partial_break.start() if partial_break else len(text), 0, -1):
        if any(break_start < end < break_end for break_start, break_end in breaks):
            continue
        before = text[end - 1]
        if before in _SPACES or any(end == break_end for _, break_end in breaks):
            return end
        if not before.isascii() and CHINESE.match(before):
            return end
        after = text[end : end + 1]
        if after and before.isascii() and after.isascii() and _is_word(before) != _is_word(after):
            return end
    return 0


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
