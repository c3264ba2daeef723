"""Fit early-exit thresholds: the probabilities at which reading a text may stop without changing its prediction."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import IsotonicRegression

from fastlstm._typing import BoolArray, DoubleArray, FloatArray, IndexArray
from fastlstm.inference import Classifier
from fastlstm.inference.early_exit import predict_in_stages
from fastlstm.notes import Note
from fastlstm.serialization.early_exit import NEVER_EXIT, EarlyExit, ExitThreshold
from fastlstm.text.batches import lengths_of

AGREEMENTS = (0.9, 0.95, 0.97, 0.98, 0.99, 0.995)
"""Agreements for which thresholds are fitted; higher ones need more texts than most validation sets have."""
MIN_TEXTS = 20
"""Smallest number of distinct probabilities at a stage for which a threshold is fitted."""
STABILITIES = np.concatenate([np.arange(0.5, 0.9, 0.02), np.arange(0.9, 1.0, 0.0025)])
"""Candidate values of the required probability that a prediction at a stage does not change."""
STAGES = (10, 20, 30, 40, 60, 80, 100, 130, 160, 200, 250, 300, 350, 400, 500, 650, 800)
"""Numbers of tokens after which a prediction is made."""
REPORTED_AGREEMENT = 0.99
"""The agreement that the note of a run reports."""


@dataclass(frozen=True)
class _StabilityCurve:
    """The probability that a prediction does not change, by the probability of its class; both increase."""

    probabilities: FloatArray
    stability: DoubleArray

    def lowest_probability(self, stability: float) -> float:
        """Return the lowest probability with at least this stability; `NEVER_EXIT` if there is none."""
        index = int(np.searchsorted(self.stability, stability))
        return float(self.probabilities[index]) if index < len(self.stability) else NEVER_EXIT


@dataclass(frozen=True)
class PredictionCourse:
    """Predictions of a model for n texts at each stage.

    Attributes:
        stages: Numbers of tokens.
        predicted: [n, stages] class indices.
        probability: [n, stages] probability of the predicted class; -1 after the end of a text.
        final: [n] class indices predicted for whole texts.
        lengths: [n] numbers of tokens.
    """

    stages: tuple[int, ...]
    predicted: IndexArray
    probability: FloatArray
    final: IndexArray
    lengths: IndexArray

    def stability(self, stage: int) -> _StabilityCurve:
        """Fit, on the texts that continue after a stage, how stable predictions are."""
        longer = self.lengths > self.stages[stage]
        probability = self.probability[longer, stage]
        grid = np.unique(probability)
        if len(grid) < MIN_TEXTS:
            return _StabilityCurve(np.empty(0, np.float32), np.empty(0))
        unchanged = self.predicted[longer, stage] == self.final[longer]
        fitted = IsotonicRegression(out_of_bounds="clip").fit(probability, unchanged)
        return _StabilityCurve(grid, fitted.predict(grid))

    def outcome(self, probabilities: Sequence[float]) -> tuple[float, float]:
        """Return the fractions of tokens saved and of predictions changed with these thresholds, one per stage."""
        longer = self.lengths[:, None] > np.array(self.stages)
        exits = longer & (self.probability >= np.array(probabilities, np.float32))
        first = exits.argmax(axis=1)
        exited = exits.any(axis=1)
        rows = np.arange(len(first))
        tokens = np.where(exited, np.array(self.stages)[first], self.lengths)
        predicted = np.where(exited, self.predicted[rows, first], self.final)
        return 1 - float(tokens.sum()) / float(self.lengths.sum()), float((predicted != self.final).mean())


def fit_early_exit(course: PredictionCourse) -> EarlyExit:
    """Fit thresholds for each of `AGREEMENTS`, on texts that the model was not trained on."""
    curves = [course.stability(stage) for stage in range(len(course.stages))]
    candidates = [tuple(curve.lowest_probability(stability) for curve in curves) for stability in STABILITIES]
    outcomes = [course.outcome(probabilities) for probabilities in candidates]
    thresholds = []
    for agreement in AGREEMENTS:
        for probabilities, (saved, disagreement) in zip(candidates, outcomes, strict=True):
            error = np.sqrt(disagreement * (1 - disagreement) / len(course.final))
            if disagreement + error <= 1 - agreement:
                thresholds.append(ExitThreshold(agreement, probabilities, saved, disagreement))
                break
        else:
            thresholds.append(ExitThreshold(agreement, (NEVER_EXIT,) * len(course.stages), 0.0, 0.0))
    return EarlyExit(course.stages, tuple(thresholds), len(course.final))


def add_early_exit(classifier: Classifier, texts: Sequence[str]) -> tuple[Classifier, Note]:
    """Return the classifier with early-exit thresholds, and a note; a bidirectional one is returned unchanged."""
    saved = classifier.saved
    if saved.config.bidirectional:
        return classifier, Note("early exit skipped: the model is bidirectional", "early-exit-skipped")
    early_exit = fit_early_exit(prediction_course(classifier, texts))
    threshold = early_exit.threshold_for(REPORTED_AGREEMENT)
    note = Note(
        f"early exit at {REPORTED_AGREEMENT:.0%} agreement skips {threshold.saved_fraction:.0%} of the tokens and "
        f"changes {threshold.disagreement:.2%} of the predictions (fitted on {early_exit.text_count:,} texts)",
        "early-exit-fitted",
    )
    return Classifier(dataclasses.replace(saved, early_exit=early_exit)), note


def prediction_course(classifier: Classifier, texts: Sequence[str]) -> PredictionCourse:
    """Return the predictions of a unidirectional classifier at each stage within its `max_tokens`."""
    tokenized, max_tokens = classifier.tokenize(texts), classifier.saved.config.max_tokens
    stages = tuple(stage for stage in STAGES if stage < max_tokens) or (max_tokens,)
    lengths = lengths_of(tokenized.ids)
    predicted = np.zeros((len(lengths), len(stages)), np.int64)
    probability = np.full((len(lengths), len(stages)), -1, np.float32)

    def record(stage: int, active: IndexArray, probabilities: FloatArray) -> BoolArray:
        classes = classifier.choose(probabilities)
        predicted[active, stage] = classes
        probability[active, stage] = probabilities[np.arange(len(active)), classes]
        return np.zeros(len(active), np.bool_)

    final = classifier.choose(predict_in_stages(classifier.network, tokenized, stages, record).probabilities)
    return PredictionCourse(stages, predicted, probability, final, lengths)
