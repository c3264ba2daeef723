"""Calibration and decision threshold, from `fastlstm train` to every place that uses or shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.command_line import SMALL, Command, reviews, write_csv, write_noisy_reviews

import fastlstm
from fastlstm.data import read_dataset
from fastlstm.serialization.classifier import read_classifier

OPTIONS = [*SMALL, "--epochs", "6", "--learning-rate", "0.03", "--no-baseline", "--validation", "0.2"]
FIGURES = ("accuracy", "loss", "macro_f1", "calibration_error", "confusion")


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    return write_noisy_reviews(tmp_path / "noisy.csv")


def config_of(folder: Path) -> Any:
    return json.loads((folder / "config.json").read_bytes())


def assert_evaluate_agrees(command: Command, data: Path, folder: Path, reported: Any) -> None:
    """Assert that the figures of a run are those of `fastlstm evaluate` for the saved model."""
    evaluated = command("evaluate", data, "--model", folder, "--json").json
    for name in FIGURES:
        assert np.allclose(evaluated[name], reported[name], rtol=0, atol=1e-4), name


def test_temperature_is_fitted_saved_shown_and_used(command: Command, noisy: Path, tmp_path: Path) -> None:
    test, out = write_csv(tmp_path / "test.csv", reviews(80, seed=3)), tmp_path / "model"
    result = command("train", noisy, "--out", out, *OPTIONS, "--test", test, "--json")
    config = config_of(out)
    temperature, record = config["calibration"]["temperature"], config["training"]["calibration"]
    assert temperature != 1.0
    assert config["calibration"]["threshold"] == 0.5
    assert (record["method"], record["temperature"], record["validation_texts"]) == ("temperature", temperature, 60)
    assert record["loss_after"] < record["loss_before"]
    assert result.json["calibrated"] == record
    (line,) = [line for line in result.err.splitlines() if line.startswith("calibrated on 60 ")]
    for value in (f"temperature {temperature:.4g}", f"{record['calibration_error_before']:.2%} -> "):
        assert value in line
    assert f"calibration error {result.json['calibration_error']:.2%} on test.csv" in result.err
    assert_evaluate_agrees(command, test, out, result.json)
    assert f"temperature {temperature:.4g}" in command("info", "--model", out).out
    assert f"({temperature:.4g})" in (out / "README.md").read_text(encoding="utf-8")


def test_calibration_changes_no_weight_and_no_prediction(command: Command, noisy: Path, tmp_path: Path) -> None:
    for method in ("auto", "none"):
        out = tmp_path / method
        result = command("train", noisy, "--out", out, *OPTIONS, "--set", f"calibration={method}")
        assert ("calibrated on 60 " in result.err) == (method == "auto")
    calibrated, raw = (read_classifier(tmp_path / method) for method in ("auto", "none"))
    assert (raw.temperature, raw.training["calibration"]["method"]) == (1.0, "none")
    assert all(np.array_equal(array, raw.weights[name]) for name, array in calibrated.weights.items())
    texts = [text for text, _ in reviews(50, seed=4)]
    assert fastlstm.load(tmp_path / "auto").predict(texts) == fastlstm.load(tmp_path / "none").predict(texts)
    (line,) = [
        line
        for line in command("info", "--model", tmp_path / "none").out.splitlines()
        if line.startswith("calibration ")
    ]
    assert "temperature" not in line
    assert "## Calibration" not in (tmp_path / "none" / "README.md").read_text(encoding="utf-8")


def test_too_few_validation_texts_leave_the_probabilities(command: Command, data: Path, tmp_path: Path) -> None:
    result = command("train", data, "--out", tmp_path / "model", *OPTIONS)
    record = config_of(tmp_path / "model")["training"]["calibration"]
    assert (record["method"], record["temperature"]) == ("none", 1.0)
    assert record["loss_after"] == record["loss_before"]
    assert record["skip_reason"] in result.err


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_vector_scaling_is_folded_into_the_weights(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, activation: str
) -> None:
    rows = [(text, "rare" if i % 5 == 0 else label) for i, (text, label) in enumerate(reviews(300, seed=0))]
    data, test = write_csv(tmp_path / "d.csv", rows), write_csv(tmp_path / "t.csv", rows[:60])
    monkeypatch.setattr("fastlstm.training.calibration.vector_scaling_is_better", lambda *_: True)
    out, options = tmp_path / "model", [*OPTIONS, "--set", f"activation={activation}", "--test", test, "--json"]
    result = command("train", data, "--out", out, *options)
    assert result.status == 0, result.err
    assert "(vector scaling)" in result.err
    config = config_of(out)
    assert config["calibration"] == {"temperature": 1.0, "threshold": 0.5}
    record = config["training"]["calibration"]
    assert (record["method"], record["validation_texts"]) == ("vector scaling", 60)
    assert len(record["scale"]) == len(record["bias"]) == 3
    assert record["loss_after"] < record["loss_before"]
    assert_evaluate_agrees(command, test, out, result.json)
    raw = read_classifier(out).weights["output.weight"] / np.array(record["scale"], np.float32)[:, None]
    command("train", data, "--out", tmp_path / "raw", *options, "--set", "calibration=none")
    np.testing.assert_allclose(raw, read_classifier(tmp_path / "raw").weights["output.weight"], rtol=1e-5)
    assert "vector scaling" in command("info", "--model", out).out


@pytest.mark.parametrize("metric", ["accuracy", "balanced-accuracy", "f1", "macro-f1"])
def test_threshold_is_fitted_saved_and_used_everywhere(
    command: Command, noisy: Path, tmp_path: Path, metric: str
) -> None:
    validation = write_csv(tmp_path / "validation.csv", reviews(60, seed=7)[:45] + reviews(30, seed=8)[1::2])
    out = tmp_path / "model"
    arguments = ["train", noisy, "--out", out, *SMALL, "--no-baseline", "--validation", validation, "--json"]
    result = command(*arguments, "--set", f"threshold_metric={metric}")
    assert result.status == 0, result.err
    config = config_of(out)
    threshold = config["calibration"]["threshold"]
    assert config["training"]["calibration"]["threshold_metric"] == metric
    (line,) = [line for line in result.err.splitlines() if line.startswith("decision threshold of good")]
    assert {f"{threshold:.4g},", metric} <= set(line.split())
    assert_evaluate_agrees(command, validation, out, result.json)
    assert command("info", "--model", out, "--json").json["calibration"]["threshold"] == threshold

    model, dataset = fastlstm.load(out), read_dataset(validation)
    second = model.predict_proba(dataset.texts)[:, 1]
    expected = ["good" if p >= np.float32(threshold) else "bad" for p in second]
    assert model.predict(dataset.texts) == expected
    lines = command("predict", "--model", out, *dataset.texts).out.splitlines()
    assert [line.split("\t")[0] for line in lines] == expected
    if metric == "accuracy":
        accuracies = [model.evaluate(dataset, threshold=float(p)).accuracy for p in second]
        assert model.evaluate(dataset).accuracy >= max(accuracies)


def test_threshold_for_three_classes_is_rejected_before_training(command: Command, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "d.csv", [(f"film {i}", str(i % 3)) for i in range(30)])
    result = command("train", data, "--out", tmp_path / "model", *SMALL, "--set", "threshold_metric=f1")
    assert (result.status, result.out, result.code) == (2, "", "threshold-needs-two-classes")
    assert "epoch 1/2" not in result.err
    assert [file.name for file in tmp_path.iterdir()] == ["d.csv"]
