"""`fastlstm evaluate`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.command_line import SMALL, Command, Finished, reviews, write_csv

from fastlstm.cli.option_names import with_options


def test_model_is_evaluated_on_any_labelled_texts(command: Command, trained: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "other.csv", reviews(50, seed=5))
    report = command("evaluate", data, "--model", trained, "--json").json
    assert report["accuracy"] > 0.9
    assert (report["texts"], report["evaluated_on"]) == (50, "other.csv")
    assert sum(map(sum, report["confusion"])) == 50
    result = command("evaluate", data, "--model", trained)
    assert result.status == 0
    for value in ("50", "other.csv", f"{report['accuracy']:.2%}", f"{report['calibration_error']:.2%}"):
        assert value in result.out
    rows = {line.split()[0]: line.split()[1:] for line in result.out.splitlines() if line.split()}
    for figures in report["classes"]:
        expected = [f"{figures[name]:.4f}" for name in ("precision", "recall", "f1")]
        assert rows[figures["label"]] == [*expected, str(figures["texts"])]


def test_threshold_can_be_given(command: Command, trained: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "other.csv", reviews(50, seed=5))
    arguments = ["evaluate", data, "--model", trained, "--json", "--threshold"]
    all_good, default = (command(*arguments, threshold).json for threshold in ("0", "0.5"))
    assert all_good["confusion"] == [[0, 25], [0, 25]]
    assert all_good["loss"] == default["loss"]
    assert default == command("evaluate", data, "--model", trained, "--json").json
    result = command(*arguments, "1.5")
    assert (result.status, result.out, result.code) == (2, "", "bad-option-value")
    assert "1.5" in result.err


def test_imdb_is_its_test_split(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("train", "test"):
        for name, word in (("pos", "great"), ("neg", "dull")):
            folder = tmp_path / "aclImdb" / part / name
            folder.mkdir(parents=True)
            for i in range(9):
                (folder / f"{i}_1.txt").write_text(f"{word} {part} film {i}", encoding="utf-8")
    with monkeypatch.context() as patched:
        patched.setenv("FASTLSTM_DATA_DIR", str(tmp_path))
        trained = command("train", "imdb", "--out", tmp_path / "model", *SMALL, "--no-baseline", "--json")
    assert str(tmp_path / "aclImdb") in trained.err
    result = command("evaluate", "imdb", "--model", tmp_path / "model", "--data-dir", tmp_path, "--json")
    assert result.json["texts"] == trained.json["texts"] == 18
    assert result.json["evaluated_on"] == trained.json["evaluated_on"] == "the official test split"
    assert result.json["accuracy"] == trained.json["accuracy"]


def test_imdb_needs_a_model_with_its_labels(command: Command, trained: Path) -> None:
    result = command("evaluate", "imdb", "--model", trained)
    assert (result.status, result.code) == (2, "unknown-label")
    for label in ("negative", "positive", "bad", "good"):
        assert label in result.err


def test_unknown_label_is_rejected(command: Command, trained: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "other.csv", [("fine", "good"), ("so so", "goood")])
    result = command("evaluate", data, "--model", trained)
    assert (result.status, result.code) == (2, "unknown-label")
    for value in ("other.csv", "3", "'goood'", "'good'"):
        assert value in result.err


def test_default_model_is_named(command: Command, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "other.csv", [("great", "positive"), ("dull", "negative")])
    result = command("evaluate", data)
    assert result.status == 0
    assert "english-sentiment" in result.err
    assert "no --model" not in command("evaluate", data, "--model", "english-sentiment").err


def note_codes(finished: Finished) -> list[str]:
    return [note["code"] for note in finished.json["notes"]]


def test_what_the_figures_do_not_say_is_in_the_notes(command: Command, trained: Path, tmp_path: Path) -> None:
    many = write_csv(tmp_path / "many.csv", reviews(200, seed=5))
    arguments = ["evaluate", "--model", trained, "--json"]
    assert note_codes(command(*arguments, many)) == []
    one = write_csv(tmp_path / "one.csv", reviews(2, seed=5)[:1])
    result = command(*arguments, one)
    assert note_codes(result) == ["few-evaluation-texts", "one-class-evaluated"]
    assert result.json["accuracy_interval"][1] - result.json["accuracy_interval"][0] > 0.7
    assert "20.7 to 100.0%" in command("evaluate", one, "--model", trained).out
    always = command(*arguments, many, "--threshold", "0")
    assert note_codes(always) == ["one-class-predicted"]
    for note in always.json["notes"]:
        assert with_options(note["text"], None) in always.err


def test_texts_of_unknown_words_are_reported(command: Command, trained: Path, tmp_path: Path) -> None:
    rows = [(f"ein Wort das niemand kennt {i}", label) for i in range(60) for label in ("good", "bad")]
    result = command("evaluate", write_csv(tmp_path / "de.csv", rows), "--model", trained, "--json")
    assert "few-known-words" in note_codes(result)
    assert result.json["known"] < 0.5
    known = write_csv(tmp_path / "en.csv", reviews(50, seed=5))
    assert command("evaluate", known, "--model", trained, "--json").json["known"] == 1
