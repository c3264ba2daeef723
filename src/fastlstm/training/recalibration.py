"""Recalibrate a saved classifier: fit its probabilities, threshold and early exit on new labelled texts."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from fastlstm.config.classifier import CalibrationMode, ThresholdMetric
from fastlstm.data import Dataset
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier
from fastlstm.metrics import Report, evaluate
from fastlstm.notes import Note
from fastlstm.serialization import weights
from fastlstm.training.calibration import Calibration, best_threshold, calibrate, check_threshold_metric
from fastlstm.training.early_exit import add_early_exit
from fastlstm.training.events import Calibrated


@dataclass(frozen=True)
class RecalibrationResult:
    """The recalibrated classifier, its calibration, the reports before and after, and notes for the user."""

    classifier: Classifier
    calibration: Calibration
    before: Report
    after: Report
    notes: tuple[Note, ...]


def recalibrate(
    classifier: Classifier,
    dataset: Dataset,
    *,
    calibration: CalibrationMode = "auto",
    threshold_metric: ThresholdMetric = "none",
    early_exit: bool = False,
) -> RecalibrationResult:
    """Fit temperature or vector scaling, decision threshold and early exit on labelled texts.

    Args:
        classifier: The classifier; it is not changed.
        dataset: Texts that the classifier was not trained on.
        calibration: "auto", or "none" to keep the probabilities.
        threshold_metric: Metric that the decision threshold of two classes maximizes; "none" keeps the threshold.
        early_exit: Whether to fit early-exit thresholds.

    Raises:
        DataError: No texts, or an unknown label.
        OptionError: A threshold for other than two classes, or early exit of a bidirectional model.
    """
    saved = classifier.saved
    if not len(dataset):
        raise DataError(
            f"{dataset.source} contains no texts; expected labelled texts",
            code="empty-dataset",
            source=dataset.source,
        )
    check_threshold_metric(threshold_metric, len(saved.labels), "the model has")
    if early_exit and saved.config.bidirectional:
        raise OptionError(
            "early exit needs a unidirectional model; train or distill one with bidirectional set to false",
            code="early-exit-needs-unidirectional",
        )
    classes = dataset.label_indices(saved.labels)
    tokenized = classifier.tokenize(dataset.texts)
    divided = classifier.network.logits(tokenized.ids, tokenized.untruncated)
    before = evaluate(classifier.network.to_probabilities(divided), classes, saved.labels, saved.threshold)
    logits = divided * np.float32(saved.temperature)
    chosen, notes = Calibration(temperature=saved.temperature, texts=len(classes)), list[Note]()
    if calibration == "auto":
        fitted = calibrate(logits, classes, sigmoid=weights.uses_sigmoid(saved.config, len(saved.labels)))
        if fitted.why_not:
            notes.append(Note(f"probabilities not calibrated: {fitted.why_not}", "not-calibrated"))
        else:
            chosen = fitted
    threshold = _rescale_threshold(saved.threshold, saved.temperature, chosen.temperature)
    result = Classifier(
        dataclasses.replace(
            saved, weights=chosen.fold(saved.weights), temperature=chosen.temperature, threshold=threshold
        )
    )
    if threshold_metric != "none":
        probabilities = result.predict_proba(dataset.texts)[:, 1]
        threshold = best_threshold(probabilities, classes, threshold_metric)
        result = Classifier(dataclasses.replace(result.saved, threshold=threshold))
    if early_exit:
        result, note = add_early_exit(result, dataset.texts)
        notes.append(note)
    elif saved.early_exit is not None and (chosen.method != "none" or threshold != saved.threshold):
        result = Classifier(dataclasses.replace(result.saved, early_exit=None))
        notes.append(
            Note("early exit removed: it was fitted for the old probabilities; fit it again", "early-exit-removed")
        )
    after = result.evaluate(dataset)
    record = Calibrated(chosen, saved.labels, threshold_metric, before, after).to_json()
    training = {**saved.training, "calibration": record}
    result = Classifier(dataclasses.replace(result.saved, training=training))
    return RecalibrationResult(result, chosen, before, after, tuple(notes))


def _rescale_threshold(threshold: float, before: float, after: float) -> float:
    """Return the threshold that gives the same predictions with temperature `after` as `threshold` with `before`."""
    if threshold in (0.0, 0.5, 1.0) or before == after:
        return threshold
    logit = math.log(threshold / (1 - threshold)) * before / after
    return 1 / (1 + math.exp(-logit))
