from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.tuning import out_of_time, stop_in, without_seconds
from tests.tuning.conftest import SIZES, MakeJob, files, finished, texts

import fastlstm
from fastlstm.data.splits import DataSplits
from fastlstm.errors import InputError, OptionError, TrainingError
from fastlstm.training import train
from fastlstm.training.events import EpochResult, Evaluated
from fastlstm.training.prepare import PreparedRun
from fastlstm.tuning import study as study_module
from fastlstm.tuning import tune
from fastlstm.tuning.events import Trial, TrialDone, TrialStarted, TuningEvent, TuningResult
from fastlstm.tuning.results import VALIDATION_NOTE
from fastlstm.tuning.settings import BUDGET, limits, study_path

MODEL = ("model.safetensors", "tokenizer.json", "golden.json", "config.json")


def test_the_same_seed_and_trials_give_the_same_search_which_begins_with_the_preset(
    make_job: MakeJob, whole: TuningResult
) -> None:
    events, result = finished(make_job())
    assert without_seconds(result.trials) == without_seconds(whole.trials)
    assert files(result.folder, *MODEL) == files(whole.folder, *MODEL)
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


def test_another_seed_is_another_search(make_job: MakeJob, whole: TuningResult) -> None:
    _, other = finished(make_job(trials=2, given={**SIZES, "seed": 1}))
    assert other.trials[1].options != whole.trials[1].options


def test_the_best_options_given_to_train_make_the_same_model_again(whole: TuningResult, tmp_path: Path) -> None:
    assert whole.best.number > 1
    assert whole.options == {**SIZES, **whole.best.changes}
    job: dict[str, Any] = {"validation": texts(10, seed=1), "test": texts(10, seed=2), **whole.options}
    train(texts(60), tmp_path / "again", preset="tutorial", **job)
    names = ("model.safetensors", "tokenizer.json", "golden.json")
    assert files(whole.folder, *names) == files(tmp_path / "again", *names)
    tuned, again = (fastlstm.load(folder).model for folder in (whole.folder, tmp_path / "again"))
    assert tuned.config == again.config
    assert {**tuned.training, "baseline": 0} == {
        **again.training,
        "baseline": 0,
        "tuning": tuned.training["tuning"],
        "results": tuned.training["results"],
    }
    assert tuned.training["results"]["accuracy"] == again.training["results"]["accuracy"]
    assert tuned.training["results"]["loss"] == pytest.approx(again.training["results"]["loss"], rel=1e-4)


def test_the_test_part_is_measured_once_at_the_end(make_job: MakeJob, data: DataSplits) -> None:
    events, result = finished(make_job(baseline=True))
    measured = [(event.name, event.report) for event in events if isinstance(event, Evaluated)]
    assert [report for _, report in measured] == [result.report, result.baseline]
    assert result.measured_on == data.measured_on
    assert result.report.texts == len(data.measured)
    record = fastlstm.load(result.folder).model.training
    assert record["results"]["accuracy"] == result.report.accuracy
    assert record["tuning"]["trial"] == result.best.number
    assert record["baseline"]["texts"] == len(data.measured)


def test_without_a_test_part_the_figures_say_that_they_are_flattering(make_job: MakeJob, data: DataSplits) -> None:
    job = make_job(data=dataclasses.replace(data, test=None), trials=1)
    _, result = finished(job)
    assert result.measured_on == VALIDATION_NOTE
    assert result.report.loss == pytest.approx(result.best.loss, rel=1e-4)


def test_accuracy_may_choose(make_job: MakeJob) -> None:
    _, result = finished(make_job(metric="accuracy"))
    reached = [trial.accuracy for trial in result.trials if trial.accuracy is not None]
    assert result.best.accuracy == max(reached)


def test_a_hopeless_trial_is_given_up(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_module, "UNPRUNED_TRIALS", 1)
    _, result = finished(make_job(trials=6))
    pruned = [trial for trial in result.trials if trial.state == "pruned"]
    assert pruned
    for trial in pruned:
        assert trial.loss is None
        assert 1 <= trial.epochs < trial.options["epochs"]


