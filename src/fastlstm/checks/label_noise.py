"""Labels that look wrong: what a bag of words that has not read a text says of its label.

All texts are cut into five folds, and each fold is judged by the baseline that learned from the other four. Labels
are counted as suspect by confident learning (Northcutt, Jiang & Chuang 2021, "Confident Learning: Estimating
Uncertainty in Dataset Labels", equation 1): a text is suspect if another class than its own is at least as probable
as that class is on average for the texts which have its label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import fastlstm.nn  # noqa: F401 -- first: reports a missing `train` extra
from fastlstm.checks.corpus import Corpus, Example
from fastlstm.training.linear import baseline_probabilities, count_ngrams

# isort: split
from scipy.sparse import csr_matrix

FOLDS = 5
SEED = 0
BINS = 20


@dataclass(frozen=True)
class SuspectLabel:
    """A text whose label the folds doubt: the probability of its label, and the class they hold for right."""

    example: Example
    probability: float
    instead: str
    probability_instead: float


@dataclass(frozen=True)
class Confusion:
    """So many texts labelled `label` are suspected to be of the class `instead`."""

    label: str
    instead: str
    texts: int


@dataclass(frozen=True)
class LabelNoise:
    """What the folds say of the labels.

    judged, left_out: texts with a judgement, and those of classes with fewer than five different texts.
    agreement: the share of the judged texts whose label the folds give too.
    majority: the share of the judged texts that the most frequent class has, which guessing reaches.
    suspect: part -> texts whose label looks wrong; `confusions` the same by classes, most frequent first.
    doubts: the texts of the least probable labels among those the folds give another label, surest first.
    histogram: texts by the probability of their label, in 20 equal bins from 0 to 1.
    """

    judged: int
    left_out: int
    agreement: float
    majority: float
    suspect: dict[str, int]
    confusions: tuple[Confusion, ...]
    doubts: tuple[SuspectLabel, ...]
    histogram: tuple[int, ...]


def find_label_noise(pool: Corpus, groups: npt.NDArray[np.int64], most: int) -> LabelNoise | None:
    """Judges every label; `groups` keeps like texts in one fold; `most` limits the doubts.

    None where fewer than two classes have five different texts.
    """
    different = np.bincount(pool.truth[np.unique(groups, return_index=True)[1]], minlength=len(pool.classes))
    kept = np.flatnonzero(different >= FOLDS)
    judged = np.flatnonzero(np.isin(pool.truth, kept))
    if len(kept) < 2:
        return None
    truth = np.searchsorted(kept, pool.truth[judged])
    folds = assign_folds(np.unique(groups[judged], return_inverse=True)[1], truth)
    probabilities = out_of_fold_probabilities([pool.texts[index] for index in judged], truth, folds)
    names = [pool.classes[k] for k in kept]
    suspected = find_suspects(probabilities, truth)
    predicted = probabilities.argmax(axis=1)
    own = probabilities[np.arange(len(truth)), truth]
    wrong = np.zeros(len(pool), bool)
    wrong[judged] = suspected != truth
    return LabelNoise(
        judged=len(judged),
        left_out=len(pool) - len(judged),
        agreement=float((predicted == truth).mean()),
        majority=float(np.bincount(truth).max() / len(truth)),
        suspect=pool.counted(wrong),
        confusions=_confusions(truth, suspected, names),
        doubts=tuple(
            SuspectLabel(
                pool.example(int(judged[row])),
                float(own[row]),
                names[predicted[row]],
                float(probabilities[row, predicted[row]]),
            )
            for row in np.argsort(own, kind="stable")
            if predicted[row] != truth[row]
        )[:most],
        histogram=tuple(int(count) for count in np.histogram(own, BINS, (0, 1))[0]),
    )


def assign_folds(groups: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """[n] each text's fold, 0..4: like texts in one, and the groups of every class spread evenly.

    Args:
        groups: [n] numbers of the groups of like texts, without a gap.
        truth: [n] indices of the classes; a group's class is that of its first text.
    """
    generator = np.random.default_rng(SEED)
    class_of = truth[np.unique(groups, return_index=True)[1]]
    fold_of = np.empty(len(class_of), np.int64)
    for k in np.unique(class_of):
        members = generator.permutation(np.flatnonzero(class_of == k))
        fold_of[members] = np.arange(len(members)) % FOLDS
    return fold_of[groups]


def out_of_fold_probabilities(
    texts: list[str], truth: npt.NDArray[np.int64], folds: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """[n, classes] what the baseline that learned from the other folds says of each text.

    Every class must stand in two folds or more. The n-grams are counted once, over all folds: one that stands in
    the judged fold alone gets no weight in the regression.
    """
    _, counts = count_ngrams(texts)
    classes = int(truth.max()) + 1
    result = np.empty((len(texts), classes))
    for fold in np.unique(folds):
        judged = folds == fold
        learned = csr_matrix(counts[~judged])
        result[judged] = baseline_probabilities(learned, truth[~judged], csr_matrix(counts[judged]), classes)
    return result


def find_suspects(probabilities: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """[n] the class each text is held to belong to: its own, unless confident learning suspects another.

    Args:
        probabilities: [n, classes] by models that have not read the text.
        truth: [n] the index of each label; every class occurs.
    """
    classes = probabilities.shape[1]
    thresholds = np.array([probabilities[truth == k, k].mean() for k in range(classes)])
    confident = np.where(probabilities >= thresholds, probabilities, 0)
    return np.where(confident.any(axis=1), confident.argmax(axis=1), truth)


def _confusions(
    truth: npt.NDArray[np.int64], suspected: npt.NDArray[np.int64], names: list[str]
) -> tuple[Confusion, ...]:
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (truth, suspected), 1)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[: np.count_nonzero(counts)]
    pairs = (np.unravel_index(place, counts.shape) for place in order)
    return tuple(Confusion(names[i], names[j], int(counts[i, j])) for i, j in pairs)
