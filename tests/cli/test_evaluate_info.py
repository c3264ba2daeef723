"""`fastlstm evaluate` and `fastlstm info`."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Command, reviews, write_csv


def test_evaluate_measures_a_model_on_any_labelled_texts(command: Command, trained: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "other.csv", reviews(50, seed=5))
    result = command("evaluate", data, "--model", trained)
    assert result.status == 0
    for words in ("On 50 texts: other.csv", "accuracy", "calibration error", "precision", "good", "bad"):
        assert words in result.out
    as_json = command("evaluate", data, "--model", trained, "--json").json
    assert as_json["accuracy"] > 0.9
    assert as_json["texts"] == 50
    assert sum(map(sum, as_json["confusion"])) == 50


def test_evaluate_on_imdb_takes_its_test_split(
    command: Command, tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("train", "test"):
        for name, words in (("pos", "great"), ("neg", "dull")):
            folder = tmp_path / "aclImdb" / part / name
            folder.mkdir(parents=True)
            (folder / "0_1.txt").write_text(f"{words} {part} film", encoding="utf-8")
    monkeypatch.setenv("FASTLSTM_DATA_DIR", str(tmp_path))
    result = command("evaluate", "imdb", "--model", trained)
    assert result.status == 2
    assert "which was never seen in training" in result.err
    assert f"imdb: the folder {tmp_path / 'aclImdb'}" in result.err


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
