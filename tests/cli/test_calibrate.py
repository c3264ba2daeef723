"""`fastlstm calibrate`, and early exit from training to prediction."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.command_line import SMALL, Command, reviews, write_csv

import fastlstm


def test_probabilities_are_fitted_to_other_texts(command: Command, trained: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "other.csv", [*reviews(90, seed=9), *[("great superb film", "bad")] * 10])
    result = command("calibrate", data, "--model", trained, "--out", tmp_path / "calibrated", "--json")
    assert result.status == 0
    figures = result.json
    assert figures["texts"] == 100
    assert figures["after"]["loss"] < figures["before"]["loss"]
    assert figures["after"]["accuracy"] == figures["before"]["accuracy"]
    after, before = fastlstm.load(tmp_path / "calibrated"), fastlstm.load(trained)
    assert after.saved.temperature == figures["temperature"] > before.saved.temperature
    assert after.predict(["a great film", "dull"]) == before.predict(["a great film", "dull"])
    assert figures["early_exit"] is None


def test_threshold_and_early_exit_are_fitted(command: Command, trained: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "other.csv", reviews(300, seed=9))
    options = ["--threshold-metric", "f1", "--early-exit", "--calibration", "none"]
    result = command("calibrate", data, "-m", trained, "--out", tmp_path / "calibrated", *options)
    assert result.status == 0
    saved = fastlstm.load(tmp_path / "calibrated").saved
    assert saved.early_exit is not None
    assert saved.early_exit.text_count == 300
    assert saved.temperature == fastlstm.load(trained).saved.temperature
    (note,) = result.err.splitlines()
    assert f"{saved.early_exit.threshold_for(0.99).saved_fraction:.0%}" in note
    assert {"300,", "other.csv", str(tmp_path / "calibrated")} <= set(result.out.split())
    early = command("predict", "-m", tmp_path / "calibrated", "--min-agreement", "0.9", "great " * 40)
    assert early.out.startswith("good\t")
    assert "40 tokens" in early.err
    whole = command("predict", "-m", trained, "--min-agreement", "0.9", "great")
    assert (whole.status, whole.code) == (2, "no-early-exit")


def test_training_fits_early_exit(command: Command, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "reviews.csv", reviews(200, seed=0))
    result = command("train", data, "--out", tmp_path / "m", *SMALL, "--early-exit", "--no-baseline")
    assert result.status == 0
    early_exit = fastlstm.load(tmp_path / "m").saved.early_exit
    assert early_exit is not None
    assert early_exit.text_count == 40
    rejected = command(
        "train", data, "--out", tmp_path / "n", *SMALL, "--early-exit", "--set", "bidirectional=true"
    )
    assert (rejected.status, rejected.code) == (2, "early-exit-needs-unidirectional")
    assert not (tmp_path / "n").exists()


def test_imdb_is_rejected(command: Command, trained: Path, tmp_path: Path) -> None:
    result = command("calibrate", "imdb", "-m", trained, "--out", tmp_path / "x")
    assert (result.status, result.code) == (2, "imdb-not-allowed")
    assert not (tmp_path / "x").exists()


def test_output_that_is_not_a_model_is_rejected(command: Command, trained: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "other.csv", reviews(60, seed=9))
    result = command("calibrate", data, "-m", trained, "--out", tmp_path)
    assert (result.status, result.code) == (2, "output-not-a-model")
    assert list(tmp_path.iterdir()) == [data]


def test_unknown_label_is_rejected(command: Command, trained: Path, tmp_path: Path) -> None:
    unknown = write_csv(tmp_path / "unknown.csv", [("a film", "nice"), ("a film", "bad")])
    result = command("calibrate", unknown, "-m", trained, "--out", tmp_path / "x")
    assert (result.status, result.code) == (2, "unknown-label")
    assert "nice" in result.err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(("option", "value"), [("--calibration", "vektor"), ("--threshold-metric", "acc")])
def test_unknown_method_is_rejected(
    command: Command, trained: Path, tmp_path: Path, option: str, value: str
) -> None:
    data = write_csv(tmp_path / "other.csv", reviews(60, seed=9))
    result = command("calibrate", data, "-m", trained, "--out", tmp_path / "x", option, value)
    assert (result.status, result.code) == (2, "usage")
    assert value in result.err


def test_too_few_texts_save_nothing(command: Command, trained: Path, tmp_path: Path) -> None:
    few = write_csv(tmp_path / "few.csv", reviews(20, seed=9))
    result = command("calibrate", few, "-m", trained, "--out", tmp_path / "x", "--json")
    assert (result.status, result.out, result.code) == (2, "", "too-few-texts")
    assert not (tmp_path / "x").exists()


def test_probabilities_that_no_fit_improves_are_kept_with_a_note(
    command: Command, trained: Path, tmp_path: Path
) -> None:
    data = write_csv(tmp_path / "other.csv", [*reviews(90, seed=9), *[("great superb film", "bad")] * 10])
    first = command("calibrate", data, "-m", trained, "--out", tmp_path / "one", "--json").json
    assert (first["method"], first["notes"]) == ("temperature", [])
    second = command("calibrate", data, "-m", tmp_path / "one", "--out", tmp_path / "two", "--json").json
    assert (second["method"], second["temperature"]) == ("none", first["temperature"])
    assert [note["code"] for note in second["notes"]] == ["calibration-no-gain"]
    assert second["after"] == second["before"]


def test_json_has_the_notes_about_reading(command: Command, trained: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "other.csv", [*reviews(90, seed=9), ("a film without a label", "")])
    result = command("calibrate", data, "-m", trained, "--out", tmp_path / "calibrated", "--json")
    assert "rows-skipped" in {note["code"] for note in result.json["notes"]}
    assert len(result.json["notes"]) == len(result.err.splitlines())
