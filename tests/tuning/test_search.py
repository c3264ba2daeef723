from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.tuning import (
    SIZES,
    MakeSettings,
    file_contents,
    make_dataset,
    run_search,
    run_until,
    stop_in_trial,
    without_seconds,
)

import fastlstm
from fastlstm.data.splits import DataSplits
from fastlstm.errors import InputError, OptionError, TrainingError
from fastlstm.training.api import train
from fastlstm.training.events import EpochResult, Evaluated
from fastlstm.training.prepare import PreparedRun
from fastlstm.tuning import study as study_module
from fastlstm.tuning.api import tune
from fastlstm.tuning.events import Trial, TrialDone, TrialStarted, TuningEvent, TuningResult
from fastlstm.tuning.results import SEARCH_DESCRIPTION
from fastlstm.tuning.settings import study_path

MODEL = ("model.safetensors", "tokenizer.json", "golden.json", "config.json")


def test_search_is_reproducible_and_starts_with_preset(settings_of: MakeSettings, complete: TuningResult) -> None:
    events, result = run_search(settings_of())
    assert without_seconds(result.trials) == without_seconds(complete.trials)
    assert file_contents(result.folder, *MODEL) == file_contents(complete.folder, *MODEL)
    first = result.trials[0]
    assert (first.number, first.state, first.changes) == (1, "complete", {})
    assert [trial.number for trial in result.trials] == [1, 2, 3, 4]
    assert first.loss is not None
    assert result.best.loss is not None
    assert result.best.loss <= first.loss
    done = [event for event in events if isinstance(event, TrialDone)]
    assert [event.trial for event in done] == list(result.trials)
    assert done[-1].best == result.best
    assert set(first.options).isdisjoint(SIZES)


def test_other_seed_gives_other_search(settings_of: MakeSettings, complete: TuningResult) -> None:
    _, other = run_search(settings_of(trials=2, seed=1))
    assert other.trials[1].options != complete.trials[1].options


def test_train_with_best_options_gives_same_model(complete: TuningResult, tmp_path: Path) -> None:
    assert complete.best.number > 1
    assert complete.options == {**SIZES, **complete.best.changes}
    job: dict[str, Any] = {
        "validation": make_dataset(10, seed=1),
        "test": make_dataset(10, seed=2),
        **complete.options,
    }
    train(make_dataset(60), tmp_path / "again", preset="tutorial", **job)
    names = ("model.safetensors", "tokenizer.json", "golden.json")
    assert file_contents(complete.folder, *names) == file_contents(tmp_path / "again", *names)
    tuned, again = (fastlstm.load(folder).saved for folder in (complete.folder, tmp_path / "again"))
    assert tuned.config == again.config
    assert {**tuned.training, "baseline": 0} == {
        **again.training,
        "baseline": 0,
        "tuning": tuned.training["tuning"],
        "results": tuned.training["results"],
    }
    assert tuned.training["results"]["accuracy"] == again.training["results"]["accuracy"]
    assert tuned.training["results"]["loss"] == pytest.approx(again.training["results"]["loss"], rel=1e-4)


def test_test_split_is_evaluated_once_at_the_end(settings_of: MakeSettings, data: DataSplits) -> None:
    events, result = run_search(settings_of(baseline=True))
    measured = [(event.name, event.report) for event in events if isinstance(event, Evaluated)]
    assert [report for _, report in measured] == [result.report, result.baseline]
    assert result.evaluated_on == data.evaluated_on
    assert result.report.texts == len(data.evaluation)
    record = fastlstm.load(result.folder).saved.training
    assert record["results"]["accuracy"] == result.report.accuracy
    assert record["tuning"]["trial"] == result.best.number
    assert record["baseline"]["texts"] == len(data.evaluation)


def test_without_test_split_result_is_on_validation_texts(settings_of: MakeSettings, data: DataSplits) -> None:
    job = settings_of(data=dataclasses.replace(data, test=None), trials=1)
    _, result = run_search(job)
    assert result.evaluated_on == SEARCH_DESCRIPTION
    assert result.report.loss == pytest.approx(result.best.loss, rel=1e-4)


def test_accuracy_can_be_the_metric(settings_of: MakeSettings) -> None:
    _, result = run_search(settings_of(metric="accuracy"))
    reached = [trial.accuracy for trial in result.trials if trial.accuracy is not None]
    assert result.best.accuracy == max(reached)


def test_bad_trials_are_pruned(settings_of: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_module, "UNPRUNED_TRIALS", 1)
    _, result = run_search(settings_of(trials=6))
    pruned = [trial for trial in result.trials if trial.state == "pruned"]
    assert pruned
    for trial in pruned:
        assert trial.loss is None
        assert 1 <= trial.epochs < trial.options["epochs"]


