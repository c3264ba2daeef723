"""Token ids -> batches of texts of like length, time-major.

Texts of one batch are read together, so the longest decides how long the batch takes. Putting like lengths
together (bucketing) leaves little padding; shuffling inside large pools keeps the batches random.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastlstm._typing import IndexArray, TokenIds

POOL_BATCHES = 50
"""Batches whose texts are sorted by length together: 2% padding on IMDb at batch size 64, see `padding_fraction`."""
MAX_PADDING = 0.10
"""Where few texts of many lengths leave more padding than this, batches are halved until they don't."""


def lengths_of(texts: Sequence[TokenIds]) -> IndexArray:
    """[n] the number of tokens of each text."""
    return np.fromiter((len(ids) for ids in texts), np.int64, len(texts))


def shuffled_batches(lengths: IndexArray, batch_size: int, generator: np.random.Generator) -> list[IndexArray]:
    """All texts once, in random batches of like length: positions, each [<= batch_size], longest first."""
    order = generator.permutation(len(lengths))
    pool = batch_size * POOL_BATCHES
    batches = []
    for start in range(0, len(order), pool):
        members = order[start : start + pool]
        members = members[np.argsort(-lengths[members], kind="stable")]
        batches += [members[at : at + batch_size] for at in range(0, len(members), batch_size)]
    batches = _halved(lengths, batches)
    return [batches[i] for i in generator.permutation(len(batches))]


def _halved(lengths: IndexArray, batches: list[IndexArray]) -> list[IndexArray]:
    """The batches, those with the most padding halved until there is no more than `MAX_PADDING` in all."""
    heap = [(-_padded_places(lengths[batch]), i, batch) for i, batch in enumerate(batches)]
    heapq.heapify(heap)
    padded_places, made = -sum(places for places, _, _ in heap), len(batches)
    while padded_places > MAX_PADDING * (padded_places + int(lengths.sum())):
        places, _, whole = heapq.heappop(heap)
        padded_places += places
        for half in (whole[: len(whole) // 2], whole[len(whole) // 2 :]):
            heapq.heappush(heap, (-_padded_places(lengths[half]), made, half))
            padded_places += _padded_places(lengths[half])
            made += 1
    return [batch for _, _, batch in sorted(heap, key=lambda entry: entry[1])]


def batches_by_length(lengths: IndexArray, batch_size: int) -> Iterator[IndexArray]:
    """All texts once, longest first, in batches of positions, each [<= batch_size]."""
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def padding_fraction(lengths: IndexArray, batches: Sequence[IndexArray]) -> float:
    """Padded places as a share of all places that the batches span."""
    padded_places = sum(_padded_places(lengths[batch]) for batch in batches)
    return padded_places / (padded_places + int(lengths.sum()))


def _padded_places(lengths: IndexArray) -> int:
    return int(lengths.max()) * len(lengths) - int(lengths.sum())


@dataclass(frozen=True)
class DistinctTokens:
    """The M different ids of a batch's N, and which rows of the batch hold each.

    `ids` [M] rising; `index` [N] int32: row n holds ids[index[n]]; `order` [N]: the batch's rows, those that hold
    ids[0] first; `starts` [M + 1]: where in `order` the rows of each begin, and N.
    """

    ids: TokenIds
    index: TokenIds
    order: IndexArray
    starts: IndexArray

    @classmethod
    def of(cls, ids: TokenIds) -> DistinctTokens:
        """The different ones of ids [N], none below 0. Takes memory for as many numbers as the highest says."""
        counts = np.bincount(ids)
        there = np.flatnonzero(counts)
        place = np.empty(len(counts), np.int32)
        place[there] = np.arange(len(there), dtype=np.int32)
        index = place[ids]
        # Sorting 16-bit numbers takes a tenth of the time.
        keys = index.astype(np.uint16) if len(there) <= 1 << 16 else index
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts[there])])
        return cls(there.astype(np.int32), index, np.argsort(keys, kind="stable"), starts)


@dataclass(frozen=True)
class PackedBatch:
    """Texts sorted by length, longest first, without padding.

    `ids` [N] holds the first token of every text, then the second of every text that has one, and so on;
    `batch_sizes` [T] says how many texts each step has.
    """

    ids: TokenIds
    batch_sizes: IndexArray

    @cached_property
    def distinct(self) -> DistinctTokens:
        """The different ids, each of which is worth computing with once."""
        return DistinctTokens.of(self.ids)

    def lengths(self) -> IndexArray:
        """[B] the number of tokens of each text."""
        texts = np.arange(self.batch_sizes[0])
        return np.searchsorted(-self.batch_sizes, -texts, side="left").astype(np.int64, copy=False)

    def places(self) -> tuple[IndexArray, IndexArray]:
        """Of each row [N], which step of which text it is."""
        steps = np.repeat(np.arange(len(self.batch_sizes)), self.batch_sizes)
        return steps, np.arange(len(steps)) - self._starts()[steps]

    def turned(self) -> IndexArray:
        """[N] the rows in an order that turns every text round within its own length."""
        steps, texts = self.places()
        first = self._starts()
        turned: IndexArray = first[self.lengths()[texts] - 1 - steps] + texts
        return turned

    def _starts(self) -> IndexArray:
        """[T] the first row of every step."""
        ends: IndexArray = np.cumsum(self.batch_sizes)
        return ends - self.batch_sizes


def pack_batch(texts: Sequence[TokenIds]) -> PackedBatch:
    """Packs texts that are sorted by length, longest first, each with at least one token."""
    lengths = lengths_of(texts)
    steps = np.arange(lengths[0])
    batch_sizes = np.searchsorted(-lengths, -steps, side="left")
    grid = np.zeros((len(texts), lengths[0]), np.int32)
    for row, ids in enumerate(texts):
        grid[row, : len(ids)] = ids
    return PackedBatch(grid.T[steps[:, None] < lengths[None, :]], batch_sizes.astype(np.int64))
