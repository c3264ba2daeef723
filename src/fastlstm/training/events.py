"""Events that a training run yields."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastlstm.config import ModelConfig, ThresholdMetric, TrainingConfig
from fastlstm.inference import Classifier
from fastlstm.language_model.loop import LanguageModelEpoch, LanguageModelStep
from fastlstm.metrics import Report
from fastlstm.notes import Note
from fastlstm.training.agreement import Agreement
from fastlstm.training.calibration import Calibration


@dataclass(frozen=True)
class StepDone:
    """A training step is done. Tokens, seconds, loss (nats) and accuracy are those of the current epoch so far."""

    epoch: int
    step: int
    steps: int
    tokens: int
    seconds: float
    loss: float
    accuracy: float


@dataclass(frozen=True)
class EpochResult:
    """An epoch is done: mean loss (nats) and accuracy (0..1) on training and validation texts.

    `padding` is the fraction of positions that would be padding if its batches were padded. `best` is whether no
    earlier epoch was better.
    """

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float
    tokens: int
    padding: float
    best: bool


@dataclass(frozen=True)
class TeacherStep:
    """The teacher has computed the probabilities of `texts` of `total` texts, in `seconds`."""

    texts: int
    total: int
    seconds: float


@dataclass(frozen=True)
class Prepared:
    """The data is tokenized and the model is created; training starts next.

    `is_linear` is whether the n-grams alone will decide, without an LSTM. `folds` is the number of folds of a
    cross-validation, after which the run trains on all training texts; then there are no validation texts.
    """

    model: ModelConfig
    training: TrainingConfig
    labels: tuple[str, ...]
    device: str
    training_texts: int
    validation_texts: int
    test_texts: int
    unlabelled_texts: int
    is_linear: bool = False
    folds: int = 0


@dataclass(frozen=True)
class Calibrated:
    """Probabilities, and a decision threshold if requested, are fitted on the validation texts, or left-out texts.

    `before` and `after` are the reports on these texts without and with calibration.
    """

    calibration: Calibration
    labels: tuple[str, ...]
    threshold_metric: ThresholdMetric
    before: Report
    after: Report

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        calibration = self.calibration
        return {
            "method": calibration.method,
            "temperature": calibration.temperature,
            "scale": list(calibration.scale),
            "bias": list(calibration.bias),
            "skip_reason": calibration.skip_reason,
            "skip_code": calibration.skip_code,
            "blend": {"lstm": calibration.blend.lstm, "wide": calibration.blend.wide},
            "threshold": calibration.threshold,
            "threshold_metric": self.threshold_metric,
            "validation_texts": calibration.texts,
            "loss_before": self.before.loss,
            "loss_after": self.after.loss,
            "calibration_error_before": self.before.calibration_error,
            "calibration_error_after": self.after.calibration_error,
        }


@dataclass(frozen=True)
class CandidateDone:
    """A candidate of a run with a time limit is fitted; `report` is on the validation texts."""

    name: str
    seconds: float
    report: Report


@dataclass(frozen=True)
class Evaluated:
    """The trained model or the baseline (`name`) is evaluated."""

    name: str
    report: Report
    evaluated_on: str
    seconds: float


@dataclass(frozen=True)
class TrainingResult:
    """The run is finished and the model saved in `folder`.

    `evaluated_on` describes the texts of `report` and `baseline`; `baseline` is None if it was switched off. `notes`
    are all notes of the run. `agreement` compares the student of a distillation with its teacher.
    """

    classifier: Classifier
    folder: Path
    history: tuple[EpochResult, ...]
    report: Report
    baseline: Report | None
    evaluated_on: str
    notes: tuple[Note, ...] = ()
    agreement: Agreement | None = None


TrainingEvent = (
    Note
    | TeacherStep
    | Prepared
    | LanguageModelStep
    | LanguageModelEpoch
    | StepDone
    | EpochResult
    | Calibrated
    | CandidateDone
    | Evaluated
    | TrainingResult
)
