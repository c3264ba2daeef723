"""The n-gram logits of texts on the compiled kernel. csrc/lstm.h defines its functions.

Dimensions: K n-grams that have weights, C logits, W tokens and R rows of a text's state.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Protocol

import numpy as np

from fastlstm._typing import FloatArray, IndexArray, TokenIds
from fastlstm.kernel.abi import NGRAM_LOOKUP_SIZE, NGRAM_TOKENS, KernelNGramKind, NGramArguments
from fastlstm.kernel.arguments import check_array, check_status, pointer

MAX_STAGED_TOKENS = 64
"""Tokens of a text that are collected before they are read: a call takes longer than reading these."""


class NGramKind(Protocol):
    """A kind of n-gram, see `fastlstm.text.ngrams.NGramKind`."""

    @property
    def tag(self) -> int: ...
    @property
    def offsets(self) -> tuple[int, ...]: ...
    @property
    def beginning(self) -> int: ...
    @property
    def end(self) -> int: ...


class NGramTable:
    """The n-grams that have weights, prepared for lookup. Created by `Kernel.ngram_table`.

    Attributes:
        ids: int32 [K], increasing, the n-grams that have weights.
        window: W, the number of last tokens on which the n-grams of later ones depend.
        arguments: The arguments of fastlstm_ngram_logits that do not depend on the texts.
    """

    def __init__(
        self,
        library: SimpleNamespace,
        isa: int,
        ids: TokenIds,
        weight: FloatArray,
        kinds: Sequence[NGramKind],
    ) -> None:
        """See `Kernel.ngram_table`."""
        K, C = weight.shape
        check_array("ids", ids, (K,), np.int32)
        check_array("weight", weight, (K, C))
        self._library, self._isa = library, isa
        self.ids = ids
        self.window = max(kind.end or kind.offsets[-1] for kind in kinds)
        lookup = np.empty(NGRAM_LOOKUP_SIZE, np.uint64)
        check_status(library.ngram_lookup(K, pointer(ids), pointer(lookup)))
        self._references = weight, lookup  # keep the arrays alive
        self._kinds = (KernelNGramKind * len(kinds))(*map(_kernel_kind, kinds))
        self.arguments = NGramArguments(
            kind_count=len(kinds), kinds=ctypes.addressof(self._kinds), K=K, C=C, lookup=pointer(lookup),
            weight=pointer(weight), W=self.window, R=sum(kind.end for kind in kinds),
        )  # fmt: skip

    def logits(self, starts: IndexArray, tokens: TokenIds) -> FloatArray:
        """Return the logits [texts, C] of whole texts, float32.

        Args:
            starts: [texts + 1] int64, where each text starts in `tokens`, and the end of the last.
            tokens: int32.

        Raises:
            ValueError: An array has another shape or dtype, or `starts` decreases.
        """
        check_array("starts", starts, (max(starts.size, 1),), np.int64)
        check_array("tokens", tokens, (int(starts[-1]),), np.int32)
        logits = np.empty((len(starts) - 1, self.arguments.C), np.float32)
        arguments = NGramArguments.from_buffer_copy(self.arguments)
        arguments.texts = len(starts) - 1
        arguments.starts, arguments.tokens, arguments.logits = pointer(starts), pointer(tokens), pointer(logits)
        self.call(arguments)
        return logits

    def call(self, arguments: NGramArguments) -> None:
        """Call fastlstm_ngram_logits. Raise the error of its status."""
        check_status(self._library.ngram_logits(self._isa, ctypes.byref(arguments)))


class NGramReader:
    """One text that is read in pieces, and the n-grams found in it so far.

    Attributes:
        latest: float32 [1, C], the logits of the text at the last call of `update` or `logits`.
    """

    def __init__(self, table: NGramTable) -> None:
        """Start an empty text."""
        self._table = table
        self._last = np.zeros(table.window, np.int32)
        self._end_rows = np.empty(table.arguments.R, np.int32)
        self._seen = np.zeros(-(-len(table.ids) // 64), np.uint64)
        self._tokens_read = np.zeros(1, np.int64)
        self._staged = np.empty(MAX_STAGED_TOKENS, np.int32)
        self._staged_count = 0
        self._starts = np.zeros(2, np.int64)
        self.latest = np.zeros((1, table.arguments.C), np.float32)
        self._logits_pointer, self._staged_pointer = pointer(self.latest), pointer(self._staged)
        self._arguments = NGramArguments.from_buffer_copy(table.arguments)
        self._arguments.texts, self._arguments.starts = 1, pointer(self._starts)
        self._arguments.last, self._arguments.end_rows = pointer(self._last), pointer(self._end_rows)
        self._arguments.seen, self._arguments.tokens_read = pointer(self._seen), pointer(self._tokens_read)

    def feed(self, tokens: TokenIds) -> None:
        """Append tokens, int32, to the text. Raise `ValueError` if they are another array."""
        check_array("tokens", tokens, (tokens.size,), np.int32)
        if self._staged_count + len(tokens) > MAX_STAGED_TOKENS:
            self._read_staged(None)
        if len(tokens) > MAX_STAGED_TOKENS:
            self._read(len(tokens), pointer(tokens), None)
            return
        self._staged[self._staged_count : self._staged_count + len(tokens)] = tokens
        self._staged_count += len(tokens)

    def logits(self) -> FloatArray:
        """Return the logits [1, C] of the text so far, float32."""
        self.update()
        logits: FloatArray = self.latest.copy()
        return logits

    def update(self) -> None:
        """Write the logits of the text so far to `latest`."""
        self._read_staged(self._logits_pointer)

    def state(self) -> tuple[IndexArray, TokenIds]:
        """Return what `restore` needs.

        The rows in `NGramTable.ids`, int64, increasing, of the n-grams found by kinds without `end`; and the last
        tokens, int32, up to W.
        """
        self._read_staged(None)
        bits = np.unpackbits(self._seen.view(np.uint8), bitorder="little")
        count = min(int(self._tokens_read[0]), self._table.window)
        return np.flatnonzero(bits.view(np.bool_)), self._last[:count].copy()

    def restore(self, rows: IndexArray, last: TokenIds, token_count: int) -> None:
        """Continue from the `state` of a text of `token_count` tokens. Its rows must be below K."""
        self._tokens_read[0] = token_count - len(last)
        self._staged_count = 0
        self._read(len(last), pointer(last), None)  # finds the n-grams near the end again
        found = np.zeros(64 * len(self._seen), np.bool_)
        found[rows] = True
        self._seen[:] = np.packbits(found, bitorder="little").view(np.uint64)

    def _read_staged(self, logits: int | None) -> None:
        self._read(self._staged_count, self._staged_pointer, logits)
        self._staged_count = 0

    def _read(self, count: int, tokens: int | None, logits: int | None) -> None:
        self._starts[1] = count
        self._arguments.tokens, self._arguments.logits = tokens, logits
        self._table.call(self._arguments)


def _kernel_kind(kind: NGramKind) -> KernelNGramKind:
    if len(kind.offsets) > NGRAM_TOKENS:
        raise ValueError(f"an n-gram has {len(kind.offsets)} tokens; expected at most {NGRAM_TOKENS}")
    offsets = (ctypes.c_int64 * NGRAM_TOKENS)(*kind.offsets)
    return KernelNGramKind(kind.tag, len(kind.offsets), offsets, kind.beginning, kind.end)
