"""Progress of a hyperparameter search: one line per trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO

from fastlstm.cli.options import format_value
from fastlstm.cli.progress import Display
from fastlstm.language_model.loop import LanguageModelEpoch
from fastlstm.training.events import EpochResult
from fastlstm.tuning.events import Trial, TrialDone, TrialStarted, TuningEvent, TuningResult
from fastlstm.tuning.space import Metric


class TuningDisplay(Display):
    """Shows the events of a search; `result` is set at its end."""

    result: TuningResult  # type: ignore[assignment]  # of a search instead of a run

    def __init__(self, file: TextIO) -> None:
        super().__init__(file)
        self.has_best = False

    def __enter__(self) -> TuningDisplay:
        return self

    def show_tuning(self, event: TuningEvent) -> None:
        """Show one event of a search."""
        match event:
            case TrialStarted():
                self.start_training(event.training)
            case TrialDone():
                self.end_bar()
                self.has_best = event.best is not None
                self.note(trial_line(event.trial, event.best, event.metric))
            case TuningResult():
                self.end_bar()
                self.result = event
            case EpochResult() | LanguageModelEpoch():
                pass  # one line per trial is enough
            case _:
                self.show(event)


def trial_line(trial: Trial, best: Trial | None, metric: Metric) -> str:
    """Return one line about a trial: changes to the preset, result, duration, and the best result so far."""
    parts = [f"trial {trial.number}: {describe_changes(trial.changes)}"]
    if trial.state != "complete":
        ending = f"failed ({trial.failure})" if trial.state == "failed" else trial.state
        parts.append(f"{ending} after {trial.epochs} {'epoch' if trial.epochs == 1 else 'epochs'}")
    if trial.loss is not None:
        parts.append(f"loss {trial.loss:.4f}, accuracy {trial.accuracy:.2%} on validation")
    parts.append(f"{trial.seconds:.1f} s")
    if best is not None and best.number == trial.number:
        parts.append("the best so far")
    elif best is not None:
        value = f"{best.loss:.4f}" if metric == "loss" else f"{best.accuracy:.2%}"
        parts.append(f"best so far: {value} (trial {best.number})")
    return "; ".join(parts)


def describe_changes(changes: Mapping[str, Any]) -> str:
    """Return the options that differ from the preset, as NAME=VALUE."""
    return ", ".join(f"{name}={format_value(value)}" for name, value in changes.items()) or "the preset"
