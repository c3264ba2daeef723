"""A search as people watch it: a line a trial, and a live bar of the running one on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO

from fastlstm.cli.progress import Display
from fastlstm.fit.events import Measured, Note
from fastlstm.fit.tuning.events import Metric, Trial, TrialDone, TrialStarted, TuningEvent, TuningResult
from fastlstm.training.history import EpochResult
from fastlstm.training.language_model.state import PretrainingEpoch


class TuningDisplay(Display):
    """Shows a search's events on `file`. `result` is there once the search has ended."""

    result: TuningResult  # type: ignore[assignment]  # a search's, in place of a run's

    def __init__(self, file: TextIO) -> None:
        super().__init__(file)
        self.has_best = False

    def __enter__(self) -> TuningDisplay:
        return self

    def show_tuning(self, event: TuningEvent) -> None:
        """Shows one event."""
        match event:
            case TrialStarted():
                self.begin(event.training)
            case TrialDone():
                self._end_bar()
                self.has_best = event.best is not None
                self.note(line_of(event.trial, event.best, event.metric))
            case TuningResult():
                self._end_bar()
                self.result = event
            case EpochResult() | PretrainingEpoch():
                pass  # a line a trial says enough
            case Note() | Measured() | _:
                self.show(event)


def line_of(trial: Trial, best: Trial | None, metric: Metric) -> str:
    """One trial in a line: what differs from the preset, how good it was, its seconds, and the best so far."""
    parts = [f"trial {trial.number}: {changes_of(trial.changes)}"]
    if trial.state != "complete":
        parts.append(f"{_ending(trial)} after {_epochs(trial.epochs)}")
    if trial.loss is not None:
        parts.append(f"loss {trial.loss:.4f}, accuracy {trial.accuracy:.2%} on validation")
    parts.append(f"{trial.seconds:.1f} s")
    if best is not None and best.number == trial.number:
        parts.append("the best so far")
    elif best is not None:
        value = f"{best.loss:.4f}" if metric == "loss" else f"{best.accuracy:.2%}"
        parts.append(f"best so far: {value} of trial {best.number}")
    return "; ".join(parts)


def changes_of(changes: Mapping[str, Any]) -> str:
    """What differs from the preset, as options are written."""
    written = (
        f"{name.replace('_', '-')} {','.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in changes.items()
    )
    return ", ".join(written) or "the preset as it stands"


def _epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"


def _ending(trial: Trial) -> str:
    if trial.state == "failed":
        return f"failed ({trial.why_not})"
    return "given up" if trial.state == "pruned" else "stopped"
