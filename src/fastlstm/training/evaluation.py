"""Calibration and evaluation of a trained model, the parity check, the training record, and plots."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastlstm import __version__, plots
from fastlstm._typing import FloatArray, IndexArray
from fastlstm.data import Dataset
from fastlstm.data.splits import DataSplits
from fastlstm.errors import TrainingError
from fastlstm.inference import Classifier
from fastlstm.inference.network import probabilities_of
from fastlstm.metrics import Report, evaluate, predicted_classes
from fastlstm.text.tokenizer import TextTokenizer
from fastlstm.training.calibration import Calibration
from fastlstm.training.events import Calibrated, EpochResult, Prepared
from fastlstm.training.linear import BASELINE_NAME
from fastlstm.training.loop import LabelledIds, compute_logits
from fastlstm.training.prepare import PreparedRun
from fastlstm.training.settings import TrainingSettings

BUDGET_DESCRIPTION = (
    "validation texts, which also selected the candidate and the epoch; pass `test=0.2` for an unbiased estimate"
)
KNOWN_SAMPLE = 1000
"""Maximum number of texts in which unknown words are counted."""
PARITY_TEXTS = 64
PARITY_TOLERANCE = 1e-4
"""Largest difference in a probability between training and inference (float32 sums in another order)."""


def calibrate_model(prepared: PreparedRun) -> Calibrated:
    """Fit probabilities and threshold on the validation texts, and evaluate them before and after."""
    return calibrate_and_predict(prepared)[0]


def calibrate_and_predict(prepared: PreparedRun) -> tuple[Calibrated, IndexArray]:
    """Do the same as `calibrate_model`, and return the class predicted for each validation text [n] too."""
    logits, validation = prepared.validation_logits(), prepared.validation
    calibration = prepared.calibrate(logits)
    uncalibrated = Calibration(blend=calibration.blend)
    before, after = (
        evaluate(_probabilities(prepared, logits, validation, c), validation.classes, prepared.labels, c.threshold)
        for c in (uncalibrated, calibration)
    )
    predicted = predicted_classes(_probabilities(prepared, logits, validation, calibration), calibration.threshold)
    metric = prepared.training_config.threshold_metric
    return Calibrated(calibration, prepared.labels, metric, before, after), predicted


def evaluate_model(prepared: PreparedRun, dataset: Dataset, calibration: Calibration) -> Report:
    """Evaluate the model in training on `dataset`, with the given calibration."""
    probabilities, classes = _predict(prepared, dataset, calibration)
    return evaluate(probabilities, classes, prepared.labels, calibration.threshold)


def _predict(prepared: PreparedRun, dataset: Dataset, calibration: Calibration) -> tuple[FloatArray, IndexArray]:
    """Return the probabilities [n, classes] of the model in training, and the classes [n] of the labels."""
    labelled = prepared.encode(dataset)
    logits = compute_logits(prepared.state.model, labelled.texts).numpy()
    return _probabilities(prepared, logits, labelled, calibration), labelled.classes


def _probabilities(
    prepared: PreparedRun, logits: FloatArray, labelled: LabelledIds, calibration: Calibration
) -> FloatArray:
    return probabilities_of(calibration.apply(logits, labelled.wide_logits), prepared.state.model.sigmoid)


def check_parity(classifier: Classifier, prepared: PreparedRun, dataset: Dataset, calibration: Calibration) -> None:
    """Raise `TrainingError` if inference and training disagree on the first texts of `dataset`."""
    if prepared.identity["device"] != "cpu":
        return  # the rounding of a GPU (TF32) is coarser than any fault this check could detect
    sample = dataset.take(range(min(PARITY_TEXTS, len(dataset))))
    expected, _ = _predict(prepared, sample, calibration)
    difference = float(np.abs(classifier.predict_proba(sample.texts) - expected).max())
    if not difference <= PARITY_TOLERANCE:
        raise TrainingError(
            f"inference differs from training by {difference:.2g} in a probability, more than "
            f"{PARITY_TOLERANCE:g}; please report this with the command you ran",
            code="parity",
            difference=difference,
        )


def mean_known(tokenize: TextTokenizer, texts: Sequence[str]) -> float:
    """Return the mean fraction of known tokens of at most `KNOWN_SAMPLE` of the texts."""
    sample = list(texts[:: -(-len(texts) // KNOWN_SAMPLE)])
    return float(tokenize(sample).known.mean())


def prepared_event(data: DataSplits, prepared: PreparedRun) -> Prepared:
    """Return the event that describes the prepared run."""
    return Prepared(
        model=prepared.model_config,
        training=prepared.training_config,
        labels=prepared.labels,
        device=prepared.identity["device"],
        training_texts=len(prepared.training.texts),
        validation_texts=0 if data.folds else len(data.validation),
        folds=data.folds,
        test_texts=len(data.test or ()),
        unlabelled_texts=len(data.unlabelled),
        is_linear=prepared.is_linear,
    )


def training_record(
    settings: TrainingSettings,
    data: DataSplits,
    prepared: PreparedRun,
    calibrated: Calibrated,
    report: Report,
    baseline: Report | None,
) -> dict[str, Any]:
    """Return the record of a run, as config.json stores it."""
    return {
        "fastlstm_version": __version__,
        "preset": settings.preset,
        "changed": settings.changed_fields,
        "config": dataclasses.asdict(prepared.training_config),
        "identity": prepared.identity,
        "data": {
            "train": data.origin,
            "train_texts": len(data.training),
            "validation_texts": 0 if data.folds else len(data.validation),
            "trained_on_validation": prepared.out_of_fold is not None and not data.folds,
            "folds": data.folds,
            "unlabelled_texts": len(data.unlabelled),
        },
        "budget": settings.budget,
        "encoder": None if settings.encoder is None else settings.encoder.name,
        "word_vectors": None if settings.word_vectors is None else settings.word_vectors.name,
        "teacher": settings.teacher_name,
        "label_weight": None if prepared.training.soft_labels is None else settings.label_weight,
        "epochs": len(prepared.state.history),
        "best_epoch": _best_epoch(prepared.state.history),
        "ngram_inverse_penalty": None if prepared.wide is None else prepared.wide.inverse_penalty,
        "calibration": calibrated.to_json(),
        **results_record(report, data.evaluated_on, baseline, balanced=is_balanced(prepared)),
    }


def is_balanced(prepared: PreparedRun) -> bool:
    """Return whether the run has balanced class weights."""
    return prepared.training_config.class_weights == "balanced"


def results_record(
    report: Report, evaluated_on: str, baseline: Report | None, *, balanced: bool = False
) -> dict[str, Any]:
    """Return the part of the record of a run about its evaluation: `results` and `baseline`.

    `balanced` is whether the run has balanced class weights.
    """

    def metrics(report: Report) -> dict[str, Any]:
        return {
            name: getattr(report, name) for name in ("accuracy", "loss", "macro_f1", "calibration_error", "texts")
        }

    notes = [note.to_json() for note in report.notes(baseline, balanced=balanced)]
    return {
        "results": {"evaluated_on": evaluated_on, **metrics(report), "notes": notes},
        "baseline": {"name": BASELINE_NAME, **metrics(baseline)} if baseline else None,
    }


def training_plots(history: tuple[EpochResult, ...], report: Report) -> dict[str, bytes]:
    """Return learning curves, if there are epochs, confusion matrix and reliability diagram: file name -> PNG."""
    images = {"plots/report.png": plots.png(report.plot())}
    if not history:
        return images
    curves = plots.learning_curves(
        [r.epoch for r in history],
        ([r.loss for r in history], [r.validation_loss for r in history]),
        ([r.accuracy for r in history], [r.validation_accuracy for r in history]),
        _best_epoch(history),
    )
    return {"plots/learning_curves.png": plots.png(curves), **images}


def _best_epoch(history: Sequence[EpochResult]) -> int:
    """Return the number of the best epoch; 0 if a linear model has none."""
    return max((result.epoch for result in history if result.best), default=0)
