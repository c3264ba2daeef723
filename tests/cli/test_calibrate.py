"""`fastlstm calibrate`, and early exit from training to prediction."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tests.cli.conftest import SMALL, Command, reviews, write_csv

import fastlstm
from fastlstm.data import Dataset
from fastlstm.training.recalibration import recalibrate


def test_probabilities_are_fitted_to_other_texts(command: Command, trained: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "other.csv", [*reviews(90, seed=9), *[("great superb film", "bad")] * 10])
    result = command("calibrate", data, "--model", trained, "--out", tmp_path / "fitted", "--json")
    assert result.status == 0
    found = result.json
    assert found["texts"] == 100
    assert found["after"]["loss"] < found["before"]["loss"]
    assert found["after"]["accuracy"] == found["before"]["accuracy"]
    fitted, before = fastlstm.load(tmp_path / "fitted"), fastlstm.load(trained)
    assert fitted.model.temperature == found["temperature"] > before.model.temperature
    assert fitted.predict(["a great film", "dull"]) == before.predict(["a great film", "dull"])
    assert found["early_exit"] is None


def test_a_threshold_and_early_exit_are_learned(command: Command, trained: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "other.csv", reviews(300, seed=9))
    options = ["--threshold-metric", "f1", "--early-exit", "--calibration", "none"]
    result = command("calibrate", data, "-m", trained, "--out", tmp_path / "fitted", *options)
    assert result.status == 0
    assert "early exit, learned on 300 texts" in result.err
    assert "calibration error" in result.out
    fitted = fastlstm.load(tmp_path / "fitted").model
    assert fitted.early_exit is not None
    assert fitted.temperature == fastlstm.load(trained).model.temperature
    early = command("predict", "-m", tmp_path / "fitted", "--early-exit", "0.9", "great " * 40)
    assert early.out.startswith("good\t")
    assert "of 40 tokens were not read" in early.err
    refused = command("predict", "-m", trained, "--early-exit", "0.9", "great")
    assert refused.status == 2
    assert "the model has not learned when a text need not be read on" in refused.err


def test_training_learns_it_too(command: Command, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "reviews.csv", reviews(200, seed=0))
    result = command("train", data, "--out", tmp_path / "m", *SMALL, "--early-exit", "--no-baseline")
    assert result.status == 0
    assert "early exit, learned on 40 texts" in result.err
    assert fastlstm.load(tmp_path / "m").model.early_exit is not None
    refused = command("train", data, "--out", tmp_path / "n", *SMALL, "--early-exit", "--bidirectional")
    assert refused.status == 2
    assert "the model reads in both directions, so from the end too; add --no-bidirectional" in refused.err
    assert not (tmp_path / "n").exists()


def test_what_is_wrong_is_said(command: Command, trained: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "other.csv", reviews(60, seed=9))
    refused = command("calibrate", "imdb", "-m", trained, "--out", tmp_path / "x")
    assert (refused.status, "its test split is for measuring" in refused.err) == (2, True)
    refused = command("calibrate", data, "-m", trained, "--out", tmp_path)
    assert (refused.status, "is not a fastlstm model" in refused.err) == (2, True)
    unknown = write_csv(tmp_path / "unknown.csv", [("a film", "nice"), ("a film", "bad")])
    refused = command("calibrate", unknown, "-m", trained, "--out", tmp_path / "x")
    assert (refused.status, "nice" in refused.err) == (2, True)
    assert not (tmp_path / "x").exists()


def test_an_unknown_way_is_refused(command: Command, trained: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "other.csv", reviews(60, seed=9))
    for option, value in (("--calibration", "vektor"), ("--threshold-metric", "acc")):
        refused = command("calibrate", data, "-m", trained, "--out", tmp_path / "x", option, value)
        assert refused.status == 2
        assert value in refused.err
    few = write_csv(tmp_path / "few.csv", reviews(20, seed=9))
    noted = command("calibrate", few, "-m", trained, "--out", tmp_path / "x")
    assert "probabilities are left as they are: 20 validation texts are too few" in noted.err


def test_a_threshold_is_carried_over_to_another_temperature(trained: Path) -> None:
    before = fastlstm.load(trained)
    cautious = fastlstm.Classifier(dataclasses.replace(before.model, threshold=0.7))
    rows = [*reviews(90, seed=9), *[("great superb film", "bad")] * 10]
    records = Dataset([text for text, _ in rows], [label for _, label in rows], "here")
    done = recalibrate(cautious, records)
    assert done.calibration.temperature > before.model.temperature
    assert 0.5 < done.classifier.model.threshold < 0.7
    texts = list(records.texts)
    assert done.classifier.predict(texts) == cautious.predict(texts)
