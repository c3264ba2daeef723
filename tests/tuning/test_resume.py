"""Interrupted, crashed and finished searches are resumed, or a clear error is raised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.helpers.tuning import (
    MakeSettings,
    file_contents,
    make_dataset,
    run_search,
    run_until,
    stop_in_trial,
    without_seconds,
)

from fastlstm.data.splits import load_splits
from fastlstm.errors import InputError, ResumeError
from fastlstm.notes import Note
from fastlstm.training.events import EpochResult
from fastlstm.tuning.events import Trial, TrialStarted, TuningResult
from fastlstm.tuning.settings import study_path
from fastlstm.tuning.study import Study


@pytest.mark.parametrize("number", [1, 3])
def test_resumed_search_equals_uninterrupted_one(
    settings_of: MakeSettings, complete: TuningResult, tmp_path: Path, number: int
) -> None:
    stop_in_trial(settings_of(), number)
    assert (tmp_path / "model").exists() == (number > 1)
    events, resumed = run_search(settings_of(resume=True))
    assert [event.code for event in events if isinstance(event, Note)][:2] == ["data", "resumed"]
    assert [trial.number for trial in resumed.trials if trial.state == "stopped"] == [number]
    assert without_seconds(resumed.trials) == without_seconds(complete.trials)
    names = ("model.safetensors", "golden.json", "config.json")
    assert file_contents(tmp_path / "model", *names) == file_contents(complete.folder, *names)


def test_finished_search_accepts_further_trials(settings_of: MakeSettings, complete: TuningResult) -> None:
    run_search(settings_of(trials=2))
    _, more = run_search(settings_of(resume=True))
    assert without_seconds(more.trials) == without_seconds(complete.trials)
    events, same = run_search(settings_of(resume=True))
    assert same.trials == more.trials
    assert not [event for event in events if isinstance(event, TrialStarted)]


@pytest.mark.parametrize("method", ["close", "record"])
def test_crash_while_saving_loses_no_trial(
    settings_of: MakeSettings, complete: TuningResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str
) -> None:
    original = getattr(Study, method)

    def crash(self: Study, suggested: Any, done: Trial) -> None:
        if done.number == complete.best.number > 1:
            if method == "record":  # the trial is recorded, but its model is not saved
                original(self, suggested, done)
            raise KeyboardInterrupt
        original(self, suggested, done)

    with monkeypatch.context() as patched:
        patched.setattr(Study, method, crash)
        with pytest.raises(KeyboardInterrupt):
            run_search(settings_of())
    _, resumed = run_search(settings_of(resume=True))
    assert without_seconds(resumed.trials) == without_seconds(complete.trials)
    assert file_contents(tmp_path / "model", "model.safetensors") == file_contents(
        complete.folder, "model.safetensors"
    )


def test_lock_of_killed_search_is_removed(settings_of: MakeSettings, complete: TuningResult) -> None:
    settings = settings_of()
    stop_in_trial(settings, 2)
    lock = study_path(settings.out).with_name(f"{study_path(settings.out).name}.lock")
    lock.touch()
    _, result = run_search(settings_of(resume=True))
    assert without_seconds(result.trials) == without_seconds(complete.trials)
    assert not lock.exists()


def test_unfinished_search_is_not_replaced_silently(settings_of: MakeSettings) -> None:
    run_search(settings_of(trials=1))
    with pytest.raises(InputError) as raised:
        run_search(settings_of())
    assert raised.value.code == "unfinished-run"
    run_search(settings_of(trials=1, overwrite=True, metric="accuracy"))


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"data": load_splits(make_dataset(60, seed=5), validation=make_dataset(10, seed=1))}, "training data"),
        ({"dropout": 0.1}, "options"),
        ({"seed": 2}, "options"),
        ({"preset": "small"}, "preset"),
        ({"metric": "accuracy"}, "metric"),
    ],
)
def test_resuming_with_other_settings_raises_resume_error(
    settings_of: MakeSettings, changes: dict[str, Any], setting: str
) -> None:
    run_search(settings_of(trials=1))
    with pytest.raises(ResumeError) as raised:
        run_search(settings_of(resume=True, **changes))
    assert (raised.value.code, raised.value.setting) == ("study-mismatch", setting)


def test_missing_best_model_raises_resume_error(settings_of: MakeSettings, tmp_path: Path) -> None:
    run_search(settings_of(trials=1))
    (tmp_path / "model").rename(tmp_path / "elsewhere")
    with pytest.raises(ResumeError) as raised:
        run_search(settings_of(resume=True))
    assert (raised.value.code, raised.value.trial) == ("best-model-missing", 1)


def test_resumed_search_replaces_no_other_model(settings_of: MakeSettings, tmp_path: Path) -> None:
    run_search(settings_of(out=tmp_path / "other", trials=1, seed=1))
    stop_in_trial(settings_of(), 1)
    (tmp_path / "other").rename(tmp_path / "model")
    with pytest.raises(InputError) as raised:
        run_search(settings_of(resume=True))
    assert raised.value.code == "output-exists"


def test_resuming_without_study_raises_resume_error(settings_of: MakeSettings, tmp_path: Path) -> None:
    with pytest.raises(ResumeError) as raised:
        run_search(settings_of(resume=True))
    assert raised.value.code == "no-study"
    assert list(tmp_path.iterdir()) == []


def test_truncated_study_is_resumed_and_damaged_one_raises_resume_error(
    settings_of: MakeSettings, tmp_path: Path
) -> None:
    run_search(settings_of(trials=1))
    path = study_path(tmp_path / "model")
    content = path.read_bytes()
    path.write_bytes(content + b'{"op_code": 4, "wor')
    _, result = run_search(settings_of(resume=True, trials=2))
    assert [trial.number for trial in result.trials] == [1, 2]
    lines = content.splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"{]\n", *lines[3:]]))
    with pytest.raises(ResumeError) as raised:
        run_search(settings_of(resume=True))
    assert (raised.value.code, raised.value.path) == ("corrupt-study", path)


def test_model_of_stopped_trial_is_replaced_by_complete_one_after_crash(
    settings_of: MakeSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, uninterrupted = run_search(settings_of(trials=1))
    weights = file_contents(uninterrupted.folder, "model.safetensors")
    run_until(monkeypatch, settings_of(trials=1, overwrite=True), lambda event: isinstance(event, EpochResult))
    with monkeypatch.context() as patched:
        record = Study.record

        def crash(self: Study, suggested: Any, done: Trial) -> None:
            record(self, suggested, done)
            raise KeyboardInterrupt

        patched.setattr(Study, "record", crash)
        with pytest.raises(KeyboardInterrupt):
            run_search(settings_of(trials=1, resume=True))
    _, resumed = run_search(settings_of(trials=1, resume=True))
    assert resumed.best.state == "complete"
    assert file_contents(tmp_path / "model", "model.safetensors") == weights
