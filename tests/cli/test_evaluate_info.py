"""`fastlstm evaluate` and `fastlstm info`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.cli.conftest import SMALL, Command, reviews, write_csv


def test_evaluate_measures_a_model_on_any_labelled_texts(command: Command, trained: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "other.csv", reviews(50, seed=5))
    result = command("evaluate", data, "--model", trained)
    assert result.status == 0
    for words in ("On 50 texts (other.csv)", "accuracy", "calibration error", "precision", "good", "bad"):
        assert words in result.out
    as_json = command("evaluate", data, "--model", trained, "--json").json
    assert as_json["accuracy"] > 0.9
    assert as_json["texts"] == 50
    assert sum(map(sum, as_json["confusion"])) == 50


def test_evaluate_takes_another_threshold(command: Command, trained: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "other.csv", reviews(50, seed=5))
    arguments = ["evaluate", data, "--model", trained, "--json", "--threshold"]
    all_good, usual = (command(*arguments, threshold).json for threshold in ("0", "0.5"))
    assert all_good["confusion"] == [[0, 25], [0, 25]]
    assert all_good["loss"] == usual["loss"]
    assert usual == command("evaluate", data, "--model", trained, "--json").json
    refused = command(*arguments, "1.5")
    assert (refused.status, refused.out) == (2, "")
    assert "threshold is 1.5; expected a number from 0 to 1" in refused.err


def test_evaluate_on_imdb_takes_its_test_split(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("train", "test"):
        for name, word in (("pos", "great"), ("neg", "dull")):
            folder = tmp_path / "aclImdb" / part / name
            folder.mkdir(parents=True)
            for i in range(9):
                (folder / f"{i}_1.txt").write_text(f"{word} {part} film {i}", encoding="utf-8")
    monkeypatch.setenv("FASTLSTM_DATA_DIR", str(tmp_path))
    trained = command("train", "imdb", "--out", tmp_path / "model", *SMALL, "--no-baseline", "--json")
    assert trained.json["measured_on"] == "the official test split"
    assert f"imdb: the folder {tmp_path / 'aclImdb'}" in trained.err
    result = command("evaluate", "imdb", "--model", tmp_path / "model", "--json")
    assert result.json["texts"] == 18
    assert result.json["measured_on"] == "the official test split"
    assert result.json["accuracy"] == trained.json["accuracy"]


def test_evaluate_on_imdb_needs_a_model_with_its_labels(command: Command, trained: Path) -> None:
    result = command("evaluate", "imdb", "--model", trained)
    assert result.status == 2
    assert "imdb has the labels negative, positive, the model bad, good" in result.err


def test_a_label_the_model_does_not_know_is_refused(command: Command, trained: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "other.csv", [("fine", "good"), ("so so", "goood")])
    result = command("evaluate", data, "--model", trained)
    assert result.status == 2
    assert "text 2 of other.csv has the label 'goood'" in result.err
    assert "did you mean 'good'?" in result.err


def test_info_tells_what_the_model_is_and_how_it_was_trained(command: Command, trained: Path) -> None:
    out = command("info", "--model", trained).out
    for words in ("in all", "bad, good", "160 texts", "preset", "tutorial"):
        assert words in out
    as_json = command("info", "--model", trained, "--json").json
    assert as_json["labels"] == ["bad", "good"]
    assert as_json["model"]["hidden_sizes"] == [7]
    assert as_json["training"]["data"]["train_texts"] == 160
    assert as_json["training"]["config"]["learning_rate"] == 0.03


def test_info_takes_a_model_whose_record_holds_little(command: Command, trained: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    config = json.loads((other / "config.json").read_bytes())
    config["training"] = {"preset": "own", "data": {}, "results": {}}
    (other / "config.json").write_text(json.dumps(config), encoding="utf-8")
    result = command("info", "--model", other)
    assert (result.status, result.err) == (0, "")
    assert "classes" in result.out


def test_evaluate_says_when_it_measures_the_bundled_model(command: Command, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "other.csv", [("great", "positive"), ("dull", "negative")])
    result = command("evaluate", data)
    assert result.status == 0
    assert "no --model given: this measures the bundled model english-sentiment" in result.err
    assert command("evaluate", tmp_path / "other.csv", "--model", "english-sentiment").err == ""
