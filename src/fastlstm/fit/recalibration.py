"""A saved classifier whose probabilities are fitted anew, to other texts than its validation texts were."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from fastlstm import weights
from fastlstm.config.classifier import Calibrate, ThresholdMetric
from fastlstm.errors import DataError, OptionError
from fastlstm.fit.early_exit import with_early_exit
from fastlstm.fit.events import Note
from fastlstm.inference import Classifier
from fastlstm.metrics import Report
from fastlstm.records import Records
from fastlstm.training.calibration import Calibration, calibrate
from fastlstm.training.threshold import best_threshold


@dataclass(frozen=True)
class Recalibrated:
    """The classifier, what was fitted, how it judges the texts before and after, and what else there is to say."""

    classifier: Classifier
    calibration: Calibration
    before: Report
    after: Report
    notes: tuple[Note, ...]


def recalibrate(
    classifier: Classifier,
    records: Records,
    *,
    calibration: Calibrate = "auto",
    threshold_metric: ThresholdMetric = "none",
    early_exit: bool = False,
) -> Recalibrated:
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
        raise OptionError("early-exit was asked for, and the model reads in both directions, so from the end too")
    truth = records.label_indices(model.labels)
    encoded = classifier.encode(records.texts)
    logits = classifier.network.logits(encoded.ids, encoded.whole) * np.float32(model.temperature)
    chosen = Calibration(temperature=model.temperature, texts=len(truth))
    if calibration == "auto":
        fitted = calibrate(logits, truth, sigmoid=weights.uses_sigmoid(model.config, len(model.labels)))
        chosen = chosen if fitted.why_not else fitted
    arrays = chosen.folded(model.weights)
    result = Classifier(
        dataclasses.replace(
            model, weights=arrays, temperature=chosen.temperature, threshold=model.threshold, early_exit=None
        )
    )
    if threshold_metric != "none":
        probabilities = result.predict_proba(records.texts)[:, 1]
        threshold = best_threshold(probabilities, truth, threshold_metric)
        result = Classifier(dataclasses.replace(result.model, threshold=threshold))
    notes: list[Note] = []
    if early_exit:
        result, note = with_early_exit(result, records.texts)
        notes.append(note)
    before, after = classifier.evaluate(records), result.evaluate(records)
    return Recalibrated(result, chosen, before, after, tuple(notes))
