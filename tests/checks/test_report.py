"""`fastlstm.check`: one call from data to findings."""

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


def records(texts: int, source: str = "records") -> Dataset:
    labels = [("good", "bad")[k % 2] for k in range(texts)]
    return Dataset([f"{WORDS[label]} film number {k}" for k, label in enumerate(labels)], labels, source)


def test_the_parts_are_those_that_training_would_have() -> None:
    found = fastlstm.check(records(100, "reviews.csv"), validation=0.2, test=0.1)
    assert {name: part.texts for name, part in found.parts.items()} == {
        "training": 72,
        "validation": 18,
        "test": 10,
    }
    assert found.data == "reviews.csv"
    own = fastlstm.check(records(40), validation=records(6), test=records(4), label_noise=False)
    assert {name: part.classes for name, part in own.parts.items()} == {
        "training": {"bad": 20, "good": 20}, "validation": {"bad": 3, "good": 3}, "test": {"bad": 2, "good": 2},
    }  # fmt: skip
    assert [overlap.texts for overlap in own.duplicates.across] == [6, 4]
    assert own.label_noise is None
    assert own.advice["label_noise"] == ()


def test_records_are_named_by_their_row_though_a_part_was_held_out(tmp_path: Path) -> None:
    table = records(60)
    table.labels[41] = "good"
    path = tmp_path / "reviews.csv"
    rows = "".join(f"{text},{label}\n" for text, label in zip(table.texts, table.labels, strict=True))
    path.write_text(f"text,label\n{rows}", encoding="utf-8")
    found = fastlstm.check(path, test=0.2)
    assert found.label_noise is not None
    assert found.label_noise.doubts[0].example.record == 42
    assert found.label_noise.doubts[0].example.text == "awful boring dull film number 41"


def test_the_same_data_gives_the_same_findings_and_they_are_json() -> None:
    found = fastlstm.check(records(60))
    assert found == fastlstm.check(records(60))
    assert json.loads(json.dumps(found.to_json()))["label_noise"]["judged"] == 60
    assert set(found.advice) <= {*found.to_json(), "classes"}


def test_limits_are_the_preset_s_or_those_given() -> None:
    others = [name for name in PRESETS if name != DEFAULT_PRESET]
    preset = fastlstm.check(records(20), label_noise=False)
    assert [cut.name for cut in preset.lengths.cuts] == [DEFAULT_PRESET, *others]
    given = fastlstm.check(records(20), label_noise=False, max_tokens=3, vocabulary_size=7)
    assert [cut.name for cut in given.lengths.cuts] == ["as given", *PRESETS]
    assert given.lengths.cuts[0].max_tokens == 3
    assert (preset.vocabulary.asked, given.vocabulary.asked) == (30_000, 7)


def test_each_step_is_told() -> None:
    said: list[str] = []
    fastlstm.check(records(20), say=said.append)
    assert said == [
        "data: records", "reading 20 texts", "judging each label by a bag of words that has not read its text",
    ]  # fmt: skip


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(OptionError, match="most is 0"):
        fastlstm.check(records(20), most=0)
    with pytest.raises(OptionError, match="unknown option 'vocabulary'"):
        fastlstm.check(records(20), vocabulary=7)
    with pytest.raises(OptionError, match="unknown preset"):
        fastlstm.check(records(20), preset="none")
    with pytest.raises(DataError, match="one class only"):
        fastlstm.check(Dataset(["a", "b"], ["x", "x"]))
    with pytest.raises(DataError, match="never seen in training"):
        fastlstm.check(records(20), test=Dataset(["a"], ["other"]))


def test_plots_are_drawn_of_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    found = fastlstm.check(records(20), test=0.2)
    drawn = found.plots()
    assert list(drawn) == ["classes.png", "lengths.png", "label_noise.png"]
    assert all(content.startswith(b"\x89PNG") for content in drawn.values())
    assert list(fastlstm.check(records(20), label_noise=False).plots()) == ["classes.png", "lengths.png"]
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match="pip install"):
        found.plots()
