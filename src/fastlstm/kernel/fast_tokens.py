"""Token ids of simple texts, by the compiled kernel. csrc/tokens.h defines its functions."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace

import numpy as np

from fastlstm._typing import IndexArray, TokenIds
from fastlstm.kernel.abi import TokenizerArguments, load_library
from fastlstm.kernel.arguments import check_status, pointer
from fastlstm.kernel.loader import find_kernel

KINDS = 256
"""Length of the table of the kinds of characters."""


class CompiledTokens:
    """Splits texts into tokens and looks these up, without Python objects for tokens.

    It is the compiled form of `fastlstm.text.fast_tokens.PythonTokens`, which takes ten times as long.
    """

    def __init__(
        self, library: SimpleNamespace, vocabulary: Mapping[str, int], unknown_id: int, kinds: bytes
    ) -> None:
        """Build a hash table of the words.

        Args:
            library: From `abi.load_library`.
            vocabulary: Word -> id.
            unknown_id: The id of a token that is not in the vocabulary.
            kinds: The kind of each first byte of a simple character, see `Segmentation.character_kinds`.

        Raises:
            ValueError: The vocabulary is too large.
        """
        words = [word.encode() for word in vocabulary]
        starts, ids = _starts(words), np.array(list(vocabulary.values()), np.int32)
        table = np.empty(1 << (2 * len(words)).bit_length(), np.int32)
        self._arrays = starts, ids, table  # keep them alive
        self._tokenizer = TokenizerArguments(
            kinds=kinds.ljust(KINDS, b"\0"), words=len(words), characters=b"".join(words),
            starts=pointer(starts), ids=pointer(ids), unknown_id=unknown_id, slots=len(table), table=pointer(table),
        )  # fmt: skip
        self._address = ctypes.addressof(self._tokenizer)
        self._token_ids = library.token_ids
        check_status(library.index_words(self._address))

    def __call__(self, texts: Sequence[str]) -> list[TokenIds]:
        """Return the ids of all tokens of each text, which must be simple."""
        joined = "".join(texts).lower()
        if joined.isascii():
            characters, starts = joined.encode(), _starts(texts)
        else:
            encoded = [text.lower().encode() for text in texts]
            characters, starts = b"".join(encoded), _starts(encoded)
        ids, id_starts = np.empty(len(characters), np.int32), np.empty(len(starts), np.int64)
        check_status(
            self._token_ids(
                self._address, len(texts), characters, pointer(starts), pointer(ids), pointer(id_starts)
            )
        )
        bounds = id_starts.tolist()
        ids = ids[: bounds[-1]].copy()
        return [ids[start:end] for start, end in itertools.pairwise(bounds)]


def compile_tokens(vocabulary: Mapping[str, int], unknown_id: int, kinds: bytes) -> CompiledTokens | None:
    """Return `CompiledTokens` with these arguments; None if there is no compiled kernel."""
    path = None if find_kernel().kernel is None else find_kernel().path
    return None if path is None else CompiledTokens(load_library(path), vocabulary, unknown_id, kinds)


def _starts(strings: Iterable[str | bytes]) -> IndexArray:
    return np.array([0, *itertools.accumulate(map(len, strings))], np.int64)