def test_time_limit_stops_trial_between_two_steps(
    settings_of: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = run_until(
        monkeypatch, settings_of(), lambda event: isinstance(event, TrialStarted) and event.number == 2
    )
    assert [trial.state for trial in late.trials] == ["complete", "stopped"]
    assert late.best.number == 1
    assert late.trials[1].loss is None


def test_trial_that_ends_at_time_limit_is_complete(
    settings_of: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = settings_of()
    last = job.trial({}).training.epochs
    late = run_until(monkeypatch, job, lambda event: isinstance(event, EpochResult) and event.epoch == last)
    assert [trial.state for trial in late.trials] == ["complete"]


def test_best_epoch_of_first_trial_is_saved_at_time_limit(
    settings_of: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = run_until(monkeypatch, settings_of(), lambda event: isinstance(event, EpochResult))
    assert (late.best.state, late.best.epochs) == ("stopped", 1)
    assert fastlstm.load(late.folder).saved.training["tuning"]["state"] == "stopped"
    # A complete trial replaces it in any case.
    _, later = run_search(settings_of(resume=True, trials=1))
    assert (later.best.state, later.best.epochs) == ("complete", later.best.options["epochs"])


def test_time_limit_before_first_epoch_raises_training_error(
    settings_of: MakeSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError) as raised:
        run_until(monkeypatch, settings_of(), lambda event: isinstance(event, TrialStarted))
    assert raised.value.code == "budget-exhausted"
    assert not (tmp_path / "model").exists()
    assert study_path(tmp_path / "model").exists()


def fail_trials(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
    """Make the training of these trials diverge at once."""
    epochs, count = PreparedRun.epochs, iter(range(1, 100))

    def maybe_fail(self: PreparedRun) -> Iterator[Any]:
        if next(count) in numbers:
            raise TrainingError("the loss is nan")
        return epochs(self)

    monkeypatch.setattr(PreparedRun, "epochs", maybe_fail)


def test_failed_trial_does_not_end_search(settings_of: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_trials(monkeypatch, 1, 3)
    _, result = run_search(settings_of())
    states = [trial.state for trial in result.trials]
    assert (states[0], states[1], states[2]) == ("failed", "complete", "failed")
    assert result.trials[2].failure == "the loss is nan"


def test_search_without_successful_trial_raises_training_error(
    settings_of: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_trials(monkeypatch, 1, 2)
    with pytest.raises(TrainingError) as raised:
        run_search(settings_of(trials=2))
    assert raised.value.code == "no-trial-finished"


def test_options_that_do_not_fit_data_leave_no_files(settings_of: MakeSettings, tmp_path: Path) -> None:
    with pytest.raises(OptionError) as raised:
        run_search(settings_of(vocabulary_size=5000))
    assert raised.value.code == "vocabulary-too-large"
    assert list(tmp_path.iterdir()) == []


def test_folder_contains_trials_and_plots(settings_of: MakeSettings) -> None:
    _, result = run_search(settings_of(plots=True, trials=6))
    listed = json.loads((result.folder / "trials.json").read_text(encoding="utf-8"))
    assert [Trial.from_json(trial) for trial in listed["trials"]] == list(result.trials)
    assert listed["metric"] == "loss"
    drawn = {path.name for path in (result.folder / "plots").iterdir()}
    assert {"trials.png", "learning_curves.png", "report.png"} <= drawn
    complete = sum(trial.state == "complete" for trial in result.trials)
    assert ("importance.png" in drawn) == (complete >= study_module.MIN_TRIALS_FOR_IMPORTANCE)


def test_stopped_search_lists_its_trials(settings_of: MakeSettings, tmp_path: Path) -> None:
    stop_in_trial(settings_of(), 2)
    listed = json.loads((tmp_path / "model" / "trials.json").read_text(encoding="utf-8"))
    assert [trial["state"] for trial in listed["trials"]] == ["complete", "stopped"]


@pytest.mark.parametrize("content", [b"my notes\n", b"[1]\n", b"3", b"\xff\x00"])
def test_other_files_are_not_overwritten(settings_of: MakeSettings, tmp_path: Path, content: bytes) -> None:
    study_path(tmp_path / "model").write_bytes(content)
    with pytest.raises(InputError) as raised:
        run_search(settings_of(overwrite=True))
    assert raised.value.code == "not-a-study"
    assert study_path(tmp_path / "model").read_bytes() == content


@pytest.mark.parametrize(
    ("changes", "code"), [({"out": Path("/")}, "bad-output"), ({"device": "gpu"}, "unknown-device")]
)
def test_invalid_settings_raise_input_error_before_training(
    settings_of: MakeSettings, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(InputError) as raised:
        run_search(settings_of(**changes))
    assert raised.value.code == code


def test_tune_searches_in_one_call(tmp_path: Path) -> None:
    seen: list[TuningEvent] = []
    result = tune(
        make_dataset(60),
        tmp_path / "model",
        trials=2,
        preset="tutorial",
        baseline=False,
        watch=seen.append,
        **SIZES,
    )
    assert len(result.trials) == 2
    assert seen[-1] is result
    assert result.classifier.predict("a great film") in ("good", "bad")
