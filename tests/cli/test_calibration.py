"""Probabilities and the decision threshold, from `fastlstm train` to every place that uses or tells them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cli.conftest import SMALL, Command, reviews, write_csv

import fastlstm
from fastlstm.config import configure
from fastlstm.data import read_dataset
from fastlstm.data.splits import load_splits
from fastlstm.serialization.classifier import read_classifier
from fastlstm.training.events import Calibrated, EpochResult, TrainingResult
from fastlstm.training.run import run
from fastlstm.training.settings import TrainingJob

OPTIONS = [*SMALL, "--epochs", "6", "--learning-rate", "0.03", "--no-baseline"]
FIGURES = ("accuracy", "loss", "macro_f1", "calibration_error", "confusion")


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """300 labelled texts, of which every tenth has the other label: nothing can be sure of them."""
    rows = [
        (text, label if i % 10 else "good" if label == "bad" else "bad")
        for i, (text, label) in enumerate(reviews(300, seed=0))
    ]
    return write_csv(tmp_path / "noisy.csv", rows)


def config_of(folder: Path) -> Any:
    return json.loads((folder / "config.json").read_bytes())


def assert_measured_as_reported(command: Command, data: Path, folder: Path, trained: Any) -> None:
    """The run's figures are those that `fastlstm evaluate` gives for the model it saved."""
    measured = command("evaluate", data, "--model", folder, "--json").json
    for name in FIGURES:
        assert np.allclose(measured[name], trained[name], rtol=0, atol=1e-4), name


def test_training_fits_a_temperature_says_so_and_measures_with_it(
    command: Command, noisy: Path, tmp_path: Path
) -> None:
    test, out = write_csv(tmp_path / "test.csv", reviews(80, seed=3)), tmp_path / "model"
    result = command("train", noisy, "--out", out, *OPTIONS, "--test", test, "--json")
    config = config_of(out)
    temperature, record = config["calibration"]["temperature"], config["training"]["calibration"]
    assert temperature != 1.0
    assert config["calibration"]["threshold"] == 0.5
    assert (record["method"], record["temperature"], record["validation_texts"]) == ("temperature", temperature, 60)
    assert record["loss_after"] < record["loss_before"]
    assert result.json["calibrated"] == record
    (said,) = [line for line in result.err.splitlines() if "fitted to the 60 validation texts" in line]
    for words in (f"by temperature {temperature:.4g}", f"{record['calibration_error_before']:.2%} -> "):
        assert words in said
    assert f"calibration error {result.json['calibration_error']:.2%} on test.csv" in result.err
    assert_measured_as_reported(command, test, out, result.json)
    assert f"temperature {temperature:.4g}" in command("info", "--model", out).out
    assert f"by temperature {temperature:.4g}. On these:" in (out / "README.md").read_text(encoding="utf-8")


def test_without_calibration_the_model_answers_as_it_was_trained(
    command: Command, noisy: Path, tmp_path: Path
) -> None:
    for way in ("auto", "none"):
        said = command("train", noisy, "--out", tmp_path / way, *OPTIONS, "--calibration", way).err
        assert ("probabilities fitted" in said) == (way == "auto")
    fitted, raw = (read_classifier(tmp_path / way) for way in ("auto", "none"))
    assert (raw.temperature, raw.training["calibration"]["method"]) == (1.0, "none")
    assert all(np.array_equal(array, raw.weights[name]) for name, array in fitted.weights.items())
    texts = [text for text, _ in reviews(50, seed=4)]
    assert fastlstm.load(tmp_path / "auto").predict(texts) == fastlstm.load(tmp_path / "none").predict(texts)
    assert "not fitted" in command("info", "--model", tmp_path / "none").out
    assert "## Probabilities" not in (tmp_path / "none" / "README.md").read_text(encoding="utf-8")


def test_few_validation_texts_leave_the_probabilities_and_that_is_said(
    command: Command, data: Path, tmp_path: Path
) -> None:
    result = command("train", data, "--out", tmp_path / "model", *OPTIONS)
    assert (
        "probabilities are left as they are: 24 validation texts are too few, 50 are needed"
        in result.err.splitlines()
    )
    record = config_of(tmp_path / "model")["training"]["calibration"]
    assert (record["method"], record["temperature"]) == ("none", 1.0)
    assert record["loss_after"] == record["loss_before"]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_vector_scaling_is_folded_into_the_weights(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, activation: str
) -> None:
    rows = [(text, "rare" if i % 5 == 0 else label) for i, (text, label) in enumerate(reviews(300, seed=0))]
    data, test = write_csv(tmp_path / "d.csv", rows), write_csv(tmp_path / "t.csv", rows[:60])
    monkeypatch.setattr("fastlstm.training.calibration._vector_is_better", lambda *_: True)
    out, options = tmp_path / "model", [*OPTIONS, "--activation", activation, "--test", test, "--json"]
    result = command("train", data, "--out", out, *options)
    assert result.status == 0, result.err
    assert "fitted to the 60 validation texts by vector scaling" in result.err
    config = config_of(out)
    assert config["calibration"] == {"temperature": 1.0, "threshold": 0.5}
    record = config["training"]["calibration"]
    assert record["method"] == "vector scaling"
    assert len(record["scale"]) == len(record["bias"]) == 3
    assert record["loss_after"] < record["loss_before"]
    assert_measured_as_reported(command, test, out, result.json)
    raw = read_classifier(out).weights["output.weight"] / np.array(record["scale"], np.float32)[:, None]
    command("train", data, "--out", tmp_path / "raw", *options, "--calibration", "none")
    np.testing.assert_allclose(raw, read_classifier(tmp_path / "raw").weights["output.weight"], rtol=1e-5)
    assert "vector scaling" in command("info", "--model", out).out


