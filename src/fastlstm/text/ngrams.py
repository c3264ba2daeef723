"""Which words and word pairs a text holds: token ids -> numbers of n-grams, each named once a text.

An n-gram's number is a hash of its token ids and its kind, one of `NUMBERS`. Where 200,000 n-grams count for
something, one in twenty of the others shares a number with one of them by chance.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastlstm._typing import HashArray, TokenIds

NUMBERS = 1 << 22
NO_LIMIT = np.iinfo(np.int64).max
TEXTS_TOGETHER = 1024
"""Texts whose n-grams are sorted at a time, which takes 16 bytes for each word and kind."""

_STIR = tuple(np.uint64(odd) for odd in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""The odd constants of SplitMix64 (Steele, Lea & Flood 2014)."""


@dataclass(frozen=True)
class NGramKind:
    """A kind of n-gram.

    `tag` tells its numbers from other kinds'. It is made of the tokens that stand `offsets` after its first,
    and counts where all of it stands among the first `beginning` tokens of a text, or the last `end`; 0: anywhere.
    """

    tag: int
    offsets: tuple[int, ...]
    beginning: int = 0
    end: int = 0


_PAIRS = (NGramKind(1, (0,)), NGramKind(2, (0, 1)))
ENDS, BEGINNINGS = (10, 30, 100, 300), (30, 100)
"""How near to the end, and to the beginning, is told apart, in tokens."""
NGRAM_KINDS: Mapping[str, tuple[NGramKind, ...]] = types.MappingProxyType(
    {
        "pairs": _PAIRS,
        "places": (
            *_PAIRS,
            NGramKind(3, (0, 2)),
            *(
                NGramKind(4 + 2 * place + size - 1, tuple(range(size)), beginning=beginning, end=end)
                for place, (beginning, end) in enumerate(
                    [*((0, end) for end in ENDS), *((beginning, 0) for beginning in BEGINNINGS)]
                )
                for size in (1, 2)
            ),
        ),
    }
)
"""What `ngram_kinds` names. "places": pairs, those with a word between, and words and pairs near either end."""


