"""`fastlstm doctor DATA`: what it prints of labelled texts, draws, and refuses."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Command, reviews, write_csv

FRENCH = "C'est un très bon film que je recommande à tout le monde sans aucune hésitation."


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """120 reviews, and after them a repeat, a contradiction, a wrong label, HTML, and another language."""
    rows = reviews(120, seed=0)
    rows += [rows[0], (rows[1][0], "bad"), ("superb and funny, moving and great music", "bad")]
    rows += [("<p>a dull story, boring</p>", "bad"), (FRENCH, "good")]
    return write_csv(tmp_path / "faulty.csv", rows)


def test_every_finding_is_told_with_what_to_do(command: Command, faulty: Path) -> None:
    result = command("doctor", faulty, "--test", "0.2")
    assert result.status == 0
    assert result.out.startswith("faulty.csv: 125 texts\n")
    titles = ("Classes", "Lengths, in tokens", "Vocabulary", "Languages", "Blemishes", "Duplicates", "Labels")
    assert [line for line in result.out.splitlines() if line in titles] == list(titles)
    said = " ".join(result.out.split())
    assert "-> 1 text with HTML tags or entities: " in said
    assert "-> not in en: 1 text (fr 1); " in said
    assert "-> contradicting labels: 1 different text, 2 with their repeats; " in said
    assert "-> labels that look wrong: about " in said
    assert "123 bad -> good" in said
    assert result.err.splitlines()[0] == "data: faulty.csv"


def test_json_is_one_object_with_the_findings_and_the_advice(command: Command, faulty: Path) -> None:
    result = command("doctor", faulty, "--json", "--most", "2")
    assert result.status == 0
    assert list(result.json) == [
        "data", "parts", "duplicates", "label_noise", "lengths", "vocabulary", "languages", "blemishes", "advice",
    ]  # fmt: skip
    assert {name: part["texts"] for name, part in result.json["parts"].items()} == {
        "training": 100,
        "validation": 25,
    }
    assert result.json["duplicates"]["conflicts"] == 1
    assert len(result.json["label_noise"]["doubts"]) == 2
    assert any("HTML" in sentence for sentence in result.json["advice"]["blemishes"])


def test_faultless_data_leaves_nothing_to_do(command: Command, tmp_path: Path) -> None:
    rows = [(f"the film was {'great' if k % 2 else 'awful'}", "good" if k % 2 else "bad") for k in range(2)]
    texts = [(f"{text} {'again ' * k}", label) for k in range(30) for text, label in rows]
    result = command("doctor", write_csv(tmp_path / "clean.csv", texts))
    assert result.status == 0
    assert result.out.count("->") == result.out.count("-> nothing to do") == 7


def test_options_of_training_count_here_too(command: Command, data: Path) -> None:
    options = ["--max-tokens", "5", "--vocabulary-size", "6", "--truncate", "both", "--no-label-noise"]
    result = command("doctor", data, *options, "--validation", data, "--json")
    assert result.status == 0
    assert result.json["lengths"]["cuts"][0]["name"] == "as given"
    assert result.json["lengths"]["cuts"][0]["max_tokens"] == 5
    assert result.json["vocabulary"]["size"] == 6
    assert result.json["label_noise"] is None
    assert result.json["duplicates"]["across"][0]["to_the_letter"] == 120
    columns = write_csv(data.with_name("columns.csv"), reviews(20, seed=1), header=("review", "class"))
    named = command("doctor", columns, "--text-column", "review", "--label-column", "class")
    assert named.status == 0


def test_plots_are_drawn_into_the_folder(command: Command, data: Path, tmp_path: Path) -> None:
    result = command("doctor", data, "--plots", tmp_path / "new" / "plots")
    assert result.status == 0
    assert sorted(path.name for path in (tmp_path / "new" / "plots").iterdir()) == [
        "classes.png", "label_noise.png", "lengths.png",
    ]  # fmt: skip
    assert f"drawn: {tmp_path / 'new' / 'plots'}" in result.err


def test_many_classes_are_joined_in_the_table(command: Command, tmp_path: Path) -> None:
    rows = [(f"text number {k} of {label}", f"class {label}") for label in range(40) for k in range(3)]
    result = command("doctor", write_csv(tmp_path / "many.csv", rows))
    assert result.status == 0
    assert "10 smaller ones" in result.out
    assert "too few texts to judge labels by" in result.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone.csv"], "there is no file or folder 'gone.csv'"),
        (["--test", "0.2"], "--test is about data; give DATA"),
        (["--plots", "folder"], "--plots is about data; give DATA"),
        (["--no-label-noise"], "--label-noise is about data; give DATA"),
        (["reviews.csv", "--most", "0"], "Invalid value for '--most'"),
        (["reviews.csv", "--preset", "none"], "unknown preset 'none'"),
        (["reviews.csv", "--test", "1.5"], "the fraction to hold out is 1.5"),
        (["reviews.csv", "--plots", "reviews.csv"], "plots is 'reviews.csv', which is a file"),
        (["reviews.csv", "--text-column", "review"], "column 'review' not found"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(
    command: Command, data: Path, arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data.parent)
    result = command("doctor", *arguments)
    assert (result.status, result.out) == (2, "")
    assert words in result.err
    assert result.err.splitlines()[-1].startswith("fastlstm: ")


def test_without_matplotlib_plots_are_refused_before_any_work(
    command: Command, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = command("doctor", data, "--plots", tmp_path / "plots")
    assert (result.status, result.out) == (2, "")
    assert "pip install 'fastlstm[plot]'" in result.err
    assert not (tmp_path / "plots").exists()


def test_labels_that_nobody_asked_about_are_not_told_of(command: Command, data: Path) -> None:
    result = command("doctor", data, "--no-label-noise")
    assert result.status == 0
    assert "Duplicates" in result.out.splitlines()
    assert "Labels" not in result.out.splitlines()
    assert "judging" not in result.err
