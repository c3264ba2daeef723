"""Suspect labels, found by confident learning with a bag-of-words classifier.

The texts are divided into five folds, and the baseline trained on four folds predicts the fifth. A label is suspect
if the predicted probability of another class reaches the average probability of that class over the texts labelled
with it (Northcutt, Jiang & Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels", eq. 1).

A classifier that is often wrong suspects mostly right labels. Therefore no label is suspect unless the classifier
predicts at least `MIN_AGREEMENT` of the labels, and at least `MIN_GAIN` of those that always answering the most
frequent class misses, beyond the error of the measurement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import fastlstm.nn  # noqa: F401 -- first: reports a missing `train` extra
from fastlstm._typing import DoubleArray, IndexArray
from fastlstm.checks.corpus import Corpus, Example
from fastlstm.metrics import wilson_interval
from fastlstm.training.linear import baseline_probabilities, count_ngrams

# isort: split
from scipy.sparse import csr_matrix

FOLDS = 5
SEED = 0
HISTOGRAM_BINS = 20
MIN_AGREEMENT = 0.75
"""Smallest fraction of labels that the classifier must predict for its suspicions to mean anything."""
MIN_GAIN = 0.5
"""Smallest fraction of the majority class's errors that the classifier must avoid."""


@dataclass(frozen=True)
class SuspectLabel:
    """A text, the probability of its label, and the class that it is suspected to belong to."""

    example: Example
    probability: float
    suggested: str
    suggested_probability: float


@dataclass(frozen=True)
class Confusion:
    """The number of texts labelled `label` that are suspected to belong to the class `suggested`."""

    label: str
    suggested: str
    texts: int


@dataclass(frozen=True)
class LabelNoise:
    """The result of checking labels.

    Attributes:
        checked: The number of texts checked.
        unchecked: The number of texts of classes with fewer than five distinct texts, which are not checked.
        agreement: The fraction of checked texts whose label is the predicted class.
        majority: The fraction of checked texts in the most frequent class.
        is_reliable: Whether the classifier is right often enough to suspect labels; if not, none is suspect.
        suspect: Part -> the number of suspect labels.
        confusions: The same number by classes, most frequent first.
        suspect_labels: Examples of suspect labels, the highest probability of the suggested class first.
        histogram: The number of texts by probability of their label, in 20 equal bins from 0 to 1.
    """

    checked: int
    unchecked: int
    agreement: float
    majority: float
    is_reliable: bool
    suspect: dict[str, int]
    confusions: tuple[Confusion, ...]
    suspect_labels: tuple[SuspectLabel, ...]
    histogram: tuple[int, ...]


def find_label_noise(corpus: Corpus, groups: IndexArray, max_examples: int) -> LabelNoise | None:
    """Check every label.

    Args:
        corpus: The corpus.
        groups: Its `duplicate_groups`, which keep equal texts in one fold: [n].
        max_examples: The maximum number of `suspect_labels`.

    Returns:
        The result, or None if fewer than two classes have five distinct texts.
    """
    first_per_group = np.unique(groups, return_index=True)[1]
    distinct_texts = np.bincount(corpus.targets[first_per_group], minlength=len(corpus.classes))
    checked_classes = np.flatnonzero(distinct_texts >= FOLDS)
    rows = np.flatnonzero(np.isin(corpus.targets, checked_classes))
    if len(checked_classes) < 2:
        return None
    targets = np.searchsorted(checked_classes, corpus.targets[rows])
    folds = assign_folds(np.unique(groups[rows], return_inverse=True)[1], targets)
    probabilities = out_of_fold_probabilities([corpus.texts[row] for row in rows], targets, folds)
    names = [corpus.classes[k] for k in checked_classes]
    agreement = float((probabilities.argmax(axis=1) == targets).mean())
    majority = float(np.bincount(targets).max() / len(targets))
    is_reliable = judge_is_reliable(agreement, majority, len(targets))
    suspected = suspected_classes(probabilities, targets) if is_reliable else targets
    label_probabilities = probabilities[np.arange(len(targets)), targets]
    suggested_probabilities = probabilities[np.arange(len(targets)), suspected]
    is_suspect = np.zeros(len(corpus), bool)
    is_suspect[rows] = suspected != targets
    surest_first = np.lexsort((label_probabilities, -suggested_probabilities))
    return LabelNoise(
        checked=len(rows),
        unchecked=len(corpus) - len(rows),
        agreement=agreement,
        majority=majority,
        is_reliable=is_reliable,
        suspect=corpus.count_by_part(is_suspect),
        confusions=_count_confusions(targets, suspected, names),
        suspect_labels=tuple(
            SuspectLabel(
                corpus.example(int(rows[i])),
                float(label_probabilities[i]),
                names[suspected[i]],
                float(suggested_probabilities[i]),
            )
            for i in surest_first
            if suspected[i] != targets[i]
        )[:max_examples],
        histogram=tuple(int(count) for count in np.histogram(label_probabilities, HISTOGRAM_BINS, (0, 1))[0]),
    )


