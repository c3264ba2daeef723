"""A classifier that has learned when a text need not be read on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression

from fastlstm._typing import FloatArray, IndexArray
from fastlstm.inference import Classifier
from fastlstm.inference.early_exit import predict_in_stages
from fastlstm.nn.runs import Note
from fastlstm.serialization.early_exit import NEVER_EXIT, EarlyExit, ExitThreshold
from fastlstm.text.batches import lengths_of

AGREEMENTS = (0.9, 0.95, 0.97, 0.98, 0.99, 0.995)
"""What is learned; more needs more texts than usual validation has."""
MIN_TEXTS = 20
"""Different probabilities at a stage, from which something is learned of it."""
SHARES = np.concatenate([np.arange(0.5, 0.9, 0.02), np.arange(0.9, 1.0, 0.0025)])
"""What may be asked of an answer at a stage: how likely it is to stay."""


@dataclass(frozen=True)
class _Curve:
    """How likely an answer is to stay, by its probability: both rising."""

    probabilities: FloatArray
    stays: npt.NDArray[np.float64]

    def reaches(self, share: float) -> float:
        """The lowest probability at which it is at least `share`; `NEVER_EXIT` if it nowhere is."""
        at = int(np.searchsorted(self.stays, share))
        return float(self.probabilities[at]) if at < len(self.stays) else NEVER_EXIT


@dataclass(frozen=True)
class PredictionCourse:
    """What a model said of texts at each of its `stages`.

    `predicted` [n, stages] and its `probability` [n, stages], which is -1 where a text was over before; `whole`
    [n], the class of the whole text, and `lengths` [n].
    """

    stages: tuple[int, ...]
    predicted: IndexArray
    probability: FloatArray
    whole: IndexArray
    lengths: IndexArray

    def curve(self, stage: int) -> _Curve:
        """How likely answers are to stay, of the texts that go on after this stage."""
        going = self.lengths > self.stages[stage]
        probability = self.probability[going, stage]
        if len(np.unique(probability)) < MIN_TEXTS:
            return _Curve(np.empty(0, np.float32), np.empty(0))
        stays = self.predicted[going, stage] == self.whole[going]
        fitted = IsotonicRegression(out_of_bounds="clip").fit(probability, stays)
        grid = np.unique(probability)
        return _Curve(grid, fitted.predict(grid))

    def stopped(self, probabilities: Sequence[float]) -> tuple[float, float]:
        """The share of tokens saved, and that of texts whose answer is another, where reading stops by these."""
        going = self.lengths[:, None] > np.array(self.stages)
        stops = going & (self.probability >= np.array(probabilities, np.float32))
        first = stops.argmax(axis=1)
        stopped = stops.any(axis=1)
        rows = np.arange(len(first))
        read = np.where(stopped, np.array(self.stages)[first], self.lengths)
        answer = np.where(stopped, self.predicted[rows, first], self.whole)
        return 1 - float(read.sum()) / float(self.lengths.sum()), float((answer != self.whole).mean())


def fit_early_exit(course: PredictionCourse) -> EarlyExit:
    """What can be saved, and how, from what a model said on the way through texts that it was not trained on."""
    curves = [course.curve(stage) for stage in range(len(course.stages))]
    tried = [tuple(curve.reaches(share) for curve in curves) for share in SHARES]
    came = [course.stopped(probabilities) for probabilities in tried]
    bars = []
    for agreement in AGREEMENTS:
        for probabilities, (saved, disagreement) in zip(tried, came, strict=True):
            error = np.sqrt(disagreement * (1 - disagreement) / len(course.whole))
            if disagreement + error <= 1 - agreement:
                bars.append(ExitThreshold(agreement, probabilities, saved, disagreement))
                break
        else:
            bars.append(ExitThreshold(agreement, (NEVER_EXIT,) * len(course.stages), 0.0, 0.0))
    return EarlyExit(course.stages, tuple(bars), len(course.whole))


STAGES = (10, 20, 30, 40, 60, 80, 100, 130, 160, 200, 250, 300, 350, 400, 500, 650, 800)
"""Tokens after which an answer is looked at."""
REPORTED_AGREEMENT = 0.99
"""The agreement of which a run tells what it saves."""


def add_early_exit(classifier: Classifier, texts: Sequence[str]) -> tuple[Classifier, Note]:
    """The same classifier, and what there is to say; one that reads in both directions stays as it is."""
    model = classifier.model
    if model.config.bidirectional:
        return classifier, Note("no early exit: the model reads in both directions")
    learned = fit_early_exit(prediction_course(classifier, texts))
    bar = learned.bar(REPORTED_AGREEMENT)
    said = (
        f"early exit, learned on {learned.texts:,} texts: to have {REPORTED_AGREEMENT:.0%} of the answers of whole texts, "
        f"{bar.saved:.0%} of the tokens there need not be read; {bar.disagreement:.2%} of the answers are others"
    )
    return Classifier(dataclasses.replace(model, early_exit=learned)), Note(said)


def prediction_course(classifier: Classifier, texts: Sequence[str]) -> PredictionCourse:
    """What a classifier of one direction says of texts at each stage that is no longer than what it reads."""
    encoded, most = classifier.encode(texts), classifier.model.config.max_tokens
    stages = tuple(stage for stage in STAGES if stage < most) or (most,)
    lengths = lengths_of(encoded.ids)
    predicted = np.zeros((len(lengths), len(stages)), np.int64)
    probability = np.full((len(lengths), len(stages)), -1, np.float32)

    def watch(
        number: int, going: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.bool_]:
        chosen = classifier.choose(probabilities)
        predicted[going, number] = chosen
        probability[going, number] = probabilities[np.arange(len(going)), chosen]
        return np.zeros(len(going), np.bool_)

    whole = classifier.choose(predict_in_stages(classifier.network, encoded, stages, watch).probabilities)
    return PredictionCourse(stages, predicted, probability, whole, lengths)
