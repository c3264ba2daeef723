"""Token ids of texts that `Segmentation.is_simple`, without the `tokenizers` library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fastlstm._typing import TokenIds
from fastlstm.text.segmentation import Segmentation

FastTokens = Callable[[Sequence[str]], list[TokenIds]]
"""See `PythonTokens.__call__`."""
TokensCompiler = Callable[[Mapping[str, int], int, bytes], FastTokens | None]
"""Vocabulary, unknown id, `Segmentation.character_kinds` -> a faster form of `PythonTokens`, if there is one."""


class PythonTokens:
    """Splits texts by a regular expression and looks tokens up in a dictionary."""

    def __init__(self, segmentation: Segmentation, vocabulary: Mapping[str, int], unknown_id: int) -> None:
        """Take the rule, the id of each word, and the id of all other tokens."""
        self._segmentation, self._find, self._unknown_id = segmentation, vocabulary.get, unknown_id

    def __call__(self, texts: Sequence[str]) -> list[TokenIds]:
        """Return the ids of all tokens of each text."""
        find, unknown_id = self._find, self._unknown_id
        return [
            np.array([find(token, unknown_id) for token in self._segmentation.simple_tokens(text)], np.int32)
            for text in texts
        ]
