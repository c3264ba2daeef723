"""What a run has to show for itself: figures, a check of the saved model, the training record, plots."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastlstm import __version__, plots
from fastlstm.data import Dataset
from fastlstm.errors import TrainingError
from fastlstm.inference import Classifier
from fastlstm.inference.network import probabilities_of
from fastlstm.metrics import Report, evaluate
from fastlstm.training.calibration import Calibration
from fastlstm.training.events import Calibrated, EpochResult, Prepared
from fastlstm.training.linear import BASELINE_NAME
from fastlstm.training.loop import LabelledIds, compute_logits
from fastlstm.training.prepare import PreparedRun
from fastlstm.training.settings import TrainingJob

BUDGET_NOTE = (
    "validation texts, which also chose among the models and the epochs; pass --test 0.2 for a figure on texts "
    "that chose nothing"
)
PARITY_TEXTS = 64
PARITY_TOLERANCE = 1e-4
"""Training and inference may differ by so much in a probability (float32 sums in another order)."""


def calibrate_model(fitting: PreparedRun) -> Calibrated:
    """Fits probabilities and threshold to the validation texts, and measures on these before and after."""
    logits = fitting.validation_logits()
    chosen = fitting.calibrate(logits)
    uncalibrated = Calibration(blend=chosen.blend)
    before, after = (_report(fitting, logits, fitting.validation, of) for of in (uncalibrated, chosen))
    return Calibrated(chosen, fitting.labels, fitting.training_config.threshold_metric, before, after)


def evaluate_model(fitting: PreparedRun, records: Dataset, calibration: Calibration) -> Report:
    """How good the model in training is on `records`, with the probabilities and the threshold that are saved."""
    encoded = fitting.encode(records)
    logits = compute_logits(fitting.state.model, encoded.texts).numpy()
    return _report(fitting, logits, encoded, calibration)


def _report(
    fitting: PreparedRun, logits: npt.NDArray[np.float32], texts: LabelledIds, calibration: Calibration
) -> Report:
    probabilities = probabilities_of(calibration.apply(logits, texts.evidence), fitting.state.model.sigmoid)
    return evaluate(probabilities, texts.truth, fitting.labels, calibration.threshold)


def check_parity(classifier: Classifier, fitting: PreparedRun, records: Dataset, calibration: Calibration) -> None:
    """Raises `TrainingError` if inference would answer otherwise than training does."""
    if fitting.identity["device"] != "cpu":
        return  # a GPU rounds far coarser (TF32) than any fault this could find
    some = records.take(range(min(PARITY_TEXTS, len(records))))
    encoded = fitting.encode(some)
    logits = calibration.apply(compute_logits(fitting.state.model, encoded.texts).numpy(), encoded.evidence)
    expected = probabilities_of(logits, fitting.state.model.sigmoid)
    difference = np.abs(classifier.predict_proba(some.texts) - expected).max()
    if not difference <= PARITY_TOLERANCE:
        raise TrainingError(
            f"inference differs from training by {difference:.2g} in a probability, more than "
            f"{PARITY_TOLERANCE:g}; please report this with the command you ran"
        )


def prepared_event(job: TrainingJob, fitting: PreparedRun) -> Prepared:
    """What is about to be trained, on what."""
    data = job.data
    return Prepared(
        model=fitting.model_config,
        training=fitting.training_config,
        labels=fitting.labels,
        device=fitting.identity["device"],
        training_texts=len(fitting.training.texts),
        validation_texts=len(data.validation),
        test_texts=len(data.test or ()),
        unlabelled_texts=len(data.unlabelled),
    )


def save_so_far(job: TrainingJob, fitting: PreparedRun, outcome: Calibrated, *, first: bool) -> None:
    """Saves a model before a run with a budget is over, measured on its validation texts alone.

    `first`: nothing of this run stands in `job.out` yet.
    """
    data = dataclasses.replace(job.data, test=None, measured_on=BUDGET_NOTE)
    record = training_record(dataclasses.replace(job, data=data), fitting, outcome, outcome.after, None)
    classifier = Classifier(fitting.saved_model(record, outcome.calibration))
    check_parity(classifier, fitting, data.validation, outcome.calibration)
    classifier.save(job.out, overwrite=job.overwrite or not first)


def training_record(
    job: TrainingJob, fitting: PreparedRun, calibration: Calibrated, report: Report, compared: Report | None
) -> dict[str, Any]:
    """How the model came about, as config.json keeps it."""

    def figures(of: Report) -> dict[str, Any]:
        return {name: getattr(of, name) for name in ("accuracy", "loss", "macro_f1", "calibration_error", "texts")}

    return {
        "fastlstm_version": __version__,
        "preset": job.preset,
        "config": dataclasses.asdict(fitting.training_config),
        "identity": fitting.identity,
        "data": {
            "train": job.data.origin,
            "train_texts": len(job.data.training),
            "validation_texts": len(job.data.validation),
            "unlabelled_texts": len(job.data.unlabelled),
        },
        "budget": job.budget,
        "encoder": None if job.encoder is None else job.encoder.name,
        "teacher": None if job.teacher is None else job.teacher.name,
        "epochs": len(fitting.state.history),
        "best_epoch": _best(fitting.state.history),
        "calibration": calibration.to_json(),
        "results": {"evaluated_on": job.data.measured_on, **figures(report)},
        "baseline": {"name": BASELINE_NAME, **figures(compared)} if compared else None,
    }


def training_plots(history: tuple[EpochResult, ...], report: Report) -> dict[str, bytes]:
    """Learning curves, confusion matrix and reliability diagram: file name -> PNG."""
    curves = plots.learning_curves(
        [r.epoch for r in history],
        ([r.loss for r in history], [r.validation_loss for r in history]),
        ([r.accuracy for r in history], [r.validation_accuracy for r in history]),
        _best(history),
    )
    return {"plots/learning_curves.png": plots.png(curves), "plots/report.png": plots.png(report.plot())}


def _best(history: Sequence[EpochResult]) -> int:
    return max(result.epoch for result in history if result.best)