def judge_is_reliable(agreement: float, majority: float, texts: int) -> bool:
    """Return whether a classifier that predicts this fraction of `texts` labels may suspect labels.

    Args:
        agreement: The fraction of labels that it predicts.
        majority: The fraction of labels in the most frequent class.
        texts: The number of labels.
    """
    lowest, _ = wilson_interval(agreement, texts)
    return agreement >= MIN_AGREEMENT and agreement - majority >= MIN_GAIN * (1 - majority) and lowest > majority


def assign_folds(groups: IndexArray, targets: IndexArray) -> IndexArray:
    """Return the fold of each text, 0 to 4: [n]. Each group is in one fold; those of a class are spread evenly.

    Args:
        groups: The group of each text, numbered without gaps: [n].
        targets: The class index of each text: [n]. The first text of a group determines the group's class.
    """
    generator = np.random.default_rng(SEED)
    group_targets = targets[np.unique(groups, return_index=True)[1]]
    group_folds = np.empty(len(group_targets), np.int64)
    for k in np.unique(group_targets):
        members = generator.permutation(np.flatnonzero(group_targets == k))
        group_folds[members] = np.arange(len(members)) % FOLDS
    return group_folds[groups]


def out_of_fold_probabilities(texts: list[str], targets: IndexArray, folds: IndexArray) -> DoubleArray:
    """Return the class probabilities of each text from the baseline trained on the other folds: [n, classes].

    Every class must occur in two folds or more. The n-grams are counted once, over all folds: the regression gives
    no weight to those that occur only in the predicted fold.
    """
    _, counts = count_ngrams(texts)
    classes = int(targets.max()) + 1
    probabilities = np.empty((len(texts), classes))
    for fold in np.unique(folds):
        test = folds == fold
        training_counts, test_counts = csr_matrix(counts[~test]), csr_matrix(counts[test])
        probabilities[test] = baseline_probabilities(training_counts, targets[~test], test_counts, classes)
    return probabilities


def suspected_classes(probabilities: DoubleArray, targets: IndexArray) -> IndexArray:
    """Return the class that confident learning assigns to each text: its label unless that is suspect. [n]

    Args:
        probabilities: Class probabilities from models that were not trained on the text: [n, classes].
        targets: The index of each label: [n]. Every class occurs.
    """
    classes = probabilities.shape[1]
    thresholds = np.array([probabilities[targets == k, k].mean() for k in range(classes)])
    confident = np.where(probabilities >= thresholds, probabilities, 0)
    return np.where(confident.any(axis=1), confident.argmax(axis=1), targets)


def _count_confusions(targets: IndexArray, suspected: IndexArray, names: list[str]) -> tuple[Confusion, ...]:
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (targets, suspected), 1)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[: np.count_nonzero(counts)]
    pairs = (np.unravel_index(cell, counts.shape) for cell in order)
    return tuple(Confusion(names[i], names[j], int(counts[i, j])) for i, j in pairs)
