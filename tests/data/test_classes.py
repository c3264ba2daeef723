"""Label columns that hold no classes, and classes that are probably none."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.helpers.command_line import write_csv

import fastlstm
from fastlstm.data import Dataset
from fastlstm.data.classes import MANY_CLASSES, class_notes, require_repeated_classes
from fastlstm.data.splits import load_splits
from fastlstm.errors import DataError


def dataset(labels: list[str]) -> Dataset:
    return Dataset([f"text {i}" for i in range(len(labels))], labels, "d.csv")


@pytest.mark.parametrize(
    ("labels", "is_refused"),
    [
        ([str(i / 100) for i in range(155)] + ["0.5"] * 45, True),
        ([f"2026-01-{i}" for i in range(30)], True),
        ([str(i % 100) for i in range(200)], False),
        ([str(i) for i in range(MANY_CLASSES)], False),
        ([str(i) for i in range(MANY_CLASSES + 1)], True),
    ],
)
def test_a_class_for_nearly_every_text_is_refused(labels: list[str], is_refused: bool) -> None:
    if not is_refused:
        require_repeated_classes(dataset(labels))
        return
    with pytest.raises(DataError) as raised:
        require_repeated_classes(dataset(labels), "score")
    error = raised.value
    assert (error.code, error.column) == ("too-many-classes", "score")
    assert (error.classes, error.texts) == (len(set(labels)), len(labels))
    assert "'score'" in str(error)


def test_column_is_named_for_tables_only(tmp_path: Path) -> None:
    rows = [(f"a text {i}", str(i / 8)) for i in range(60)]
    path = write_csv(tmp_path / "d.csv", rows, header=("text", "label"))
    with pytest.raises(DataError) as raised:
        load_splits(path)
    assert (raised.value.code, raised.value.column) == ("too-many-classes", "label")
    with pytest.raises(DataError) as raised:
        fastlstm.train(Dataset([text for text, _ in rows], [label for _, label in rows]), tmp_path / "model")
    assert (raised.value.code, raised.value.column) == ("too-many-classes", None)
    assert [file.name for file in tmp_path.iterdir()] == ["d.csv"]
    with pytest.raises(DataError) as raised:
        fastlstm.LSTMClassifier().fit([text for text, _ in rows], [float(label) for _, label in rows])
    assert raised.value.code == "too-many-classes"


@pytest.mark.parametrize(
    ("names", "codes"),
    [
        (["neg", "pos", "unsup"], ["unlabelled-class"]),
        (["neg", "Unlabeled"], ["unlabelled-class"]),
        (["neg", "pos"], []),
        ([str(i) for i in range(30)], []),
        ([str(i / 2) for i in range(30)], ["numeric-classes"]),
        ([str(i / 2) for i in range(10)], []),
    ],
)
def test_classes_that_are_probably_none_have_a_note(names: list[str], codes: list[str]) -> None:
    notes = list(class_notes(dict.fromkeys(names, 3), "d.csv"))
    assert [note.code for note in notes] == codes
    for note in notes:
        assert "d.csv" in note.text


def test_folder_of_unlabelled_texts_is_named(tmp_path: Path) -> None:
    for name in ("neg", "pos", "unsup"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for i in range(6):
            (tmp_path / "train" / name / f"{i}.txt").write_text(f"{name} film {i}", encoding="utf-8")
    (note,) = class_notes(Counter(load_splits(tmp_path / "train").training.labels), "train")
    assert note.code == "unlabelled-class"
    assert "unsup" in note.text
    recommendations = fastlstm.check(tmp_path / "train").recommendations["classes"]
    assert "unlabelled-class" in [recommendation.code for recommendation in recommendations]
