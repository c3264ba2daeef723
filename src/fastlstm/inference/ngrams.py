"""The linear model of n-grams on the kernel or, without it, on NumPy: for whole texts, and for texts in pieces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastlstm._typing import FloatArray, IndexArray, TokenIds
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.ngrams import NGramReader
from fastlstm.text.batches import join_texts
from fastlstm.text.ngrams import NGramKind, NGramLogits, find_occurrences

TOKENS_PER_LOOKUP = 64
"""Tokens that are collected before NumPy looks up their n-grams: a lookup takes little longer than for one token."""


class NGramModel:
    """A linear model of n-grams, which adds to the logits of texts. Both runtimes compute the same bits.

    Attributes:
        reference: The model on NumPy.
    """

    def __init__(
        self, ids: TokenIds, weight: FloatArray, kinds: Sequence[NGramKind], kernel: Kernel | None
    ) -> None:
        """Prepare the model.

        Args:
            ids: int32 [K], increasing, the n-grams that have weights.
            weight: float32 [K, logits].
            kinds: The kinds of the n-grams.
            kernel: None: NumPy.
        """
        ids, weight = np.ascontiguousarray(ids, np.int32), np.ascontiguousarray(weight, np.float32)
        self.reference = NGramLogits(ids, weight, kinds)
        self._table = None if kernel is None else kernel.ngram_table(ids, weight, kinds)

    def __call__(self, texts: Sequence[TokenIds]) -> FloatArray:
        """Return [n, logits] for texts of at least one token. Each row depends on its text alone, bit for bit."""
        if self._table is None:
            return self.reference(texts)
        ids, starts = join_texts(texts)
        return self._table.logits(starts, ids)

    def start_text(self) -> NGramReader | NumPyNGramReader:
        """Return a reader of an empty text."""
        return NumPyNGramReader(self.reference) if self._table is None else NGramReader(self._table)

    def rows(self, ids: TokenIds) -> IndexArray:
        """Return the rows of n-gram ids in `reference.ids`. Raise `ValueError` if an id has no row."""
        rows = np.searchsorted(self.reference.ids, ids)
        if (self.reference.ids.take(rows, mode="clip") != ids).any():
            raise ValueError("n-gram ids are unknown to the model")
        return rows

    def resume_text(self, rows: IndexArray, last: TokenIds, token_count: int) -> NGramReader | NumPyNGramReader:
        """Return a reader of a text of `token_count` tokens, which continues from the `state` of another reader.

        Raise `ValueError` if the state is invalid.
        """
        if len(last) != min(self.reference.window, token_count) or (len(last) and last.min() < 0):
            raise ValueError("invalid last tokens")
        if (rows[1:] <= rows[:-1]).any():
            raise ValueError("n-gram rows are not increasing")
        if len(rows) and not 0 <= rows[0] <= rows[-1] < len(self.reference.ids):
            raise ValueError("n-gram rows are unknown to the model")
        if len(rows) and not token_count:
            raise ValueError("n-gram rows of a text without tokens")
        reader = self.start_text()
        reader.restore(rows, last, token_count)
        return reader


class NumPyNGramReader:
    """One text that is read in pieces, and the n-grams found in it so far. Same methods as `NGramReader`.

    N-grams anywhere in the text, or near its beginning, are permanent: they count from the token that completes them.
    N-grams near the end are looked up in the last tokens on each call of `logits`.
    """

    def __init__(self, model: NGramLogits) -> None:
        """Start an empty text."""
        self._model = model
        self._permanent_kinds = [kind for kind in model.kinds if not kind.end]
        self._end_kinds = [kind for kind in model.kinds if kind.end]
        self._overlap = max((kind.offsets[-1] for kind in self._permanent_kinds), default=0)
        self._permanent_ids = np.empty(0, np.int32)
        self._last_tokens = np.empty(0, np.int32)
        self._pending: list[TokenIds] = []
        self._processed_count = 0
        self._token_count = 0
        self.latest = np.zeros((1, model.weight.shape[1]), np.float32)

    def feed(self, tokens: TokenIds) -> None:
        """See `NGramReader.feed`."""
        self._pending.append(tokens)
        self._token_count += len(tokens)
        if self._token_count - self._processed_count >= TOKENS_PER_LOOKUP:
            self._process_pending()

    def logits(self) -> FloatArray:
        """See `NGramReader.logits`."""
        self.update()
        logits: FloatArray = self.latest.copy()
        return logits

    def update(self) -> None:
        """See `NGramReader.update`."""
        self._process_pending()
        end_ids = self._find(self._last_tokens, self._end_kinds, self._token_count - len(self._last_tokens))
        self.latest[:] = self._model.from_ids(np.union1d(self._permanent_ids, end_ids).astype(np.int32))

    def state(self) -> tuple[IndexArray, TokenIds]:
        """See `NGramReader.state`."""
        self._process_pending()
        return np.searchsorted(self._model.ids, self._permanent_ids), self._last_tokens

    def restore(self, rows: IndexArray, last: TokenIds, token_count: int) -> None:
        """See `NGramReader.restore`."""
        self._permanent_ids, self._last_tokens = self._model.ids[rows], last
        self._token_count = self._processed_count = token_count

    def _process_pending(self) -> None:
        if not self._pending:
            return
        tokens = np.concatenate(self._pending)
        self._pending = []
        overlap = min(self._overlap, len(self._last_tokens))
        window = np.concatenate([self._last_tokens[len(self._last_tokens) - overlap :], tokens])
        found = self._find(window, self._permanent_kinds, self._token_count - len(window))
        if len(found):
            self._permanent_ids = np.union1d(self._permanent_ids, found)
        known = np.concatenate([self._last_tokens, tokens])
        self._last_tokens = known[max(len(known) - self._model.window, 0) :]
        self._processed_count = self._token_count

    def _find(self, tokens: TokenIds, kinds: Sequence[NGramKind], before: int) -> TokenIds:
        parts = [group.ids for group in find_occurrences([tokens], kinds, self._model.mask, before=before)]
        return np.concatenate(parts).astype(np.int32) if parts else np.empty(0, np.int32)
