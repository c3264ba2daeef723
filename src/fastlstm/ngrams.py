"""Which words and word pairs a text holds: token ids -> numbers of n-grams, each named once a text.

An n-gram's number is a hash of its token ids, one of `NUMBERS`. Where 100,000 n-grams count for something, one in
forty of the others shares a number with one of them by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]
Unsigned = npt.NDArray[np.uint64]

NUMBERS = 1 << 22
LONGEST = 2
"""Tokens of the longest n-gram."""

_STIR = tuple(np.uint64(odd) for odd in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""The odd constants of SplitMix64 (Steele, Lea & Flood 2014)."""


@dataclass(frozen=True)
class NGrams:
    """`numbers` int32, text after text, rising within each; `starts` [n + 1] int64, where each text's begin."""

    numbers: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]

    def texts(self) -> npt.NDArray[np.int64]:
        """Of each number, the text that it belongs to."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


def ngrams(texts: Sequence[Ids], among: npt.NDArray[np.bool_] | None = None) -> NGrams:
    """The different n-grams of texts of at least one token each.

    `among` [NUMBERS]: only those that are true in it, which saves time.
    """
    ids = np.concatenate(texts).astype(np.uint64)
    lengths = np.fromiter((len(text) for text in texts), np.int64, len(texts))
    text = np.repeat(np.arange(len(texts), dtype=np.uint64), lengths)
    keys = []
    for size in range(1, LONGEST + 1):
        mixed = _mixed(ids, size)
        last = len(ids) - size + 1
        inside = text[:last] == text[size - 1 :]
        if among is not None:
            inside &= among[mixed]
        keys.append(text[:last][inside] << np.uint64(32) | mixed[inside])
    joined = np.sort(np.concatenate(keys))
    first = np.ones(len(joined), np.bool_)
    first[1:] = joined[1:] != joined[:-1]
    joined = joined[first]
    starts = np.searchsorted(joined, np.arange(len(texts) + 1, dtype=np.uint64) << np.uint64(32))
    return NGrams((joined & np.uint64(0xFFFFFFFF)).astype(np.int32), starts.astype(np.int64))


class Evidence:
    """What n-grams that were learned to matter add to the logits of texts."""

    def __init__(self, numbers: npt.NDArray[np.int32], weight: npt.NDArray[np.float32]) -> None:
        """`numbers` [K], rising; `weight` [K, logits], what each adds."""
        self._among = np.zeros(NUMBERS, np.bool_)
        self._among[numbers] = True
        self._numbers = numbers
        self._weight = weight

    def __call__(self, texts: Sequence[Ids]) -> npt.NDArray[np.float32]:
        """[n, logits] for texts of at least one token. A row depends on its text alone, to the last bit."""
        found = ngrams(texts, self._among)
        rows = self._weight[np.searchsorted(self._numbers, found.numbers)]
        of = found.texts()
        # bincount adds one by one in order, as no other sum of NumPy does.
        columns = [np.bincount(of, column, len(texts)) for column in rows.T]
        return np.stack(columns, axis=1).astype(np.float32)


def _mixed(ids: Unsigned, size: int) -> Unsigned:
    """The number of every n-gram of that size, across the ends of texts too."""
    count = len(ids) - size + 1
    result = np.full(max(count, 0), size, np.uint64)
    for place in range(size):
        result = _stirred(result + (ids[place : place + len(result)] + np.uint64(1)) * _STIR[0])
    numbers: Unsigned = result & np.uint64(NUMBERS - 1)
    return numbers


def _stirred(values: Unsigned) -> Unsigned:
    """SplitMix64's finaliser: every bit of the result depends on every bit that went in."""
    values = (values ^ (values >> np.uint64(30))) * _STIR[1]
    values = (values ^ (values >> np.uint64(27))) * _STIR[2]
    result: Unsigned = values ^ (values >> np.uint64(31))
    return result