@pytest.mark.parametrize("metric", ["accuracy", "balanced-accuracy", "f1", "macro-f1"])
def test_a_threshold_is_chosen_saved_and_used_everywhere(
    command: Command, noisy: Path, tmp_path: Path, metric: str
) -> None:
    validation = write_csv(tmp_path / "validation.csv", reviews(60, seed=7)[:45] + reviews(30, seed=8)[1::2])
    out = tmp_path / "model"
    arguments = ["train", noisy, "--out", out, *SMALL, "--no-baseline", "--validation", validation, "--json"]
    result = command(*arguments, "--threshold-metric", metric)
    assert result.status == 0, result.err
    config = config_of(out)
    threshold = config["calibration"]["threshold"]
    assert config["training"]["calibration"]["threshold_metric"] == metric
    assert f"good is predicted from the probability {threshold:.4g} on, for the best {metric} on" in result.err
    assert_measured_as_reported(command, validation, out, result.json)
    assert command("info", "--model", out, "--json").json["calibration"]["threshold"] == threshold

    model, records = fastlstm.load(out), read_dataset(validation)
    second = model.predict_proba(records.texts)[:, 1]
    expected = ["good" if p >= np.float32(threshold) else "bad" for p in second]
    assert model.predict(records.texts) == expected
    lines = command("predict", "--model", out, *records.texts).out.splitlines()
    assert [line.split("\t")[0] for line in lines] == expected
    if metric == "accuracy":
        every = [model.evaluate(records, threshold=float(p)).accuracy for p in second]
        assert model.evaluate(records).accuracy >= max(every)


def test_a_threshold_for_more_than_two_classes_is_refused_before_training(command: Command, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "d.csv", [(f"film {i}", str(i % 3)) for i in range(30)])
    result = command("train", data, "--out", tmp_path / "model", *SMALL, "--threshold-metric", "f1")
    assert (result.status, result.out) == (2, "")
    assert "only a model of two classes has a threshold: leave it at none" in result.err
    assert "epoch" not in result.err
    assert [file.name for file in tmp_path.iterdir()] == ["d.csv"]


def test_a_run_goes_on_with_another_calibration_since_no_weight_depends_on_it(noisy: Path, tmp_path: Path) -> None:
    model, training = configure("tutorial", {"hidden_sizes": (7,), "embedding_size": 5, "epochs": 2})
    job = TrainingJob(
        data=load_splits(noisy),
        model=model,
        training=training,
        out=tmp_path / "model",
        preset="tutorial",
        baseline=False,
    )
    *_, whole = run(job)
    events = run(dataclasses.replace(job, out=tmp_path / "other"))
    next(event for event in events if isinstance(event, EpochResult))
    events.close()
    result = fastlstm.train(
        noisy, tmp_path / "other", preset="tutorial", resume=True, baseline=False,
        hidden_sizes=(7,), embedding_size=5, epochs=2, calibration="none", threshold_metric="f1",
    )  # fmt: skip
    assert isinstance(whole, TrainingResult)
    assert result.classifier.model.training["calibration"]["threshold_metric"] == "f1"
    weights = result.classifier.model.weights
    assert all(np.array_equal(array, weights[name]) for name, array in whole.classifier.model.weights.items())


def test_who_watches_a_run_is_told_of_its_calibration(noisy: Path, tmp_path: Path) -> None:
    events: list[object] = []
    result = fastlstm.train(
        noisy,
        tmp_path / "model",
        baseline=False,
        hidden_sizes=(7,),
        embedding_size=5,
        epochs=2,
        watch=events.append,
    )
    (event,) = [event for event in events if isinstance(event, Calibrated)]
    assert event.calibration.temperature == result.classifier.model.temperature
    assert event.after.texts == event.before.texts == 60
    assert event.after == result.report  # no test: both are about the validation texts
    assert event.after.accuracy == event.before.accuracy
