"""Batches of token ids: texts of similar length together, packed time-major without padding.

The longest text of a batch determines how long the batch takes. Grouping similar lengths (bucketing) leaves little
padding; shuffling within large pools keeps the batches random.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastlstm._typing import IndexArray, TokenIds

POOL_BATCHES = 50
"""Batches per pool, which is sorted by length: 2% padding on IMDb at batch size 64, see `padding_fraction`."""
MAX_PADDING = 0.10
"""Above this fraction of padding, batches are halved. It occurs with few texts of many lengths."""


def lengths_of(texts: Sequence[TokenIds]) -> IndexArray:
    """Return [n], the number of tokens of each text."""
    return np.fromiter(map(len, texts), np.int64, len(texts))


def starts_of(texts: Iterable[TokenIds]) -> IndexArray:
    """Return [n + 1], where each text starts if they follow each other, and the end of the last."""
    return np.array([0, *itertools.accumulate(map(len, texts))], np.int64)


def join_texts(texts: Sequence[TokenIds]) -> tuple[TokenIds, IndexArray]:
    """Return the ids of all texts, at least one, one after the other, and `starts_of(texts)`."""
    ids = np.ascontiguousarray(texts[0]) if len(texts) == 1 else np.concatenate(texts)
    return ids, starts_of(texts)


def shuffled_batches(lengths: IndexArray, batch_size: int, generator: np.random.Generator) -> list[IndexArray]:
    """Return random batches of similar length that contain each text once.

    A batch is the indices of its texts, [<= batch_size], longest first.
    """
    order = generator.permutation(len(lengths))
    pool_size = batch_size * POOL_BATCHES
    batches = []
    for pool_start in range(0, len(order), pool_size):
        pool = order[pool_start : pool_start + pool_size]
        pool = pool[np.argsort(-lengths[pool], kind="stable")]
        batches += [pool[start : start + batch_size] for start in range(0, len(pool), batch_size)]
    batches = _halve_padded_batches(lengths, batches)
    return [batches[i] for i in generator.permutation(len(batches))]


def _halve_padded_batches(lengths: IndexArray, batches: list[IndexArray]) -> list[IndexArray]:
    """Halve the batches with the most padding until the total padding is at most `MAX_PADDING`."""
    heap = [(-_padding_count(lengths[batch]), i, batch) for i, batch in enumerate(batches)]
    heapq.heapify(heap)
    padding, next_key = -sum(count for count, _, _ in heap), len(batches)
    while padding > MAX_PADDING * (padding + int(lengths.sum())):
        count, _, batch = heapq.heappop(heap)
        padding += count
        for half in (batch[: len(batch) // 2], batch[len(batch) // 2 :]):
            heapq.heappush(heap, (-_padding_count(lengths[half]), next_key, half))
            padding += _padding_count(lengths[half])
            next_key += 1
    return [batch for _, _, batch in sorted(heap, key=lambda entry: entry[1])]


def batches_by_length(lengths: IndexArray, batch_size: int) -> Iterator[IndexArray]:
    """Yield batches of text indices, each [<= batch_size], longest text first, that contain each text once."""
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def padding_fraction(lengths: IndexArray, batches: Sequence[IndexArray]) -> float:
    """Return the padding as a fraction of all positions of the batches, each as long as its longest text."""
    padding = sum(_padding_count(lengths[batch]) for batch in batches)
    return padding / (padding + int(lengths.sum()))


def _padding_count(lengths: IndexArray) -> int:
    return int(lengths.max()) * len(lengths) - int(lengths.sum())


@dataclass(frozen=True)
class DistinctTokens:
    """The M distinct ids among the N ids of a batch, and the rows that contain each.

    Attributes:
        ids: [M], increasing.
        index: [N] int32: row n has the id `ids[index[n]]`.
        order: [N], the rows of the batch, sorted by id.
        starts: [M + 1], where the rows of each id start in `order`, and N.
    """

    ids: TokenIds
    index: TokenIds
    order: IndexArray
    starts: IndexArray

    @classmethod
    def from_ids(cls, ids: TokenIds) -> DistinctTokens:
        """Find the distinct ids among `ids` [N], none negative. The memory needed grows with the largest id."""
        counts = np.bincount(ids)
        distinct = np.flatnonzero(counts)
        positions = np.empty(len(counts), np.int32)
        positions[distinct] = np.arange(len(distinct), dtype=np.int32)
        index = positions[ids]
        # Sorting 16-bit integers takes a tenth of the time.
        keys = index.astype(np.uint16) if len(distinct) <= 1 << 16 else index
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts[distinct])])
        return cls(distinct.astype(np.int32), index, np.argsort(keys, kind="stable"), starts)


@dataclass(frozen=True)
class PackedBatch:
    """Texts sorted by length, longest first, time-major without padding.

    Attributes:
        ids: [N], the first token of every text, then the second of every text that has one, and so on.
        batch_sizes: [T], the number of texts at each step.
    """

    ids: TokenIds
    batch_sizes: IndexArray

    @cached_property
    def distinct(self) -> DistinctTokens:
        """The distinct ids, so that each is looked up and projected once."""
        return DistinctTokens.from_ids(self.ids)

    def lengths(self) -> IndexArray:
        """Return [B], the number of tokens of each text."""
        texts = np.arange(self.batch_sizes[0])
        return np.searchsorted(-self.batch_sizes, -texts, side="left").astype(np.int64, copy=False)

    def positions(self) -> tuple[IndexArray, IndexArray]:
        """Return two arrays [N]: the step and the text of each row."""
        steps = np.repeat(np.arange(len(self.batch_sizes)), self.batch_sizes)
        return steps, np.arange(len(steps)) - self._step_starts()[steps]

    def reversed_index(self) -> IndexArray:
        """Return [N], the row order that reverses every text within its own length."""
        steps, texts = self.positions()
        starts = self._step_starts()
        index: IndexArray = starts[self.lengths()[texts] - 1 - steps] + texts
        return index

    def last_rows(self) -> IndexArray:
        """Return [B], the row of the last token of each text."""
        lengths = self.lengths()
        rows: IndexArray = self._step_starts()[lengths - 1] + np.arange(len(lengths))
        return rows

    def _step_starts(self) -> IndexArray:
        """Return [T], the first row of every step."""
        ends: IndexArray = np.cumsum(self.batch_sizes)
        return ends - self.batch_sizes


def pack_batch(texts: Sequence[TokenIds]) -> PackedBatch:
    """Pack texts that are sorted by length, longest first, each with at least one token."""
    lengths = lengths_of(texts)
    steps = np.arange(lengths[0])
    batch_sizes = np.searchsorted(-lengths, -steps, side="left")
    grid = np.zeros((len(texts), lengths[0]), np.int32)
    for row, ids in enumerate(texts):
        grid[row, : len(ids)] = ids
    return PackedBatch(grid.T[steps[:, None] < lengths[None, :]], batch_sizes.astype(np.int64))
