"""`fastlstm.check`: from data to report."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import fastlstm
from fastlstm.config import DEFAULT_PRESET, PRESETS
from fastlstm.data import Dataset
from fastlstm.errors import DataError, MissingDependencyError, OptionError

WORDS = {"good": "great superb moving", "bad": "awful boring dull"}


def make_dataset(texts: int, source: str = "reviews.csv") -> Dataset:
    labels = [("good", "bad")[k % 2] for k in range(texts)]
    return Dataset([f"{WORDS[label]} film number {k}" for k, label in enumerate(labels)], labels, source)


def test_dataset_is_split_as_for_training() -> None:
    report = fastlstm.check(make_dataset(100), validation=0.2, test=0.1)
    assert {name: part.texts for name, part in report.parts.items()} == {
        "training": 72,
        "validation": 18,
        "test": 10,
    }
    assert report.data == "reviews.csv"


def test_parts_may_be_datasets() -> None:
    report = fastlstm.check(make_dataset(40), validation=make_dataset(6), test=make_dataset(4), label_noise=False)
    assert {name: part.classes for name, part in report.parts.items()} == {
        "training": {"bad": 20, "good": 20}, "validation": {"bad": 3, "good": 3}, "test": {"bad": 2, "good": 2},
    }  # fmt: skip
    assert [overlap.texts for overlap in report.duplicates.across] == [6, 4]
    assert report.label_noise is None
    assert report.recommendations["label_noise"] == ()


def test_examples_have_the_line_number_of_the_file(tmp_path: Path) -> None:
    table = make_dataset(60)
    table.labels[41] = "good"
    path = tmp_path / "reviews.csv"
    rows = "".join(f"{text},{label}\n" for text, label in zip(table.texts, table.labels, strict=True))
    path.write_text(f"text,label\n{rows}", encoding="utf-8")
    report = fastlstm.check(path, test=0.2)
    assert report.label_noise is not None
    assert report.label_noise.suspect_labels[0].example.location == 43
    assert report.label_noise.suspect_labels[0].example.text == "awful boring dull film number 41"


def test_report_is_reproducible_and_json() -> None:
    report = fastlstm.check(make_dataset(60))
    assert report == fastlstm.check(make_dataset(60))
    values = json.loads(json.dumps(report.to_json()))
    assert values["label_noise"]["checked"] == 60
    assert set(report.recommendations) <= {*values, "classes"}
    for recommendations in values["recommendations"].values():
        assert all(set(recommendation) == {"code", "text"} for recommendation in recommendations)


def test_token_limits_are_those_of_the_presets_and_the_given_one() -> None:
    others = [name for name in PRESETS if name != DEFAULT_PRESET]
    preset = fastlstm.check(make_dataset(20), label_noise=False)
    assert [limit.name for limit in preset.lengths.truncation] == [DEFAULT_PRESET, *others]
    given = fastlstm.check(make_dataset(20), label_noise=False, max_tokens=3, vocabulary_size=7)
    assert [limit.name for limit in given.lengths.truncation] == ["given options", *PRESETS]
    assert given.lengths.truncation[0].max_tokens == 3
    assert (preset.vocabulary.requested_size, given.vocabulary.requested_size) == (30_000, 7)


def test_every_step_is_logged() -> None:
    lines: list[str] = []
    fastlstm.check(make_dataset(20), log=lines.append)
    assert lines[0] == "data: reviews.csv"
    assert "20 texts" in lines[1]
    assert len(lines) == 3
    lines.clear()
    fastlstm.check(make_dataset(20), label_noise=False, log=lines.append)
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"max_examples": 0}, "bad-option-value"),
        ({"vocabulary": 7}, "unknown-option"),
        ({"preset": "none"}, "unknown-preset"),
    ],
)
def test_invalid_options_raise_option_error(options: dict[str, object], code: str) -> None:
    with pytest.raises(OptionError) as raised:
        fastlstm.check(make_dataset(20), **options)  # type: ignore[arg-type]
    assert raised.value.code == code


def test_one_class_raises_data_error() -> None:
    with pytest.raises(DataError) as raised:
        fastlstm.check(Dataset(["a", "b"], ["x", "x"]))
    assert raised.value.code == "one-class"


def test_label_that_training_lacks_raises_data_error() -> None:
    with pytest.raises(DataError) as raised:
        fastlstm.check(make_dataset(20), test=Dataset(["a"], ["other"]))
    assert raised.value.code == "unknown-label"


def test_plots_are_png_files() -> None:
    plots = fastlstm.check(make_dataset(20), test=0.2).plots()
    assert list(plots) == ["classes.png", "lengths.png", "label_noise.png"]
    assert all(content.startswith(b"\x89PNG") for content in plots.values())
    assert list(fastlstm.check(make_dataset(20), label_noise=False).plots()) == ["classes.png", "lengths.png"]


def test_plots_without_matplotlib_raise_missing_dependency_error(monkeypatch: pytest.MonkeyPatch) -> None:
    report = fastlstm.check(make_dataset(20), label_noise=False)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError) as raised:
        report.plots()
    assert raised.value.package == "matplotlib"
