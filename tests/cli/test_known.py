"""Texts without known words: no label, and which text it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.command_line import Command, write_csv

from fastlstm.cli.predict import MAX_NOTED
from fastlstm.cli.stream import STEP


def test_texts_without_known_words_have_no_label(command: Command, trained: Path) -> None:
    result = command("predict", "-m", trained, "a great film", "qqq zzz", "")
    assert [line.split("\t")[:2] for line in result.out.splitlines()][1:] == [["-", "-"], ["-", "-"]]
    first, second = result.err.splitlines()
    assert first.startswith("text 2 ")
    assert second.startswith("text 3 ")
    great, unknown, _ = command("predict", "-m", trained, "a great film", "great qqq zzz", "", "--json").json[
        "predictions"
    ]
    assert (great["label"], great["known"]) == ("good", 1.0)
    assert unknown["known"] == pytest.approx(1 / 3)
    (nothing,) = command("predict", "-m", trained, "qqq", "--json").json["predictions"]
    assert (nothing["label"], nothing["probability"], nothing["known"]) == (None, None, 0.0)
    assert sum(nothing["probabilities"].values()) == pytest.approx(1)


def test_lines_without_known_words_have_no_label_and_a_note_with_their_number(
    command: Command, trained: Path
) -> None:
    result = command("predict", "-m", trained, "-", stdin=b"great\n\nqqq zzz\ndull\n")
    assert [line.split("\t")[0] for line in result.out.splitlines()] == ["good", "-", "-", "bad"]
    assert [note.split()[:2] for note in result.err.splitlines()] == [["line", "2"], ["line", "3"]]


def test_many_lines_without_known_words_are_counted_at_the_end(command: Command, trained: Path) -> None:
    result = command("predict", "-m", trained, "-", stdin=b"qqq\n" * 100)
    *notes, total = result.err.splitlines()
    assert len(notes) == MAX_NOTED
    assert "100 of 100 lines" in total


def test_label_unknown_labels_every_text(command: Command, trained: Path) -> None:
    arguments = ["predict", "-m", trained, "qqq", "", "--label-unknown"]
    assert {line.split("\t")[0] for line in command(*arguments).out.splitlines()} <= {"good", "bad"}
    for prediction in command(*arguments, "--json").json["predictions"]:
        assert prediction["probability"] == prediction["probabilities"][prediction["label"]]
        assert prediction["known"] == 0
    lines = command("predict", "-m", trained, "-", "--label-unknown", stdin=b"qqq\n\n").out.splitlines()
    assert len(lines) == 2
    assert not any(line.startswith("-") for line in lines)


def test_early_exit_gives_no_label_either(command: Command) -> None:
    result = command("predict", "qqqzz xxqqz", "a great film", "--min-agreement", "0.99", "--json")
    assert [prediction["known"] > 0 for prediction in result.json["predictions"]] == [False, True]
    assert [prediction["label"] for prediction in result.json["predictions"]] == [None, "positive"]


@pytest.mark.parametrize("name", ["predict", "explain"])
def test_names_of_files_folders_and_models_have_a_note(
    command: Command, trained: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "reviews.txt").write_text("a great film\n")
    (tmp_path / "reviews").mkdir()
    expected = {
        tmp_path / "reviews.txt": f"fastlstm {name} - < {tmp_path / 'reviews.txt'}",
        tmp_path / "reviews": f"fastlstm evaluate {tmp_path / 'reviews'}",
        trained: f"fastlstm {name} --model {trained} ",
        "english-sentiment": f"fastlstm {name} --model english-sentiment ",
    }
    for text, remedy in expected.items():
        result = command(name, "-m", trained, str(text))
        assert result.status == 0
        assert any(remedy in note for note in result.err.splitlines())
    assert command("predict", "-m", trained, "a great film").err == ""


def test_a_piped_stream_shows_how_the_prediction_changes(command: Command, trained: Path) -> None:
    text = "qqq zzz\na great superb film\nbut an awful dull dull story and an awful ending\n" + "dull awful " * 20
    changes = command("stream", "-m", trained, "--json", stdin=text.encode()).json["changes"]
    labels = [change["label"] for change in changes]
    assert labels[0] is None
    assert "good" in labels
    assert labels[-1] == "bad"
    assert (changes[0]["known"], changes[0]["probability"], changes[0]["tokens"]) == (0.0, None, 2)
    assert 0 < changes[-1]["known"] < 1
    lines = command("stream", "-m", trained, stdin=text.encode()).out.splitlines()
    assert lines[0].split("\t") == ["2", "-", "-"]
    assert len(lines) == len(changes)


def test_a_stream_without_known_words_ends_without_a_label(command: Command, trained: Path) -> None:
    for stdin in (b"", b"qqq zzz"):
        result = command("stream", "-m", trained, stdin=stdin)
        assert result.out.splitlines()[-1].split("\t")[1:] == ["-", "-", "end"]
        assert len(result.err.splitlines()) == 1
        labelled = command("stream", "-m", trained, "--label-unknown", stdin=stdin)
        assert labelled.out.splitlines()[-1].split("\t")[1] in ("good", "bad")


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n\n", "a b", " a\n\n b  \n", "a " * 40, "a\t b\r\nc\u00a0d\u2028e ", "x" * 50 + "\n  ", "\n a"],
)
def test_steps_are_a_partition_of_the_text(text: str) -> None:
    steps = STEP.findall(text)
    assert "".join(steps) == text
    assert all(len(step.split()) <= 8 and "\n" not in step[:-1].lstrip() for step in steps)


def test_explanations_mark_unknown_tokens(command: Command, trained: Path) -> None:
    explanation = command("explain", "a great qqq", "-m", trained, "--json").json
    assert explanation["known"] == pytest.approx(2 / 3)
    assert [token["known"] for token in explanation["tokens"]] == [True, True, False]
    assert "qqq (unknown)" in command("explain", "a great qqq", "-m", trained).out
    unknown = command("explain", "qqq", "-m", trained, "--json")
    assert unknown.json["known"] == 0
    assert unknown.json["label"] is None
    assert unknown.json["explained_label"] in ("good", "bad")
    assert len(unknown.err.splitlines()) == 1
    assert command("explain", "qqq", "-m", trained).out.splitlines()[0].split()[0] == "-"
    for options, label in (
        (["--label-unknown"], unknown.json["explained_label"]),
        (["--label", "good"], "good"),
        (["--label", "bad"], "bad"),
    ):
        labelled = command("explain", "qqq", "-m", trained, "--json", *options).json
        assert labelled["label"] == labelled["explained_label"] == label
        assert command("explain", "qqq", "-m", trained, *options).out.split()[0] == label


def test_evaluate_counts_texts_without_known_words(command: Command, trained: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "odd.csv", [("a great film", "good"), ("qqq zzz", "bad"), ("a dull qqq", "bad")])
    report = command("evaluate", data, "-m", trained, "--json").json
    assert (report["texts"], report["unknown_texts"]) == (3, 1)
    assert report["known"] == pytest.approx((1 + 0 + 2 / 3) / 3)
    assert "unknown-texts" in {note["code"] for note in report["notes"]}
