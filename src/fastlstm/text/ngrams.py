"""N-gram features: token ids -> ids of the n-grams in a text, each once per text.

An n-gram's id is a hash of its token ids and its kind, below `NGRAM_ID_COUNT`. If a model has weights for 200,000
n-grams, one in twenty of all other n-grams shares an id with one of them by chance.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastlstm._typing import BoolArray, FloatArray, HashArray, IndexArray, TokenIds

NGRAM_ID_COUNT = 1 << 22
"""Number of possible n-gram ids."""
NO_LIMIT = np.iinfo(np.int64).max
"""Window length of n-grams that count anywhere in a text, in tokens."""
CHUNK_TEXTS = 1024
"""Texts whose n-grams are sorted together; sorting takes 16 bytes per token and kind."""

MIX_CONSTANTS = tuple(np.uint64(odd) for odd in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""The odd constants of SplitMix64 (Steele, Lea & Flood 2014)."""


@dataclass(frozen=True)
class NGramKind:
    """A kind of n-gram.

    Attributes:
        tag: The start value of the hash, different for each kind.
        offsets: The positions of its tokens, relative to the first.
        beginning: Only n-grams within this many first tokens of a text count; 0: no such limit.
        end: Only n-grams within this many last tokens of a text count; 0: no such limit.
    """

    tag: int
    offsets: tuple[int, ...]
    beginning: int = 0
    end: int = 0


_PAIRS = (NGramKind(1, (0,)), NGramKind(2, (0, 1)))
END_WINDOWS, BEGINNING_WINDOWS = (10, 30, 100, 300), (30, 100)
"""Windows at the end and at the beginning of a text with separate n-gram kinds, in tokens."""
NGRAM_KINDS: Mapping[str, tuple[NGramKind, ...]] = types.MappingProxyType(
    {
        "pairs": _PAIRS,
        "places": (
            *_PAIRS,
            NGramKind(3, (0, 2)),
            *(
                NGramKind(4 + 2 * window + size - 1, tuple(range(size)), beginning=beginning, end=end)
                for window, (beginning, end) in enumerate(
                    [*((0, end) for end in END_WINDOWS), *((beginning, 0) for beginning in BEGINNING_WINDOWS)]
                )
                for size in (1, 2)
            ),
        ),
    }
)
"""The values of `ngram_kinds`. "pairs": words and word pairs. "places": also pairs with one word between them, and
the words and pairs in windows at either end of a text."""