def test_a_trial_at_the_end_of_the_budget_stops_between_two_steps(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = out_of_time(monkeypatch, make_job(), lambda event: isinstance(event, TrialStarted) and event.number == 2)
    assert [trial.state for trial in late.trials] == ["complete", "stopped"]
    assert late.best.number == 1
    assert late.trials[1].loss is None


def test_a_trial_whose_last_epoch_ends_with_the_budget_is_complete(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job()
    last = job.trial({}).training.epochs
    late = out_of_time(monkeypatch, job, lambda event: isinstance(event, EpochResult) and event.epoch == last)
    assert [trial.state for trial in late.trials] == ["complete"]


def test_where_the_budget_ends_in_the_first_trial_its_best_epoch_is_kept(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = out_of_time(monkeypatch, make_job(), lambda event: isinstance(event, EpochResult))
    assert (late.best.state, late.best.epochs) == ("stopped", 1)
    assert fastlstm.load(late.folder).model.training["tuning"]["state"] == "stopped"
    # A complete trial takes its place, be it better or not.
    _, later = finished(make_job(resume=True, trials=1))
    assert (later.best.state, later.best.epochs) == ("complete", later.best.options["epochs"])


def test_where_the_budget_ends_before_the_first_epoch_nothing_is_saved_and_the_error_says_so(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="the budget was over before one epoch of the first trial was"):
        out_of_time(monkeypatch, make_job(), lambda event: isinstance(event, TrialStarted))
    assert not (tmp_path / "model").exists()
    assert study_path(tmp_path / "model").exists()


def failing(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
    """Training of these trials goes astray at once."""
    epochs, count = PreparedRun.epochs, iter(range(1, 100))

    def maybe(self: PreparedRun) -> Iterator[Any]:
        if next(count) in numbers:
            raise TrainingError("the loss is nan")
        return epochs(self)

    monkeypatch.setattr(PreparedRun, "epochs", maybe)


def test_a_trial_that_goes_astray_is_marked_and_the_search_goes_on(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, 1, 3)
    _, result = finished(make_job())
    states = [trial.state for trial in result.trials]
    assert (states[0], states[1], states[2]) == ("failed", "complete", "failed")
    assert result.trials[2].why_not == "the loss is nan"


def test_where_every_trial_goes_astray_the_error_says_why(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, 1, 2)
    with pytest.raises(TrainingError, match="no trial came to an end: the loss is nan"):
        finished(make_job(trials=2))


def test_options_that_do_not_fit_the_texts_leave_nothing_behind(make_job: MakeJob, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="vocabulary-size is 5000"):
        finished(make_job(given={**SIZES, "vocabulary_size": 5000}))
    assert list(tmp_path.iterdir()) == []


def test_the_folder_lists_every_trial_and_shows_the_search(make_job: MakeJob) -> None:
    _, result = finished(make_job(plots=True, trials=6))
    listed = json.loads((result.folder / "trials.json").read_text(encoding="utf-8"))
    assert [Trial.from_json(trial) for trial in listed["trials"]] == list(result.trials)
    assert listed["metric"] == "loss"
    drawn = {path.name for path in (result.folder / "plots").iterdir()}
    assert {"trials.png", "learning_curves.png", "report.png"} <= drawn
    complete = sum(trial.state == "complete" for trial in result.trials)
    assert ("importance.png" in drawn) == (complete >= study_module.MIN_TRIALS_FOR_IMPORTANCE)


def test_a_stopped_search_lists_its_trials_too(make_job: MakeJob, tmp_path: Path) -> None:
    stop_in(make_job(), 2)
    listed = json.loads((tmp_path / "model" / "trials.json").read_text(encoding="utf-8"))
    assert [trial["state"] for trial in listed["trials"]] == ["complete", "stopped"]


@pytest.mark.parametrize("content", [b"my notes\n", b"[1]\n", b"3", b"\xff\x00"])
def test_what_is_no_search_is_never_written_over(make_job: MakeJob, tmp_path: Path, content: bytes) -> None:
    study_path(tmp_path / "model").write_bytes(content)
    with pytest.raises(InputError, match="is not a search of fastlstm, so it is never written over"):
        finished(make_job(overwrite=True))
    assert study_path(tmp_path / "model").read_bytes() == content


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metric": "los"}, "unknown metric 'los'; did you mean 'loss'"),
        ({"out": Path("/")}, "expected the name of a folder to make"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"given": {"droput": 0.1}}, "unknown option 'droput'; did you mean 'dropout'"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(make_job: MakeJob, change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        finished(make_job(**change))


def test_a_search_without_limits_has_ten_minutes() -> None:
    assert limits(None, None) == (BUDGET, None)
    assert limits(None, 3) == (None, 3)
    assert limits(5.0, None) == (5.0, None)
    for trials in (0, -1, True, 2.5):
        with pytest.raises(OptionError, match="expected a whole number, at least 1"):
            limits(None, trials)  # type: ignore[arg-type]  # what Python callers may pass


def test_one_call_searches_in_python(tmp_path: Path) -> None:
    seen: list[TuningEvent] = []
    result = tune(
        texts(60), tmp_path / "model", trials=2, preset="tutorial", baseline=False, watch=seen.append, **SIZES
    )
    assert len(result.trials) == 2
    assert seen[-1] is result
    assert result.classifier.predict("a great film") in ("good", "bad")
    with pytest.raises(OptionError, match="budget is 'soon'"):
        tune(texts(60), tmp_path / "other", budget="soon", preset="tutorial")
