"""Searches that are stopped, and what they leave, compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from fastlstm.training.events import StepDone
from fastlstm.tuning import search as module
from fastlstm.tuning.events import Trial, TrialStarted, TuningEvent, TuningResult
from fastlstm.tuning.search import search
from fastlstm.tuning.settings import TuningJob


def without_seconds(trials: tuple[Trial, ...]) -> list[Trial]:
    """Trials alike but for the time they took, those that were stopped left out."""
    return [dataclasses.replace(trial, seconds=0.0) for trial in trials if trial.state != "stopped"]


def stop_in(job: TuningJob, number: int) -> None:
    """Closes a search after the third step of that trial."""
    events = search(job)
    running, steps = 0, 0
    for event in events:
        if isinstance(event, TrialStarted):
            running, steps = event.number, 0
        steps += isinstance(event, StepDone)
        if running == number and steps == 3:
            break
    events.close()


def out_of_time(
    monkeypatch: pytest.MonkeyPatch, job: TuningJob, when: Callable[[TuningEvent], bool]
) -> TuningResult:
    """A search whose budget is over as soon as an event is such a one."""
    late = False
    with monkeypatch.context() as patched:
        patched.setattr(module, "_late", lambda _: late)
        for event in search(job):
            late = late or when(event)
    assert isinstance(event, TuningResult)
    return event