@dataclass(frozen=True)
class NGrams:
    """The n-grams of texts: `ids` int32, text after text, increasing within each; `starts` int64 [n + 1]."""

    ids: TokenIds
    starts: IndexArray

    def text_indices(self) -> IndexArray:
        """Return the index of the text of each id."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


def extract_ngrams(
    texts: Sequence[TokenIds],
    mask: BoolArray | None = None,
    kinds: Sequence[NGramKind] = NGRAM_KINDS["pairs"],
) -> NGrams:
    """Return the distinct n-grams of texts of at least one token each.

    `mask` [NGRAM_ID_COUNT] selects the ids to return; without it, all are returned.
    """
    if len(texts) > CHUNK_TEXTS:
        chunks = [
            extract_ngrams(texts[start : start + CHUNK_TEXTS], mask, kinds)
            for start in range(0, len(texts), CHUNK_TEXTS)
        ]
        lengths = np.concatenate([np.diff(chunk.starts) for chunk in chunks])
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        return NGrams(np.concatenate([chunk.ids for chunk in chunks]), starts)
    keys = [group.text << np.uint64(32) | group.ids for group in find_occurrences(texts, kinds, mask)]
    joined = np.sort(np.concatenate(keys))
    is_first = np.ones(len(joined), np.bool_)
    is_first[1:] = joined[1:] != joined[:-1]
    joined = joined[is_first]
    starts = np.searchsorted(joined, np.arange(len(texts) + 1, dtype=np.uint64) << np.uint64(32))
    return NGrams((joined & np.uint64(0xFFFFFFFF)).astype(np.int32), starts.astype(np.int64))


@dataclass(frozen=True)
class Occurrences:
    """Occurrences of n-grams whose kinds have the same `offsets`, repeated ones included.

    For each: `text`, the index of its text; `ids`, its n-gram id; `first`, the position of its first token in all
    texts concatenated.
    """

    offsets: tuple[int, ...]
    text: HashArray
    ids: HashArray
    first: IndexArray


def find_occurrences(
    texts: Sequence[TokenIds], kinds: Sequence[NGramKind], mask: BoolArray | None, *, before: int = 0
) -> Iterator[Occurrences]:
    """Yield the occurrences of n-grams, one item for all kinds with the same offsets.

    `before`: the number of tokens of each text that precede those given.
    """
    tokens = np.concatenate(texts).astype(np.uint64) + np.uint64(1)
    lengths = np.fromiter((len(text) for text in texts), np.int64, len(texts))
    text_index = np.repeat(np.arange(len(texts), dtype=np.uint64), lengths)
    position = np.arange(len(tokens)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    remaining = np.repeat(lengths, lengths) - position  # tokens up to the end of the text, this one included
    for offsets in dict.fromkeys(kind.offsets for kind in kinds):
        group = [kind for kind in kinds if kind.offsets == offsets]
        tags = np.array([kind.tag for kind in group], np.uint64)
        windows = np.array([[kind.beginning or NO_LIMIT, kind.end or NO_LIMIT] for kind in group])
        last = before + position + offsets[-1]
        is_inside = (remaining > offsets[-1]) & (last < windows[:, :1]) & (remaining <= windows[:, 1:])
        kind_index, first = np.nonzero(is_inside)
        ids = tags[kind_index]
        for offset in offsets:
            ids = _mix(ids + tokens[first + offset] * MIX_CONSTANTS[0])
        ids &= np.uint64(NGRAM_ID_COUNT - 1)
        text = text_index[first]
        if mask is not None:
            selected = mask[ids]
            text, ids, first = text[selected], ids[selected], first[selected]
        yield Occurrences(offsets, text, ids, first)


class NGramLogits:
    """A linear model of n-grams, which adds to the logits of texts.

    It is the definition that the kernel is compared with. See also `fastlstm.inference.ngrams`.

    Attributes:
        ids: int32 [K], increasing, the n-grams that have weights.
        weight: float32 [K, logits].
        kinds: The kinds of its n-grams.
        window: The number of last tokens of a text on which the n-grams of later tokens depend.
    """

    def __init__(
        self,
        ids: TokenIds,
        weight: FloatArray,
        kinds: Sequence[NGramKind] = NGRAM_KINDS["pairs"],
    ) -> None:
        """Build the model from `ids` [K], increasing, and their `weight` [K, logits]."""
        self.ids = ids
        self.kinds = kinds
        self.window = max(kind.end or kind.offsets[-1] for kind in kinds)
        self.weight = weight

    @cached_property
    def mask(self) -> BoolArray:
        """Whether the model has a weight for an id, bool [NGRAM_ID_COUNT]."""
        mask = np.zeros(NGRAM_ID_COUNT, np.bool_)
        mask[self.ids] = True
        return mask

    def __call__(self, texts: Sequence[TokenIds]) -> FloatArray:
        """Return [n, logits] for texts of at least one token. Each row depends on its text alone, bit for bit."""
        ngrams = extract_ngrams(texts, self.mask, self.kinds)
        return self._sum(ngrams.ids, ngrams.text_indices(), len(texts))

    def from_ids(self, ids: TokenIds) -> FloatArray:
        """Return [1, logits] for one text's distinct n-grams, increasing and all in `mask`; bits as in a call."""
        return self._sum(ids, np.zeros(len(ids), np.int64), 1)

    def _sum(self, ids: TokenIds, text_indices: IndexArray, texts: int) -> FloatArray:
        rows = self.weight[np.searchsorted(self.ids, ids)]
        # Of NumPy's sums, only bincount adds the terms one by one in order.
        columns = [np.bincount(text_indices, column, texts) for column in rows.T]
        return np.stack(columns, axis=1).astype(np.float32)

    def by_token(self, ids: TokenIds) -> FloatArray:
        """Return [T, logits], the contribution of each token of one text. The rows sum to the result of a call.

        The weight of an n-gram is divided equally among its tokens and its occurrences.
        """
        groups = list(find_occurrences([ids], self.kinds, self.mask))
        all_ids = np.concatenate([group.ids for group in groups])
        counts = dict(zip(*np.unique(all_ids, return_counts=True), strict=True))
        result = np.zeros((len(ids), self.weight.shape[1]), np.float64)
        for group in groups:
            if not len(group.ids):
                continue
            shares = np.array([counts[ngram] for ngram in group.ids], np.float64) * len(group.offsets)
            rows = self.weight[np.searchsorted(self.ids, group.ids.astype(np.int32))] / shares[:, None]
            for offset in group.offsets:
                np.add.at(result, group.first + offset, rows)
        return result.astype(np.float32)


def _mix(values: HashArray) -> HashArray:
    """Return the output of SplitMix64's finalizer: each of its bits depends on each input bit."""
    values = (values ^ (values >> np.uint64(30))) * MIX_CONSTANTS[1]
    values = (values ^ (values >> np.uint64(27))) * MIX_CONSTANTS[2]
    result: HashArray = values ^ (values >> np.uint64(31))
    return result
