"""A search that was stopped, crashed or finished goes on, or says why it can't."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.tuning import out_of_time, stop_in, without_seconds
from tests.tuning.conftest import SIZES, MakeJob, files, finished, texts

from fastlstm.data.splits import load_splits
from fastlstm.errors import InputError, ResumeError
from fastlstm.nn.runs import Note
from fastlstm.training.events import EpochResult
from fastlstm.tuning.events import Trial, TrialStarted, TuningResult
from fastlstm.tuning.settings import study_path
from fastlstm.tuning.study import Study


@pytest.mark.parametrize("number", [1, 3])
def test_a_search_that_was_stopped_goes_on_and_ends_as_if_it_never_was(
    make_job: MakeJob, whole: TuningResult, tmp_path: Path, number: int
) -> None:
    stop_in(make_job(), number)
    assert (tmp_path / "model").exists() == (number > 1)
    events, resumed = finished(make_job(resume=True))
    assert isinstance(events[0], Note)
    assert f"after {number - 1} trial" in events[0].text
    assert [trial.number for trial in resumed.trials if trial.state == "stopped"] == [number]
    assert without_seconds(resumed.trials) == without_seconds(whole.trials)
    names = ("model.safetensors", "golden.json", "config.json")
    assert files(tmp_path / "model", *names) == files(whole.folder, *names)


def test_a_finished_search_takes_further_trials(make_job: MakeJob, whole: TuningResult) -> None:
    finished(make_job(trials=2))
    _, more = finished(make_job(resume=True))
    assert without_seconds(more.trials) == without_seconds(whole.trials)
    events, same = finished(make_job(resume=True))
    assert same.trials == more.trials
    assert not [event for event in events if isinstance(event, TrialStarted)]


@pytest.mark.parametrize("when", ["tell", "record"])
def test_a_crash_around_the_saving_of_a_model_loses_nothing(
    make_job: MakeJob, whole: TuningResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, when: str
) -> None:
    original = getattr(Study, when)

    def crash(self: Study, asked: Any, done: Trial) -> None:
        if done.number == whole.best.number > 1:
            if when == "record":  # it is written down, and the model is not saved
                original(self, asked, done)
            raise KeyboardInterrupt
        original(self, asked, done)

    with monkeypatch.context() as patched:
        patched.setattr(Study, when, crash)
        with pytest.raises(KeyboardInterrupt):
            finished(make_job())
    _, resumed = finished(make_job(resume=True))
    assert without_seconds(resumed.trials) == without_seconds(whole.trials)
    assert files(tmp_path / "model", "model.safetensors") == files(whole.folder, "model.safetensors")


def test_a_lock_that_a_killed_search_left_is_no_hindrance(make_job: MakeJob, whole: TuningResult) -> None:
    job = make_job()
    stop_in(job, 2)
    lock = study_path(job.out).with_name(f"{study_path(job.out).name}.lock")
    lock.touch()
    result = finished(dataclasses.replace(job, resume=True))[1]
    assert without_seconds(result.trials) == without_seconds(whole.trials)
    assert not lock.exists()


def test_a_search_is_resumed_with_the_same_data_and_options_alone(make_job: MakeJob) -> None:
    finished(make_job(trials=1))
    with pytest.raises(InputError, match="holds a search; pass --resume to go on with it"):
        finished(make_job())
    other = load_splits(texts(60, seed=5), validation=texts(10, seed=1))
    for change, named in (
        ({"data": other}, "its training data is"),
        ({"given": {**SIZES, "dropout": 0.1}}, "its options is"),
        ({"given": {**SIZES, "seed": 2}}, "its options is"),
        ({"preset": "small"}, "its preset is tutorial, this one's is small"),
        ({"metric": "accuracy"}, "its metric is loss, this one's is accuracy"),
    ):
        with pytest.raises(ResumeError, match=f"belongs to another search: {named}"):
            finished(make_job(resume=True, **change))
    finished(make_job(trials=1, overwrite=True, metric="accuracy"))


def test_without_its_best_model_a_search_does_not_go_on(make_job: MakeJob, tmp_path: Path) -> None:
    finished(make_job(trials=1))
    (tmp_path / "model").rename(tmp_path / "elsewhere")
    with pytest.raises(ResumeError, match="no longer holds the model of trial 1"):
        finished(make_job(resume=True))


def test_a_resumed_search_writes_over_no_other_model(make_job: MakeJob, tmp_path: Path) -> None:
    finished(make_job(out=tmp_path / "other", trials=1, given={**SIZES, "seed": 1}))
    stop_in(make_job(), 1)
    (tmp_path / "other").rename(tmp_path / "model")
    with pytest.raises(InputError, match="holds a model already; pass --overwrite"):
        finished(make_job(resume=True))


def test_nothing_to_resume_is_an_error(make_job: MakeJob, tmp_path: Path) -> None:
    with pytest.raises(ResumeError, match="nothing to resume: no search at"):
        finished(make_job(resume=True))
    assert list(tmp_path.iterdir()) == []


def test_a_study_that_a_crash_cut_off_goes_on_and_a_damaged_one_is_an_error(
    make_job: MakeJob, tmp_path: Path
) -> None:
    finished(make_job(trials=1))
    path = study_path(tmp_path / "model")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 4, "wor')
    _, result = finished(make_job(resume=True, trials=2))
    assert [trial.number for trial in result.trials] == [1, 2]
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"{]\n", *lines[3:]]))
    with pytest.raises(ResumeError, match="is damaged"):
        finished(make_job(resume=True))


def test_a_model_of_a_stopped_trial_is_not_taken_for_that_of_the_complete_one(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, whole = finished(make_job(trials=1))
    weights = files(whole.folder, "model.safetensors")
    out_of_time(monkeypatch, make_job(trials=1, overwrite=True), lambda event: isinstance(event, EpochResult))
    with monkeypatch.context() as patched:
        record = Study.record

        def crash(self: Study, asked: Any, done: Trial) -> None:
            record(self, asked, done)
            raise KeyboardInterrupt

        patched.setattr(Study, "record", crash)
        with pytest.raises(KeyboardInterrupt):
            finished(make_job(trials=1, resume=True))
    _, resumed = finished(make_job(trials=1, resume=True))
    assert resumed.best.state == "complete"
    assert files(tmp_path / "model", "model.safetensors") == weights
