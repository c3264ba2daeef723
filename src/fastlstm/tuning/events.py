"""Events of a hyperparameter search."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fastlstm.config import TrainingConfig
from fastlstm.inference import Classifier
from fastlstm.metrics import Report
from fastlstm.nn.runs import Note
from fastlstm.training.events import Evaluated
from fastlstm.training.prepare import TrainingProgress

Metric = Literal["loss", "accuracy"]

TrialState = Literal["complete", "pruned", "stopped", "failed"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One configuration and how it did.

    Attributes:
        number: from 1. One that was stopped, and the one that takes its place later, have the same.
        state: "complete"; "pruned", given up after an epoch worse than the others'; "stopped" by the budget or
            the caller; "failed", with `why_not`.
        options: what was searched, and the values tried.
        changes: those that differ from the preset.
        epochs: finished ones.
        seconds: what it took, reading the texts included.
        loss, accuracy: on the validation texts, of the model as it would be saved; None where it was not measured.
    """

    number: int
    state: TrialState
    options: Mapping[str, Any]
    changes: Mapping[str, Any]
    epochs: int
    seconds: float
    loss: float | None = None
    accuracy: float | None = None
    why_not: str = ""

    def to_json(self) -> dict[str, Any]:
        """The trial as JSON takes it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Trial:
        """What `to_json` gave, from JSON. Raises `TypeError` for other fields."""
        fields = dict(values)
        for name in ("options", "changes"):
            fields[name] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields[name].items()}
        return cls(**fields)

    def rank(self, metric: Metric) -> tuple[bool, float]:
        """The higher, the better: a complete trial before one that was stopped."""
        assert self.loss is not None
        assert self.accuracy is not None
        return self.state == "complete", self.accuracy if metric == "accuracy" else -self.loss


def best_trial(trials: Iterable[Trial], metric: Metric) -> Trial | None:
    """The best of those that were measured, the first of equals; None where none was."""
    return max((t for t in trials if t.loss is not None), key=lambda t: t.rank(metric), default=None)


@dataclass(frozen=True)
class TrialStarted:
    """A trial begins: what differs from the preset, and how it trains."""

    number: int
    changes: Mapping[str, Any]
    training: TrainingConfig


@dataclass(frozen=True)
class TrialDone:
    """A trial has ended. `best` is the best so far, this one included; None where none was measured yet."""

    trial: Trial
    best: Trial | None
    metric: Metric


@dataclass(frozen=True)
class TuningResult:
    """A finished search: the best trial's classifier, where it is saved, and all trials.

    `options` are those that, given to `fastlstm.train` with the same preset and data, make the same model again.
    `baseline` is None where it was turned off; `measured_on` says which texts `report` and `baseline` are about.
    """

    classifier: Classifier
    folder: Path
    trials: tuple[Trial, ...]
    best: Trial
    metric: Metric
    options: Mapping[str, Any]
    report: Report
    baseline: Report | None
    measured_on: str


TuningEvent = Note | TrialStarted | TrainingProgress | TrialDone | Evaluated | TuningResult