@dataclass(frozen=True)
class NGrams:
    """`numbers` int32, text after text, rising within each; `starts` [n + 1] int64, where each text's begin."""

    numbers: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]

    def texts(self) -> npt.NDArray[np.int64]:
        """Of each number, the text that it belongs to."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


def ngrams(
    texts: Sequence[TokenIds],
    among: npt.NDArray[np.bool_] | None = None,
    kinds: Sequence[NGramKind] = NGRAM_KINDS["pairs"],
) -> NGrams:
    """The different n-grams of texts of at least one token each.

    `among` [NUMBERS]: only those that are true in it, which saves time.
    """
    if len(texts) > TEXTS_TOGETHER:
        parts = [
            ngrams(texts[at : at + TEXTS_TOGETHER], among, kinds) for at in range(0, len(texts), TEXTS_TOGETHER)
        ]
        lengths = np.concatenate([np.diff(part.starts) for part in parts])
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        return NGrams(np.concatenate([part.numbers for part in parts]), starts)
    keys = [found.text << np.uint64(32) | found.number for found in occurrences(texts, kinds, among)]
    joined = np.sort(np.concatenate(keys))
    first = np.ones(len(joined), np.bool_)
    first[1:] = joined[1:] != joined[:-1]
    joined = joined[first]
    starts = np.searchsorted(joined, np.arange(len(texts) + 1, dtype=np.uint64) << np.uint64(32))
    return NGrams((joined & np.uint64(0xFFFFFFFF)).astype(np.int32), starts.astype(np.int64))


@dataclass(frozen=True)
class Occurrences:
    """N-grams of kinds with the same `offsets`, repeated ones too.

    The text, the number, and the place of the first token of each.
    """

    offsets: tuple[int, ...]
    text: HashArray
    number: HashArray
    first: npt.NDArray[np.int64]


def occurrences(
    texts: Sequence[TokenIds], kinds: Sequence[NGramKind], among: npt.NDArray[np.bool_] | None, *, before: int = 0
) -> Iterator[Occurrences]:
    """What is found of kinds, those with the same offsets together; places count through all texts.

    `before`: tokens of each text that stood before those given.
    """
    ids = np.concatenate(texts).astype(np.uint64) + np.uint64(1)
    lengths = np.fromiter((len(text) for text in texts), np.int64, len(texts))
    text = np.repeat(np.arange(len(texts), dtype=np.uint64), lengths)
    place = np.arange(len(ids)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    left = np.repeat(lengths, lengths) - place  # tokens from here to the text's end
    for offsets in dict.fromkeys(kind.offsets for kind in kinds):
        alike = [kind for kind in kinds if kind.offsets == offsets]
        tags = np.array([kind.tag for kind in alike], np.uint64)
        most = np.array([[kind.beginning or NO_LIMIT, kind.end or NO_LIMIT] for kind in alike])
        last = before + place + offsets[-1]
        there = (left > offsets[-1]) & (last < most[:, :1]) & (left <= most[:, 1:])
        of_kind, first = np.nonzero(there)
        number = tags[of_kind]
        for offset in offsets:
            number = _stirred(number + ids[first + offset] * _STIR[0])
        number &= np.uint64(NUMBERS - 1)
        of = text[first]
        if among is not None:
            kept = among[number]
            of, number, first = of[kept], number[kept], first[kept]
        yield Occurrences(offsets, of, number, first)


class NGramLogits:
    """What n-grams that were learned to matter add to the logits of texts."""

    def __init__(
        self,
        numbers: npt.NDArray[np.int32],
        weight: npt.NDArray[np.float32],
        kinds: Sequence[NGramKind] = NGRAM_KINDS["pairs"],
    ) -> None:
        """`numbers` [K], rising, of those `kinds`; `weight` [K, logits], what each adds.

        `among` [NUMBERS] then says which numbers these are.
        """
        self.kinds = kinds
        self.among = np.zeros(NUMBERS, np.bool_)
        self.among[numbers] = True
        self._numbers = numbers
        self._weight = weight

    def __call__(self, texts: Sequence[TokenIds]) -> npt.NDArray[np.float32]:
        """[n, logits] for texts of at least one token. A row depends on its text alone, to the last bit."""
        found = ngrams(texts, self.among, self.kinds)
        return self._sum(found.numbers, found.texts(), len(texts))

    def of_numbers(self, numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """[1, logits] of one text's different n-grams, rising, all learned: with the bits that a call gives."""
        return self._sum(numbers, np.zeros(len(numbers), np.int64), 1)

    def _sum(
        self, numbers: npt.NDArray[np.int32], of: npt.NDArray[np.int64], texts: int
    ) -> npt.NDArray[np.float32]:
        rows = self._weight[np.searchsorted(self._numbers, numbers)]
        # bincount adds one by one in order, as no other sum of NumPy does.
        columns = [np.bincount(of, column, texts) for column in rows.T]
        return np.stack(columns, axis=1).astype(np.float32)

    def of_tokens(self, ids: TokenIds) -> npt.NDArray[np.float32]:
        """[T, logits] what each token of one text adds: an n-gram's share is the same for all tokens it is made of.

        One that stands in the text several times counts once, as it does there, and is shared by all its places.
        The rows sum to what a call gives.
        """
        found = list(occurrences([ids], self.kinds, self.among))
        times = dict(zip(*np.unique(np.concatenate([of.number for of in found]), return_counts=True), strict=True))
        result = np.zeros((len(ids), self._weight.shape[1]), np.float64)
        for of in found:
            if not len(of.number):
                continue
            places = np.array([times[number] for number in of.number], np.float64) * len(of.offsets)
            rows = self._weight[np.searchsorted(self._numbers, of.number.astype(np.int32))] / places[:, None]
            for offset in of.offsets:
                np.add.at(result, of.first + offset, rows)
        return result.astype(np.float32)


def _stirred(values: HashArray) -> HashArray:
    """SplitMix64's finaliser: every bit of the result depends on every bit that went in."""
    values = (values ^ (values >> np.uint64(30))) * _STIR[1]
    values = (values ^ (values >> np.uint64(27))) * _STIR[2]
    result: HashArray = values ^ (values >> np.uint64(31))
    return result
