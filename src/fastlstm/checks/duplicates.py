"""Texts that occur more than once: within a part, in several parts, or with several labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastlstm._typing import IndexArray
from fastlstm.checks.corpus import Corpus, Example
from fastlstm.text.segmentation import clean_text

MAX_EXAMPLES_PER_TEXT = 6


@dataclass(frozen=True)
class RepeatedText:
    """A text that occurs `times` times, with up to six examples that include every label."""

    times: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Overlap:
    """The number of texts of `part` that also occur in the `others`; `identical`: character by character."""

    part: str
    others: tuple[str, ...]
    texts: int
    identical: int


@dataclass(frozen=True)
class Duplicates:
    """Repeated texts. Texts count as equal if they differ only in case, white space and HTML line breaks.

    Attributes:
        distinct: The number of distinct texts.
        within: Part -> the number of texts that repeat an earlier text of the part.
        across: The overlap of each part with the parts before it; empty overlaps are left out.
        contradictions: The number of distinct texts with more than one label.
        contradicting_texts: The number of texts with contradicting labels, including repetitions.
        repeated: Examples of repeated texts with one label, most frequent first.
        contradicting: Examples of texts with several labels, most frequent first.
    """

    distinct: int
    within: dict[str, int]
    across: tuple[Overlap, ...]
    contradictions: int
    contradicting_texts: int
    repeated: tuple[RepeatedText, ...]
    contradicting: tuple[RepeatedText, ...]


def duplicate_groups(texts: list[str]) -> IndexArray:
    """Return the group of each text: [n]. Equal texts share a group; groups are numbered by first occurrence."""
    groups: dict[str, int] = {}
    normalized = (" ".join(clean_text(text).lower().split()) for text in texts)
    return np.fromiter((groups.setdefault(text, len(groups)) for text in normalized), np.int64, len(texts))


def find_duplicates(corpus: Corpus, groups: IndexArray, max_examples: int) -> Duplicates:
    """Count the repeated texts of a corpus.

    Args:
        corpus: The corpus.
        groups: The `duplicate_groups` of its texts: [n].
        max_examples: The maximum number of `repeated` and of `contradicting` texts.
    """
    times = np.bincount(groups)
    is_contradicting = _labels_per_group(corpus, groups) > 1
    overlaps = (_overlap(corpus, groups, part) for part in list(corpus.parts)[1:])
    return Duplicates(
        distinct=len(times),
        within={part: _count_repeats(groups[corpus.part_mask(part)]) for part in corpus.parts},
        across=tuple(overlap for overlap in overlaps if overlap.texts),
        contradictions=int(is_contradicting.sum()),
        contradicting_texts=int(times[is_contradicting].sum()),
        repeated=_most_frequent(corpus, groups, np.where(is_contradicting, 0, times), max_examples),
        contradicting=_most_frequent(corpus, groups, np.where(is_contradicting, times, 0), max_examples),
    )


def _count_repeats(groups: IndexArray) -> int:
    return len(groups) - len(np.unique(groups))


def _labels_per_group(corpus: Corpus, groups: IndexArray) -> IndexArray:
    """Return the number of distinct labels of each group: [groups]."""
    pairs = np.unique(groups * len(corpus.classes) + corpus.targets)
    return np.bincount(pairs // len(corpus.classes))


def _overlap(corpus: Corpus, groups: IndexArray, part: str) -> Overlap:
    names = list(corpus.parts)
    others = tuple(names[: names.index(part)])
    in_others = corpus.part_indices < len(others)
    texts_of_others = {text for other in others for text in corpus.parts[other].texts}
    return Overlap(
        part=part,
        others=others,
        texts=int(np.isin(groups[corpus.part_mask(part)], groups[in_others]).sum()),
        identical=sum(text in texts_of_others for text in corpus.parts[part].texts),
    )


def _most_frequent(
    corpus: Corpus, groups: IndexArray, times: IndexArray, max_examples: int
) -> tuple[RepeatedText, ...]:
    """Return the groups that occur more than once according to `times` [groups], most frequent first."""
    largest = [int(group) for group in np.argsort(-times, kind="stable")[:max_examples] if times[group] > 1]
    return tuple(
        RepeatedText(int(times[group]), _group_examples(corpus, np.flatnonzero(groups == group)))
        for group in largest
    )


def _group_examples(corpus: Corpus, indices: IndexArray) -> tuple[Example, ...]:
    """Return up to six of the texts at `indices`, including the first text of each label."""
    first_per_label = indices[np.unique(corpus.targets[indices], return_index=True)[1]]
    others = indices[~np.isin(indices, first_per_label)]
    selected = np.concatenate([first_per_label, others])[:MAX_EXAMPLES_PER_TEXT]
    return tuple(corpus.example(int(index)) for index in np.sort(selected))
