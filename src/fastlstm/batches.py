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
import numpy.typing as npt

Ids = npt.NDArray[np.int32]
Indices = npt.NDArray[np.int64]

POOL_BATCHES = 50
"""Batches whose texts are sorted by length together: 2% padding on IMDb at batch size 64, see `padding`."""
MOST_PADDING = 0.10
"""Where few texts of many lengths leave more padding than this, batches are halved until they don't."""


def lengths_of(texts: Sequence[Ids]) -> Indices:
    """[n] the number of tokens of each text."""
    return np.fromiter((len(ids) for ids in texts), np.int64, len(texts))


def shuffled(lengths: Indices, batch_size: int, generator: np.random.Generator) -> list[Indices]:
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


def _halved(lengths: Indices, batches: list[Indices]) -> list[Indices]:
    """The batches, those with the most padding halved until there is no more than `MOST_PADDING` in all."""
    heap = [(-_padded_places(lengths[batch]), i, batch) for i, batch in enumerate(batches)]
    heapq.heapify(heap)
    padded_places, made = -sum(places for places, _, _ in heap), len(batches)
    while padded_places > MOST_PADDING * (padded_places + int(lengths.sum())):
        places, _, whole = heapq.heappop(heap)
        padded_places += places
        for half in (whole[: len(whole) // 2], whole[len(whole) // 2 :]):
            heapq.heappush(heap, (-_padded_places(lengths[half]), made, half))
            padded_places += _padded_places(lengths[half])
            made += 1
    return [batch for _, _, batch in sorted(heap, key=lambda entry: entry[1])]


def by_length(lengths: Indices, batch_size: int) -> Iterator[Indices]:
    """All texts once, longest first, in batches of positions, each [<= batch_size]."""
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def padding(lengths: Indices, batches: Sequence[Indices]) -> float:
    """Padded places as a share of all places that the batches span."""
    padded_places = sum(_padded_places(lengths[batch]) for batch in batches)
    return padded_places / (padded_places + int(lengths.sum()))


def _padded_places(lengths: Indices) -> int:
    return int(lengths.max()) * len(lengths) - int(lengths.sum())


@dataclass(frozen=True)
class Distinct:
    """The M different ids of a batch's N, and which rows of the batch hold each.

    `ids` [M] rising; `index` [N] int32: row n holds ids[index[n]]; `order` [N]: the batch's rows, those that hold
    ids[0] first; `starts` [M + 1]: where in `order` the rows of each begin, and N.
    """

    ids: Ids
    index: Ids
    order: Indices
    starts: Indices

    @classmethod
    def of(cls, ids: Ids) -> Distinct:
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
class Packed:
    """Texts sorted by length, longest first, without padding.

    `ids` [N] holds the first token of every text, then the second of every text that has one, and so on;
    `batch_sizes` [T] says how many texts each step has.
    """

    ids: Ids
    batch_sizes: Indices

    @cached_property
    def distinct(self) -> Distinct:
        """The different ids, each of which is worth computing with once."""
        return Distinct.of(self.ids)

    def lengths(self) -> Indices:
        """[B] the number of tokens of each text."""
        texts = np.arange(self.batch_sizes[0])
        return np.searchsorted(-self.batch_sizes, -texts, side="left").astype(np.int64, copy=False)

    def places(self) -> tuple[Indices, Indices]:
        """Of each row [N], which step of which text it is."""
        steps = np.repeat(np.arange(len(self.batch_sizes)), self.batch_sizes)
        return steps, np.arange(len(steps)) - self._starts()[steps]

    def turned(self) -> Indices:
        """[N] the rows in an order that turns every text round within its own length."""
        steps, texts = self.places()
        first = self._starts()
        turned: Indices = first[self.lengths()[texts] - 1 - steps] + texts
        return turned

    def _starts(self) -> Indices:
        """[T] the first row of every step."""
        ends: Indices = np.cumsum(self.batch_sizes)
        return ends - self.batch_sizes


def packed(texts: Sequence[Ids]) -> Packed:
    """Packs texts that are sorted by length, longest first, each with at least one token."""
    lengths = lengths_of(texts)
    steps = np.arange(lengths[0])
    batch_sizes = np.searchsorted(-lengths, -steps, side="left")
    grid = np.zeros((len(texts), lengths[0]), np.int32)
    for row, ids in enumerate(texts):
        grid[row, : len(ids)] = ids
    return Packed(grid.T[steps[:, None] < lengths[None, :]], batch_sizes.astype(np.int64))
