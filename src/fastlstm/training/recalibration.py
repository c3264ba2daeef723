"""Recalibrate a saved classifier: fit its probabilities, threshold and early exit on new labelled texts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from fastlstm._typing import IndexArray
from fastlstm.config.classifier import CalibrationMode, ThresholdMetric
from fastlstm.data import Dataset
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier
from fastlstm.metrics import Report, evaluate
from fastlstm.notes import Note, known_words_note, training_data_note
from fastlstm.serialization import weights
from fastlstm.text.tokenizer import TokenizedTexts
from fastlstm.training.calibration import (
    MIN_TEXTS,
    Calibration,
    calibrate,
    calibration_note,
    no_gain,
)
from fastlstm.training.early_exit import add_early_exit
from fastlstm.training.events import Calibrated
from fastlstm.training.threshold import best_threshold, check_threshold_metric, rescale_threshold


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

    Probabilities that no fit improves are kept, with a note: on these texts, neither the loss nor the accuracy is
    worse afterwards.

    Args:
        classifier: The classifier; it is not changed.
        dataset: Texts that the classifier was not trained on.
        calibration: "auto", or "none" to keep the probabilities.
        threshold_metric: Metric that the decision threshold of two classes maximizes; "none" keeps the threshold.
        early_exit: Whether to fit early-exit thresholds.

    Raises:
        DataError: No texts, an unknown label, or too few texts while nothing but the probabilities is to be fitted.
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
            "early exit needs a unidirectional model; train or distill one with `bidirectional=False`",
            code="early-exit-needs-unidirectional",
        )
    tokenized, classes = classifier.tokenize(dataset.texts), dataset.label_indices(saved.labels)
    before = _evaluate(classifier, tokenized, classes)
    result, chosen, notes = classifier, Calibration(temperature=saved.temperature, texts=len(classes)), list[Note]()
    if note := training_data_note(saved.training, dataset.source):
        notes.append(note)
    if calibration == "auto":
        result, chosen = _calibrate(classifier, tokenized, classes, before)
        if chosen.skip_code == "too-few-texts" and threshold_metric == "none" and not early_exit:
            raise DataError(
                f"{dataset.source}: {chosen.skip_reason}; pass more texts (the model would stay as it is)",
                code="too-few-texts",
                source=dataset.source,
                texts=len(classes),
                expected=MIN_TEXTS,
            )
        if note := calibration_note(chosen):
            notes.append(note)
    if threshold_metric != "none":
        threshold = best_threshold(result.predict_proba(tokenized)[:, 1], classes, threshold_metric)
        result = Classifier(dataclasses.replace(result.saved, threshold=threshold))
    if early_exit:
        result, note = add_early_exit(result, dataset.texts)
        notes.append(note)
    elif saved.early_exit is not None and (chosen.method != "none" or result.saved.threshold != saved.threshold):
        result = Classifier(dataclasses.replace(result.saved, early_exit=None))
        notes.append(
            Note("early exit removed: it was fitted for the old probabilities; fit it again", "early-exit-removed")
        )
    after = _evaluate(result, tokenized, classes)
    if note := known_words_note(float(tokenized.known.mean()), "the model", dataset.source):
        notes.append(note)
    if chosen.method != "none" or threshold_metric != "none":
        record = Calibrated(chosen, saved.labels, threshold_metric, before, after).to_json()
        present = saved.training.get("calibration", {})
        record |= {"threshold": result.saved.threshold, "blend": present.get("blend", record["blend"])}
        training = {**saved.training, "calibration": record}
        result = Classifier(dataclasses.replace(result.saved, training=training))
    return RecalibrationResult(result, chosen, before, after, tuple(notes))


def _calibrate(
    classifier: Classifier, tokenized: TokenizedTexts, classes: IndexArray, before: Report
) -> tuple[Classifier, Calibration]:
    """Return the classifier with fitted probabilities, or unchanged with the reason in the calibration."""
    saved = classifier.saved
    logits = classifier.network.logits(tokenized.ids, tokenized.untruncated) * np.float32(saved.temperature)
    chosen = calibrate(
        logits,
        classes,
        sigmoid=weights.uses_sigmoid(saved.config, len(saved.labels)),
        temperature=saved.temperature,
        threshold=saved.threshold,
    )
    if chosen.skip_reason:
        return classifier, chosen
    fitted = Classifier(
        dataclasses.replace(
            saved,
            weights=chosen.fold(saved.weights),
            temperature=chosen.temperature,
            threshold=rescale_threshold(saved.threshold, saved.temperature, chosen.temperature),
        )
    )
    after = _evaluate(fitted, tokenized, classes)
    if after.accuracy < before.accuracy or after.loss > before.loss:  # by the rounding of the folded weights
        return classifier, no_gain(chosen, saved.temperature)
    return fitted, chosen


def _evaluate(classifier: Classifier, tokenized: TokenizedTexts, classes: IndexArray) -> Report:
    saved, known = classifier.saved, tokenized.known
    report = evaluate(classifier.predict_proba(tokenized), classes, saved.labels, saved.threshold)
    return dataclasses.replace(report, known=float(known.mean()), unknown_texts=int((known == 0).sum()))
