"""Token ids of ASCII texts, by the compiled kernel. csrc/tokens.h defines its functions."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import numpy as np

from fastlstm._typing import IndexArray, TokenIds
from fastlstm.kernel.abi import TokenArguments, Vocabulary, load_library
from fastlstm.kernel.arguments import check_status, pointer
from fastlstm.kernel.loader import find_kernel

KINDS = 256
"""Length of the table of the kinds of characters."""


class AsciiTokens:
    """Splits texts into tokens and looks these up, without Python objects for tokens.

    It is the compiled form of `fastlstm.text.ascii_tokens.PythonTokens`, which takes 20 times as long.
    """

    def __init__(
        self, library: SimpleNamespace, vocabulary: Mapping[str, int], unknown_id: int, kinds: bytes
    ) -> None:
        """Build a hash table of the words.

        Args:
            library: From `abi.load_library`.
            vocabulary: Word -> id. Words with other characters than ASCII are left out.
            unknown_id: The id of a token that is not in the vocabulary.
            kinds: The kind of each ASCII character, see `Segmentation.ascii_kinds`.

        Raises:
            ValueError: The vocabulary or an id is too large.
        """
        self._library = library
        words = [word for word in vocabulary if word.isascii()]
        self._characters = "".join(words).encode("ascii")
        self._starts = _starts(words)
        self._ids = np.fromiter((vocabulary[word] for word in words), np.int32, len(words))
        self._table = np.empty(1 << (2 * len(words)).bit_length(), np.int32)
        self._kinds = kinds.ljust(KINDS, b"\0")
        self._vocabulary = Vocabulary(
            words=len(words), characters=self._characters, starts=pointer(self._starts), ids=pointer(self._ids),
            unknown_id=unknown_id, slots=len(self._table), table=pointer(self._table),
        )  # fmt: skip
        check_status(library.index_words(ctypes.byref(self._vocabulary)))

    def __call__(self, texts: Sequence[str]) -> tuple[TokenIds, IndexArray]:
        """Return the ids of all tokens, one text after the other, and [n + 1], where each text starts in them.

        Raises:
            UnicodeEncodeError: A text is not ASCII.
        """
        characters = "".join(texts).lower().encode("ascii")
        starts = _starts(texts)
        ids, id_starts = np.empty(len(characters), np.int32), np.empty(len(starts), np.int64)
        arguments = TokenArguments(
            vocabulary=ctypes.pointer(self._vocabulary), kinds=self._kinds, texts=len(texts),
            characters=characters, starts=pointer(starts), ids=pointer(ids), id_starts=pointer(id_starts),
        )  # fmt: skip
        check_status(self._library.token_ids(ctypes.byref(arguments)))
        return ids[: id_starts[-1]].copy(), id_starts


def compiled_ascii_tokens(vocabulary: Mapping[str, int], unknown_id: int, kinds: bytes) -> AsciiTokens | None:
    """Return `AsciiTokens` with these arguments; None if there is no compiled kernel."""
    path = None if find_kernel().kernel is None else find_kernel().path
    return None if path is None else AsciiTokens(load_library(path), vocabulary, unknown_id, kinds)


def _starts(strings: Sequence[str]) -> IndexArray:
    starts = np.zeros(len(strings) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, strings), np.int64, len(strings)), out=starts[1:])
    return starts
