"""Texts that stand more than once: within a part, across parts, and with labels that contradict each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastlstm.checks.corpus import Corpus, Example
from fastlstm.text.tokenizer import clean_text

SHOWN_OF_ONE = 6
"""Of the places where one text stands, so many are named."""


@dataclass(frozen=True)
class RepeatedText:
    """One text that stands `times` times, and some of the places: each label's first one among them."""

    times: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Overlap:
    """How many texts of `part` stand in the `others` too: alike, and alike to the letter."""

    part: str
    others: tuple[str, ...]
    texts: int
    to_the_letter: int


@dataclass(frozen=True)
class Duplicates:
    """Texts are alike that differ in upper and lower case, white space and HTML line breaks alone.

    different: the different texts there are.
    within: part -> the texts that stand there before already.
    across: each part that shares a text with those before it.
    conflicts: different texts that stand with more than one label; `conflicting` texts in all.
    repeated, contradicting: examples, the most frequent first; those with one label, and those with several.
    """

    different: int
    within: dict[str, int]
    across: tuple[Overlap, ...]
    conflicts: int
    conflicting: int
    repeated: tuple[RepeatedText, ...]
    contradicting: tuple[RepeatedText, ...]


def duplicate_groups(texts: list[str]) -> npt.NDArray[np.int64]:
    """[n] the number of each text's group of like texts: 0, 1, ... in the order in which they first come."""
    number: dict[str, int] = {}
    alike = (" ".join(clean_text(text).lower().split()) for text in texts)
    return np.fromiter((number.setdefault(text, len(number)) for text in alike), np.int64, len(texts))


def find_duplicates(pool: Corpus, groups: npt.NDArray[np.int64], most: int) -> Duplicates:
    """What `duplicate_groups` the pool's texts tells, with at most `most` examples of each kind."""
    times = np.bincount(groups)
    contradicting = _labels_in(pool, groups) > 1
    return Duplicates(
        different=len(times),
        within={part: _repeats(groups[pool.within(part)]) for part in pool.parts},
        across=tuple(o for part in list(pool.parts)[1:] if (o := _overlap(pool, groups, part)).texts),
        conflicts=int(contradicting.sum()),
        conflicting=int(times[contradicting].sum()),
        repeated=_most_frequent(pool, groups, np.where(contradicting, 0, times), most),
        contradicting=_most_frequent(pool, groups, np.where(contradicting, times, 0), most),
    )


def _repeats(groups: npt.NDArray[np.int64]) -> int:
    return len(groups) - len(np.unique(groups))


def _labels_in(pool: Corpus, groups: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """[groups] how many different labels each group has."""
    different = np.unique(groups * len(pool.classes) + pool.truth)
    return np.bincount(different // len(pool.classes))


def _overlap(pool: Corpus, groups: npt.NDArray[np.int64], part: str) -> Overlap:
    names = list(pool.parts)
    others = tuple(names[: names.index(part)])
    before = pool.part_of < len(others)
    known = {text for other in others for text in pool.parts[other].texts}
    return Overlap(
        part=part,
        others=others,
        texts=int(np.isin(groups[pool.within(part)], groups[before]).sum()),
        to_the_letter=sum(text in known for text in pool.parts[part].texts),
    )


def _most_frequent(
    pool: Corpus, groups: npt.NDArray[np.int64], times: npt.NDArray[np.int64], most: int
) -> tuple[RepeatedText, ...]:
    """The groups that count more than one of `times` [groups], the largest first."""
    largest = [int(group) for group in np.argsort(-times, kind="stable")[:most] if times[group] > 1]
    return tuple(
        RepeatedText(int(times[group]), _places(pool, np.flatnonzero(groups == group))) for group in largest
    )


def _places(pool: Corpus, indices: npt.NDArray[np.int64]) -> tuple[Example, ...]:
    first_of_labels = indices[np.unique(pool.truth[indices], return_index=True)[1]]
    rest = indices[~np.isin(indices, first_of_labels)]
    shown = np.concatenate([first_of_labels, rest])[:SHOWN_OF_ONE]
    return tuple(pool.example(int(index)) for index in np.sort(shown))
