"""A saved classifier whose probabilities are fitted anew, to other texts than its validation texts were."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from fastlstm.config.classifier import Calibrate, ThresholdMetric
from fastlstm.data import Dataset
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier
from fastlstm.metrics import Report, evaluate
from fastlstm.nn.runs import Note
from fastlstm.serialization import weights
from fastlstm.training.calibration import Calibration, best_threshold, calibrate
from fastlstm.training.early_exit import add_early_exit
from fastlstm.training.events import Calibrated


@dataclass(frozen=True)
class RecalibrationResult:
    """The classifier, what was fitted, how it judges the texts before and after, and what else there is to say."""

    classifier: Classifier
    calibration: Calibration
    before: Report
    after: Report
    notes: tuple[Note, ...]


def recalibrate(
    classifier: Classifier,
    records: Dataset,
    *,
    calibration: Calibrate = "auto",
    threshold_metric: ThresholdMetric = "none",
    early_exit: bool = False,
) -> RecalibrationResult:
    """Fits temperature (of many classes, vector scaling), decision threshold and early exit to labelled texts.

    Args:
        classifier: stays as it is.
        records: texts that the classifier was not trained on.
        calibration: "auto", or "none": the probabilities stay as they are.
        threshold_metric: what the threshold of two classes makes best; "none": it stays as it is.
        early_exit: learn when a text need not be read on.

    Raises:
        DataError: no texts, or a label that the classifier does not know.
        OptionError: a threshold of more than two classes, or early exit of a model of both directions.
    """
    model = classifier.model
    if not len(records):
        raise DataError(f"{records.source} holds no texts; expected one or more, each with its label")
    if threshold_metric != "none" and len(model.labels) != 2:
        raise OptionError(
            f"threshold-metric is {threshold_metric!r}, and the model has {len(model.labels)} classes; only a "
            "model of two classes has a threshold: leave it at none"
        )
    if early_exit and model.config.bidirectional:
        raise OptionError(
            "early-exit was asked for, and the model reads in both directions, so from the end too; train one with "
            "--no-bidirectional, or distill it (fastlstm distill --no-bidirectional)"
        )
    truth = records.label_indices(model.labels)
    encoded = classifier.encode(records.texts)
    scaled = classifier.network.logits(encoded.ids, encoded.whole)
    before = evaluate(classifier.network.likely(scaled), truth, model.labels, model.threshold)
    logits = scaled * np.float32(model.temperature)
    chosen, notes = Calibration(temperature=model.temperature, texts=len(truth)), list[Note]()
    if calibration == "auto":
        fitted = calibrate(logits, truth, sigmoid=weights.uses_sigmoid(model.config, len(model.labels)))
        if fitted.why_not:
            notes.append(Note(f"probabilities are left as they are: {fitted.why_not}"))
        else:
            chosen = fitted
    threshold = _carried(model.threshold, model.temperature, chosen.temperature)
    result = Classifier(
        dataclasses.replace(
            model,
            weights=chosen.folded(model.weights),
            temperature=chosen.temperature,
            threshold=threshold,
        )
    )
    if threshold_metric != "none":
        probabilities = result.predict_proba(records.texts)[:, 1]
        threshold = best_threshold(probabilities, truth, threshold_metric)
        result = Classifier(dataclasses.replace(result.model, threshold=threshold))
    if early_exit:
        result, note = add_early_exit(result, records.texts)
        notes.append(note)
    elif model.early_exit is not None and (chosen.method != "none" or threshold != model.threshold):
        result = Classifier(dataclasses.replace(result.model, early_exit=None))
        notes.append(Note("early exit was learned for other probabilities, and is left out; learn it anew"))
    after = result.evaluate(records)
    told = Calibrated(chosen, model.labels, threshold_metric, before, after).to_json()
    training = {**model.training, "calibration": told}
    result = Classifier(dataclasses.replace(result.model, training=training))
    return RecalibrationResult(result, chosen, before, after, tuple(notes))


def _carried(threshold: float, before: float, after: float) -> float:
    """The threshold that predicts, with logits divided by `after`, what the given one did with `before`."""
    if threshold in (0.0, 0.5, 1.0) or before == after:
        return threshold
    logit = math.log(threshold / (1 - threshold)) * before / after
    return 1 / (1 + math.exp(-logit))
