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
from fastlstm.notes import Note
from fastlstm.training.events import Evaluated
from fastlstm.training.prepare import TrainingLoopEvent
from fastlstm.tuning.space import Metric

TrialState = Literal["complete", "pruned", "stopped", "failed"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A configuration and its result.

    Attributes:
        number: From 1. A stopped trial and its repetition in a resumed search have the same number.
        state: "complete"; "pruned" after an epoch worse than those of other trials; "stopped" by the time limit or the
            caller; "failed", with `failure`.
        options: The searched options and their values.
        changes: Those that differ from the preset.
        epochs: Number of finished epochs.
        seconds: Duration, including tokenization.
        loss, accuracy: On the validation texts, of the calibrated model; None if not evaluated.
    """

    number: int
    state: TrialState
    options: Mapping[str, Any]
    changes: Mapping[str, Any]
    epochs: int
    seconds: float
    loss: float | None = None
    accuracy: float | None = None
    failure: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the trial as a JSON object."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Trial:
        """Return the inverse of `to_json`. Raise `TypeError` for other fields."""
        fields = dict(values)
        for name in ("options", "changes"):
            fields[name] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields[name].items()}
        return cls(**fields)

    def rank(self, metric: Metric) -> tuple[bool, float]:
        """Return the sort key, higher is better; complete trials rank above stopped ones."""
        assert self.loss is not None
        assert self.accuracy is not None
        return self.state == "complete", self.accuracy if metric == "accuracy" else -self.loss


def best_trial(trials: Iterable[Trial], metric: Metric) -> Trial | None:
    """Return the best evaluated trial, the first of equals; None if there is none."""
    return max((t for t in trials if t.loss is not None), key=lambda t: t.rank(metric), default=None)


@dataclass(frozen=True)
class TrialStarted:
    """A trial starts; `changes` are the options that differ from the preset."""

    number: int
    changes: Mapping[str, Any]
    training: TrainingConfig


@dataclass(frozen=True)
class TrialDone:
    """A trial is done; `best` is the best trial so far, or None if none was evaluated yet."""

    trial: Trial
    best: Trial | None
    metric: Metric


@dataclass(frozen=True)
class TuningResult:
    """The search is finished, and the best model saved in `folder`.

    `options` train the same model again with `fastlstm.train`, the same preset and data. `evaluated_on` describes the
    texts of `report` and `baseline`; `baseline` is None if it was switched off.
    """

    classifier: Classifier
    folder: Path
    trials: tuple[Trial, ...]
    best: Trial
    metric: Metric
    options: Mapping[str, Any]
    report: Report
    baseline: Report | None
    evaluated_on: str

    @property
    def notes(self) -> tuple[Note, ...]:
        """What the figures alone do not say."""
        return self.report.notes(self.baseline)


TuningEvent = Note | TrialStarted | TrainingLoopEvent | TrialDone | Evaluated | TuningResult
