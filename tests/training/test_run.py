"""One training run, from settings to a saved model: notes, calibration, resuming, errors."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.command_line import write_noisy_reviews
from tests.helpers.training import make_dataset, make_settings, make_splits

import fastlstm
from fastlstm.data import Dataset
from fastlstm.data.splits import VALIDATION_DESCRIPTION, load_splits
from fastlstm.errors import DataError, InputError, TrainingError
from fastlstm.kernel import KernelInfo
from fastlstm.nn.runs import checkpoint_path
from fastlstm.notes import Note
from fastlstm.training import evaluation, prepare
from fastlstm.training.calibration import Blend
from fastlstm.training.events import Calibrated, EpochResult, Evaluated, Prepared, StepDone, TrainingResult
from fastlstm.training.run import run

SMALL: dict[str, Any] = {
    "preset": "tutorial",
    "hidden_sizes": (7,),
    "embedding_size": 5,
    "epochs": 2,
    "batch_size": 16,
    "baseline": False,
}


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    return write_noisy_reviews(tmp_path / "noisy.csv")


def note_codes(events: list[Any]) -> list[str]:
    return [event.code for event in events if isinstance(event, Note)]


def result_of(events: list[Any]) -> TrainingResult:
    result = events[-1]
    assert isinstance(result, TrainingResult)
    return result


def test_events_describe_the_run_in_order(tmp_path: Path) -> None:
    data = make_splits()
    events = list(run(make_settings(data, tmp_path / "model", **{**SMALL, "baseline": True})))
    kinds = [type(event) for event in events if not isinstance(event, Note)]
    assert kinds[0] is Prepared
    assert kinds[1] is Evaluated
    assert kinds[-3:] == [Calibrated, Evaluated, TrainingResult]
    assert set(kinds[2:-3]) == {StepDone, EpochResult}
    (prepared,) = [event for event in events if isinstance(event, Prepared)]
    assert (prepared.training_texts, prepared.validation_texts, prepared.test_texts) == (
        len(data.training),
        len(data.validation),
        len(data.test or ()),
    )
    assert prepared.labels == ("negative", "positive")
    baseline, model = [event for event in events if isinstance(event, Evaluated)]
    result = result_of(events)
    assert (result.baseline, result.report) == (baseline.report, model.report)
    assert result.report.texts == len(data.evaluation)
    assert result.history == tuple(event for event in events if isinstance(event, EpochResult))


def test_notes_of_a_usual_run(tmp_path: Path) -> None:
    codes = note_codes(list(run(make_settings(make_splits(), tmp_path / "model", **SMALL))))
    assert codes[:2] == ["data", "vocabulary-capped"]
    assert not {"texts-truncated", "texts-overlap", "resumed"} & set(codes)


def test_truncated_and_repeated_texts_are_reported(tmp_path: Path) -> None:
    data = make_splits()
    data = dataclasses.replace(data, test=data.training)
    events = list(run(make_settings(data, tmp_path / "model", **SMALL, max_tokens=5)))
    notes = {event.code: event.text for event in events if isinstance(event, Note)}
    truncated = np.mean([len(text.split()) > 5 for text in data.training.texts])
    assert f"{truncated:.0%}" in notes["texts-truncated"]
    assert f"{len(data.training)}" in notes["texts-overlap"]


def test_missing_kernel_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastlstm.nn.runs.find_kernel", lambda: KernelInfo(None, "it was not built", None))
    events = list(run(make_settings(make_splits(), tmp_path / "model", **SMALL, device="cpu")))
    (note,) = [event for event in events if isinstance(event, Note) and event.code == "kernel-unavailable"]
    assert "it was not built" in note.text


def test_run_without_test_texts_is_evaluated_on_validation_texts(tmp_path: Path) -> None:
    data = load_splits(make_dataset(120))
    result = result_of(list(run(make_settings(data, tmp_path / "model", **SMALL))))
    assert (result.evaluated_on, result.report.texts) == (VALIDATION_DESCRIPTION, len(data.validation))


def test_record_describes_the_run(tmp_path: Path) -> None:
    data = make_splits()
    result = result_of(list(run(make_settings(data, tmp_path / "model", **{**SMALL, "baseline": True}))))
    record = json.loads((tmp_path / "model" / "config.json").read_bytes())["training"]
    assert record["preset"] == "tutorial"
    assert set(record["changed"]) >= {"hidden_sizes", "embedding_size", "epochs", "batch_size"}
    assert "seed" not in record["changed"]
    assert record["config"]["epochs"] == record["epochs"] == 2
    assert record["data"]["train_texts"] == len(data.training)
    assert record["results"]["accuracy"] == result.report.accuracy
    assert result.baseline is not None
    assert record["baseline"]["accuracy"] == result.baseline.accuracy
    assert (record["encoder"], record["teacher"], record["budget"]) == (None, None, None)


def test_ngrams_are_fitted_again_on_all_texts_that_were_split_after_these_are_evaluated(tmp_path: Path) -> None:
    data = dataclasses.replace(make_splits(), test=None)
    given = dataclasses.replace(data, holds_out=False)
    again, once = (
        list(run(make_settings(splits, tmp_path / name, **SMALL, ngrams=500)))
        for splits, name in ((data, "again"), (given, "once"))
    )
    assert note_codes(again).count("ngrams-on-all") == 1
    assert "ngrams-on-all" not in note_codes(once)
    assert result_of(again).report == result_of(once).report
    refitted, plain = (result_of(events).classifier.saved for events in (again, once))
    assert refitted.config.ngrams == len(refitted.integer_arrays["wide.ngrams"])
    np.testing.assert_array_equal(refitted.weights["output.weight"], plain.weights["output.weight"])
    assert not np.array_equal(refitted.weights["wide.weight"], plain.weights["wide.weight"])


def test_the_figures_of_test_texts_are_those_of_the_saved_model(tmp_path: Path) -> None:
    data = make_splits()
    assert data.test is not None
    result = result_of(list(run(make_settings(data, tmp_path / "model", **SMALL, ngrams=500))))
    evaluated = fastlstm.load(tmp_path / "model").evaluate(data.test)
    assert evaluated.loss == pytest.approx(result.report.loss, rel=1e-4)


def test_ngrams_without_weight_are_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "fit_blend", lambda *_, **__: Blend(0.8, 0.0))
    settings = make_settings(make_splits(), tmp_path / "model", **SMALL, ngrams=100)
    saved = fastlstm.load(result_of(list(run(settings))).folder).saved
    assert saved.config.ngrams == 0
    assert "wide.weight" not in saved.weights
    assert not saved.integer_arrays


def test_a_model_whose_lstm_has_no_weight_has_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "fit_blend", lambda *_, **__: Blend(0.0, 1.0))
    events = list(run(make_settings(make_splits(), tmp_path / "model", **SMALL, ngrams=100)))
    assert [event.code for event in events if isinstance(event, Note)].count("linear-model") == 1
    assert result_of(events).classifier.saved.is_linear


def test_calibration_event_is_that_of_the_saved_model(noisy: Path, tmp_path: Path) -> None:
    events: list[object] = []
    result = fastlstm.train(noisy, tmp_path / "model", **SMALL, validation=0.2, watch=events.append)
    (event,) = [event for event in events if isinstance(event, Calibrated)]
    assert event.calibration.temperature == result.classifier.saved.temperature
    assert event.after.texts == event.before.texts == 60
    assert event.after == result.report  # without test texts, both are on the validation texts
    assert event.after.accuracy == event.before.accuracy


def test_run_is_resumed_with_another_calibration(noisy: Path, tmp_path: Path) -> None:
    data = load_splits(noisy)
    whole = result_of(list(run(make_settings(data, tmp_path / "whole", **SMALL))))
    out = tmp_path / "model"
    events = run(make_settings(data, out, **SMALL))
    next(event for event in events if isinstance(event, EpochResult))
    events.close()
    assert checkpoint_path(out).exists()
    changes = {"calibration": "none", "threshold_metric": "f1"}
    resumed = list(run(make_settings(data, out, **SMALL, **changes, resume=True)))
    assert "resumed" in note_codes(resumed)
    saved = result_of(resumed).classifier.saved
    assert saved.training["calibration"]["threshold_metric"] == "f1"
    for name, array in whole.classifier.saved.weights.items():
        np.testing.assert_array_equal(saved.weights[name], array, err_msg=name)
    assert not checkpoint_path(out).exists()


def test_resumed_run_does_not_replace_the_model_of_another_run(tmp_path: Path) -> None:
    data, out = make_splits(), tmp_path / "model"
    list(run(make_settings(data, tmp_path / "other", **SMALL, seed=1)))
    events = run(make_settings(data, out, **SMALL))
    next(event for event in events if isinstance(event, StepDone))
    events.close()
    (tmp_path / "other").rename(out)
    with pytest.raises(InputError) as raised:
        list(run(make_settings(data, out, **SMALL, resume=True)))
    assert (raised.value.code, raised.value.folder) == ("model-of-other-run", out)
    list(run(make_settings(data, out, **SMALL, resume=True, overwrite=True)))


def test_difference_between_training_and_inference_raises_training_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "PARITY_TOLERANCE", -1.0)
    with pytest.raises(TrainingError) as raised:
        list(run(make_settings(make_splits(), tmp_path / "model", **SMALL, device="cpu")))
    assert raised.value.code == "parity"
    assert raised.value.difference >= 0
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (Dataset(["fine", " "], ["0", "1"]), "empty-text"),
        (Dataset(["fine", "good"], ["0", "0"]), "one-class"),
        ((["fine", "good", "bad"], ["0", "1", "1"]), "bad-data-type"),
        ("missing.csv", "file-not-found"),
    ],
    ids=["empty text", "one class", "tuple", "missing file"],
)
def test_bad_data_raises_data_error_and_writes_nothing(tmp_path: Path, data: Any, code: str) -> None:
    with pytest.raises(DataError) as raised:
        fastlstm.train(data, tmp_path / "model")
    assert raised.value.code == code
    assert list(tmp_path.iterdir()) == []


def notes_of(events: list[Any]) -> dict[str, str]:
    return {event.code: event.text for event in events if isinstance(event, Note)}


def test_notes_of_the_run_are_part_of_its_result(tmp_path: Path) -> None:
    events = list(run(make_settings(make_splits(), tmp_path / "model", **SMALL)))
    notes = result_of(events).notes
    assert notes == tuple(event for event in events if isinstance(event, Note))
    assert {"few-validation-texts", "few-evaluation-texts", "not-calibrated"} <= {note.code for note in notes}
    record = json.loads((tmp_path / "model" / "config.json").read_bytes())["training"]["results"]["notes"]
    assert record == [note.to_json() for note in result_of(events).report.notes()]


def test_bidirectional_model_cannot_stream_and_the_card_and_the_notes_say_so(tmp_path: Path) -> None:
    data = make_splits()
    events = list(run(make_settings(data, tmp_path / "both", **SMALL, bidirectional=True)))
    assert "cannot-stream" in notes_of(events)
    reason = result_of(events).classifier.saved.stream_obstacle
    assert reason is not None
    assert reason in (tmp_path / "both" / "README.md").read_text(encoding="utf-8")
    forward = list(run(make_settings(data, tmp_path / "forward", **SMALL)))
    assert "cannot-stream" not in notes_of(forward)
    assert result_of(forward).classifier.saved.stream_obstacle is None


def test_validation_texts_of_unknown_words_are_reported(tmp_path: Path) -> None:
    foreign = Dataset(["ein ganz anderer text", "noch einer dazu"] * 10, ["positive", "negative"] * 10, "other.csv")
    data = dataclasses.replace(make_splits(), validation=foreign)
    notes = notes_of(list(run(make_settings(data, tmp_path / "model", **SMALL))))
    assert "other.csv" in notes["few-known-words"]


def test_model_that_predicts_one_class_is_reported(tmp_path: Path) -> None:
    dataset = make_dataset(400)
    rare = ["negative" if i % 50 == 1 else "positive" for i in range(400)]
    data = load_splits(Dataset(["the film was it"] * 400, rare, "rare.csv"))
    options = {**SMALL, "epochs": 1, "baseline": True}
    notes = notes_of(list(run(make_settings(data, tmp_path / "model", **options))))
    assert "positive" in notes["one-class-predicted"]
    assert "below-baseline" in notes
    usual = notes_of(list(run(make_settings(load_splits(dataset), tmp_path / "usual", **SMALL))))
    assert "below-baseline" not in usual
