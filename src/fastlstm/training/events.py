"""What a run yields on its way, besides each `StepDone` and `EpochResult`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastlstm.config import ModelConfig, ThresholdMetric, TrainingConfig
from fastlstm.inference import Classifier
from fastlstm.language_model.loop import LanguageModelEpoch, LanguageModelStep
from fastlstm.metrics import Report
from fastlstm.nn.runs import Note
from fastlstm.training.calibration import Calibration


@dataclass(frozen=True)
class StepDone:
    """A step of training is over: the running epoch, its steps done and to do, its tokens and loss so far."""

    epoch: int
    step: int
    steps: int
    tokens: int
    seconds: float
    loss: float
    accuracy: float


@dataclass(frozen=True)
class EpochResult:
    """One epoch: mean loss (nats) and accuracy (0..1) on training and validation texts.

    `padding` is the share of the places in its batches that held no token; `best`: no epoch before was better.
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
class Prepared:
    """The data is encoded and the model made; training comes next."""

    model: ModelConfig
    training: TrainingConfig
    labels: tuple[str, ...]
    device: str
    training_texts: int
    validation_texts: int
    test_texts: int
    unlabelled_texts: int


@dataclass(frozen=True)
class Calibrated:
    """Probabilities are fitted to the validation texts, and a threshold where one was asked for.

    `before` and `after` are about these texts: the model as training left it, its two parts blended, and as it is
    saved.
    """

    calibration: Calibration
    labels: tuple[str, ...]
    threshold_metric: ThresholdMetric
    before: Report
    after: Report

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON takes them."""
        of = self.calibration
        return {
            "method": of.method,
            "temperature": of.temperature,
            "scale": list(of.scale),
            "bias": list(of.bias),
            "why_not": of.why_not,
            "blend": {"lstm": of.blend.lstm, "wide": of.blend.wide},
            "threshold": of.threshold,
            "threshold_metric": self.threshold_metric,
            "validation_texts": of.texts,
            "loss_before": self.before.loss,
            "loss_after": self.after.loss,
            "calibration_error_before": self.before.calibration_error,
            "calibration_error_after": self.after.calibration_error,
        }


@dataclass(frozen=True)
class CandidateDone:
    """One model of a run with a budget is fitted: its name, what it took in seconds, and its validation texts."""

    name: str
    seconds: float
    report: Report


@dataclass(frozen=True)
class Evaluated:
    """How good something is: the trained model or the baseline (`name`), on which texts, in what time."""

    name: str
    report: Report
    measured_on: str
    seconds: float


@dataclass(frozen=True)
class TrainingResult:
    """A finished run: the classifier, where it is saved, and how it came about.

    `baseline` is None where it was turned off; `measured_on` says which texts `report` and `baseline` are about.
    """

    classifier: Classifier
    folder: Path
    history: tuple[EpochResult, ...]
    report: Report
    baseline: Report | None
    measured_on: str


TrainingEvent = (
    Note
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
