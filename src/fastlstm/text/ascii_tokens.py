"""Token ids of ASCII texts, without the `tokenizers` library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fastlstm._typing import IndexArray, TokenIds
from fastlstm.text.segmentation import Segmentation

AsciiTokens = Callable[[Sequence[str]], tuple[TokenIds, IndexArray]]
"""See `PythonTokens.__call__`."""
AsciiCompiler = Callable[[Mapping[str, int], int, bytes], AsciiTokens | None]
"""Vocabulary, unknown id, `Segmentation.ascii_kinds` -> a faster form of `PythonTokens`, if there is one."""


class PythonTokens:
    """Splits texts by a regular expression and looks tokens up in a dictionary."""

    def __init__(self, segmentation: Segmentation, vocabulary: Mapping[str, int], unknown_id: int) -> None:
        """Take the rule, the id of each word, and the id of all other tokens."""
        self._segmentation, self._vocabulary, self._unknown_id = segmentation, vocabulary, unknown_id

    def __call__(self, texts: Sequence[str]) -> tuple[TokenIds, IndexArray]:
        """Return the ids of all tokens, one text after the other, and [n + 1], where each text starts in them."""
        tokens = [self._segmentation.ascii_tokens(text) for text in texts]
        starts = np.zeros(len(texts) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, tokens), np.int64, len(tokens)), out=starts[1:])
        find, unknown_id = self._vocabulary.get, self._unknown_id
        ids = (find(token, unknown_id) for text in tokens for token in text)
        return np.fromiter(ids, np.int32, int(starts[-1])), starts
