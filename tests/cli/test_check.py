"""`fastlstm check`: its report, JSON, plots and errors."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest
from tests.helpers.command_line import Command, reviews, write_csv

import fastlstm
from fastlstm.cli.check import DEFAULT_MAX_EXAMPLES

FRENCH = "C'est un très bon film que je recommande à tout le monde sans aucune hésitation."
FINDINGS = {
    "Classes": "classes",
    "Lengths (tokens)": "lengths",
    "Vocabulary": "vocabulary",
    "Languages": "languages",
    "Text issues": "text_issues",
    "Duplicates": "duplicates",
    "Labels": "label_noise",
}
"""Title in the printed report -> name in JSON."""


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """120 reviews, then a repeated text, a contradicting label, a wrong label, HTML, and another language."""
    rows = reviews(120, seed=0)
    rows += [rows[0], (rows[1][0], "bad"), ("superb and funny, moving and great music", "bad")]
    rows += [("<p>a dull story, boring</p>", "bad"), (FRENCH, "good")]
    return write_csv(tmp_path / "faulty.csv", rows)


def test_report_prints_every_finding_with_recommendations(command: Command, faulty: Path) -> None:
    result = command("check", faulty, "--test", "0.2")
    assert result.status == 0
    assert result.out.startswith("faulty.csv: 125 texts\n")
    assert [line for line in result.out.splitlines() if line in FINDINGS] == list(FINDINGS)
    recommendations = command("check", faulty, "--test", "0.2", "--json").json["recommendations"]
    codes = {name: [r["code"] for r in recommendations[name]] for name in FINDINGS.values()}
    assert "html" in codes["text_issues"]
    assert codes["languages"] == ["mixed-languages"]
    assert "contradicting-labels" in codes["duplicates"]
    assert "suspect-labels" in codes["label_noise"]
    printed = " ".join(result.out.split())
    for name in FINDINGS.values():
        for recommendation in recommendations[name]:
            assert f"-> {recommendation['text']}" in printed
    assert "123 bad -> good" in printed
    assert result.err.splitlines()[0] == "data: faulty.csv"


def test_json_is_one_object(command: Command, faulty: Path) -> None:
    result = command("check", faulty, "--json", "--max-examples", "2")
    assert result.status == 0
    assert list(result.json) == [
        "data", "reading", "bad_rows", "parts", "duplicates", "label_noise", "lengths", "vocabulary", "languages",
        "text_issues", "recommendations",
    ]  # fmt: skip
    assert {name: part["texts"] for name, part in result.json["parts"].items()} == {
        "training": 100,
        "validation": 25,
    }
    assert result.json["duplicates"]["contradictions"] == 1
    assert len(result.json["label_noise"]["suspect_labels"]) == 2
    assert "html" in [recommendation["code"] for recommendation in result.json["recommendations"]["text_issues"]]


def test_dataset_without_problems_has_no_recommendations(command: Command, tmp_path: Path) -> None:
    rows = [(f"the film was {'great' if k % 2 else 'awful'}", "good" if k % 2 else "bad") for k in range(2)]
    texts = [(f"{text} {'again ' * k}", label) for k in range(30) for text, label in rows]
    path = write_csv(tmp_path / "clean.csv", texts)
    assert not any(command("check", path, "--json").json["recommendations"].values())
    result = command("check", path)
    assert result.status == 0
    assert result.out.count("->") == len(FINDINGS)


def test_training_options_have_an_effect(command: Command, data: Path) -> None:
    options = ["--max-tokens", "5", "--vocabulary-size", "6", "--truncate", "both", "--no-label-noise"]
    result = command("check", data, *options, "--validation", data, "--json")
    assert result.status == 0
    limit = result.json["lengths"]["truncation"][0]
    assert (limit["name"], limit["max_tokens"], limit["truncate"]) == ("given options", 5, "both")
    assert result.json["vocabulary"]["size"] == 6
    assert result.json["label_noise"] is None
    assert result.json["duplicates"]["across"][0]["identical"] == 120


def test_fields_of_the_configuration_are_set_as_in_training(command: Command, data: Path) -> None:
    result = command("check", data, "--set", "max_tokens=5", "--no-label-noise", "--json")
    assert result.json["lengths"]["truncation"][0]["max_tokens"] == 5


def test_help_describes_every_option(command: Command) -> None:
    result = command("check", "--help")
    assert result.status == 0
    assert all(option in result.out for option in ("--validation", "--max-tokens", "--label-noise", "--plots-dir"))


def test_columns_are_selected_by_name(command: Command, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "columns.csv", reviews(20, seed=1), header=("review", "class"))
    assert command("check", path, "--text-column", "review", "--label-column", "class").status == 0


def test_plots_are_saved_to_the_folder(command: Command, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "plots"
    result = command("check", data, "--plots-dir", folder)
    assert result.status == 0
    assert sorted(path.name for path in folder.iterdir()) == ["classes.png", "label_noise.png", "lengths.png"]
    assert str(folder) in result.err


def test_small_classes_share_a_row(command: Command, tmp_path: Path) -> None:
    rows = [(f"text number {k} of {label}", f"class {label}") for label in range(40) for k in range(3)]
    path = write_csv(tmp_path / "many.csv", rows)
    result = command("check", path)
    assert result.status == 0
    assert "10 smaller classes" in result.out
    recommendations = command("check", path, "--json").json["recommendations"]["label_noise"]
    assert [recommendation["code"] for recommendation in recommendations] == ["too-few-texts"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], "usage"),
        (["gone.csv"], "file-not-found"),
        (["reviews.csv", "--max-examples", "0"], "usage"),
        (["reviews.csv", "--preset", "none"], "usage"),
        (["reviews.csv", "--test", "1.5"], "bad-fraction"),
        (["reviews.csv", "--plots-dir", "reviews.csv"], "not-a-folder"),
        (["reviews.csv", "--text-column", "review"], "missing-column"),
    ],
)
def test_wrong_use_prints_one_line_and_exits_with_2(
    command: Command, data: Path, arguments: list[str], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data.parent)
    result = command("check", *arguments)
    assert (result.status, result.code, result.out) == (2, code, "")
    assert result.err.splitlines()[-1].startswith("fastlstm: ")


def test_plots_without_matplotlib_are_rejected_before_the_checks(
    command: Command, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = command("check", data, "--plots-dir", tmp_path / "plots")
    assert (result.status, result.code, result.out) == (2, "missing-dependency", "")
    assert "data:" not in result.err
    assert not (tmp_path / "plots").exists()


def test_texts_may_have_probabilities_instead_of_labels(command: Command, tmp_path: Path) -> None:
    rows = [(text, "0.9,0.1" if label == "bad" else "0.2,0.8") for text, label in reviews(40, seed=0)]
    scored = tmp_path / "scored.csv"
    scored.write_text("text,bad,good\n" + "".join(f'"{text}",{scores}\n' for text, scores in rows))
    report = command("check", scored, "--probability-columns", "bad,good", "--json").json
    assert sum(part["texts"] for part in report["parts"].values()) == 40
    assert set(report["parts"]["training"]["classes"]) == {"bad", "good"}


def test_labels_are_not_checked_without_label_noise(command: Command, data: Path) -> None:
    result = command("check", data, "--no-label-noise")
    assert result.status == 0
    assert "Duplicates" in result.out.splitlines()
    assert "Labels" not in result.out.splitlines()
    assert "labels" not in result.err


def test_default_number_of_examples_is_that_of_the_python_function() -> None:
    assert inspect.signature(fastlstm.check).parameters["max_examples"].default == DEFAULT_MAX_EXAMPLES
