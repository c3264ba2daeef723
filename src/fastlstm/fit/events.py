"""What a run yields on its way, besides each `StepDone` and `EpochResult`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastlstm.config import ModelConfig, TrainingConfig
from fastlstm.inference import Classifier
from fastlstm.metrics import Report
from fastlstm.training.history import EpochResult
from fastlstm.training.loop import StepDone


@dataclass(frozen=True)
class Note:
    """One line for people."""

    text: str


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


@dataclass(frozen=True)
class Measured:
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


Event = Note | Prepared | StepDone | EpochResult | Measured | TrainingResult
