"""Small hyperparameter searches: data, settings, runs and interruptions."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastlstm.data import Dataset
from fastlstm.data.splits import DataSplits, load_splits
from fastlstm.training.events import StepDone
from fastlstm.tuning import search as search_module
from fastlstm.tuning.events import Trial, TrialStarted, TuningEvent, TuningResult
from fastlstm.tuning.search import search
from fastlstm.tuning.settings import TuningSettings

SIZES: dict[str, Any] = {"hidden_sizes": (5,), "embedding_size": 4}
"""Fields that make a trial take about 0.1 s."""
NEUTRAL_WORDS = ["the", "film", "was", "a", "story", "with", "actors"]

MakeSettings = Callable[..., TuningSettings]


def make_dataset(count: int, seed: int = 0) -> Dataset:
    """Return texts of 4 to 9 words, one of which determines the class."""
    generator = random.Random(seed)
    words = [generator.choices(NEUTRAL_WORDS, k=generator.randint(3, 8)) for _ in range(count)]
    for k, text in enumerate(words):
        text.insert(generator.randrange(len(text)), ("awful", "great")[k % 2])
    return Dataset([" ".join(text) for text in words], [("bad", "good")[k % 2] for k in range(count)], "texts")


def make_splits() -> DataSplits:
    """Return 60 training, 10 validation and 10 test texts."""
    return load_splits(make_dataset(60), validation=make_dataset(10, seed=1), test=make_dataset(10, seed=2))


def make_settings(**changes: Any) -> TuningSettings:
    """Return the settings of a search, by default of four trials of a small model."""
    options = {"preset": "tutorial", "trials": 4, "baseline": False, **SIZES, **changes}
    return TuningSettings.create(options.pop("data"), options.pop("out"), options)


def run_search(settings: TuningSettings) -> tuple[list[TuningEvent], TuningResult]:
    """Return all events of a search, and its result."""
    events = list(search(settings))
    result = events[-1]
    assert isinstance(result, TuningResult)
    return events, result


def file_contents(folder: Path, *names: str) -> list[bytes]:
    """Return the contents of files."""
    return [(folder / name).read_bytes() for name in names]


def without_seconds(trials: tuple[Trial, ...]) -> list[Trial]:
    """Return the trials that were not stopped, with all durations set to zero."""
    return [dataclasses.replace(trial, seconds=0.0) for trial in trials if trial.state != "stopped"]


def stop_in_trial(settings: TuningSettings, number: int) -> None:
    """Close a search after the third step of a trial."""
    events = search(settings)
    current, steps = 0, 0
    for event in events:
        if isinstance(event, TrialStarted):
            current, steps = event.number, 0
        steps += isinstance(event, StepDone)
        if current == number and steps == 3:
            break
    events.close()


def run_until(
    monkeypatch: pytest.MonkeyPatch, settings: TuningSettings, last: Callable[[TuningEvent], bool]
) -> TuningResult:
    """Run a search whose time limit is reached at the first event for which `last` is true."""
    over = False
    with monkeypatch.context() as patched:
        patched.setattr(search_module, "_is_over", lambda _: over)
        for event in search(settings):
            over = over or last(event)
    assert isinstance(event, TuningResult)
    return event
