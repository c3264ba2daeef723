"""Validation of texts and labels in memory."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import numpy as np
import pytest

from fastlstm.data.dataset import Dataset
from fastlstm.data.options import MAX_BAD_ROW_SHARE, BadRow, ReadOptions
from fastlstm.data.validation import LabelledRow, collect_dataset, require_classes
from fastlstm.errors import DataError


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("good", "good"),
        ("  good\t", "good"),
        (7, "7"),
        (-1, "-1"),
        (1.0, "1"),
        (True, "true"),
        (False, "false"),
        (np.int8(3), "3"),
        (np.float32(2.0), "2"),
        (np.bool_(True), "true"),
    ],
)
def test_label_becomes_a_class_name(label: object, name: str) -> None:
    assert collect_dataset([(1, "some words", label)], "reviews").labels == [name]


@pytest.mark.parametrize("text", ["10/10", "5 stars", "...", "-", "3,5 von 5", "1e", "☆"])
def test_text_without_letters_is_accepted(text: str) -> None:
    assert collect_dataset([(1, text, "x")], "reviews").texts == [text]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3000, "3000"),
        (2.5, "2.5"),
        (True, "True"),
        (np.int64(7), "7"),
        (np.str_("words"), "words"),
        (datetime.date(2020, 1, 31), "2020-01-31"),
        ("5", "5"),
        ("a", "a"),
    ],
)
def test_numbers_dates_and_single_characters_are_texts(value: object, text: str) -> None:
    assert collect_dataset([(1, value, "x")], "reviews").texts == [text]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (("", "x"), "empty-text"),
        ((None, "x"), "empty-text"),
        ((float("nan"), "x"), "empty-text"),
        (([], "x"), "not-a-text"),
        ((b"words", "x"), "not-a-text"),
        (("\udcff", "x"), "not-utf8"),
        (("words", None), "missing-label"),
        (("words", "x\udcff"), "not-utf8"),
        (("words", ["x"]), "bad-label"),
    ],
)
def test_row_error_has_the_source_and_the_location(row: tuple[object, object], code: str) -> None:
    rows = [(3, "some words", "x"), (4, *row)]
    with pytest.raises(DataError) as raised:
        collect_dataset(rows, "reviews", ReadOptions(on_bad_rows="stop"))
    assert (raised.value.code, raised.value.source, raised.value.location) == (code, "reviews", 4)
    assert [bad_row.code for bad_row in raised.value.bad_rows] == [code]


def make_rows(bad: int, good: int) -> list[tuple[int, str, str]]:
    rows = [("", "x")] * bad + [("some words", "x")] * good
    return [(number, *row) for number, row in enumerate(rows, start=1)]


def test_few_bad_rows_are_skipped_and_listed() -> None:
    dataset = collect_dataset(make_rows(bad=2, good=18), "reviews", unit="line")
    assert len(dataset) == 18
    assert [(row.source, row.location, row.code) for row in dataset.bad_rows] == [
        ("reviews", 1, "empty-text"),
        ("reviews", 2, "empty-text"),
    ]
    assert [note.code for note in dataset.notes] == ["rows-skipped"]
    assert dataset.locations is not None
    assert dataset.locations[0] == 3


def test_more_than_the_stated_share_of_bad_rows_raises_data_error() -> None:
    share = int(100 * MAX_BAD_ROW_SHARE)
    assert len(collect_dataset(make_rows(share, 100 - share), "reviews").bad_rows) == share
    with pytest.raises(DataError) as raised:
        collect_dataset(make_rows(share + 1, 99 - share), "reviews")
    assert (raised.value.code, raised.value.rows) == ("empty-text", 100)
    assert len(raised.value.bad_rows) == share + 1


def test_bad_rows_with_several_causes_have_one_code() -> None:
    with pytest.raises(DataError) as raised:
        collect_dataset([(1, "", "x"), (2, "words", ""), (3, "words", "x")], "reviews")
    assert raised.value.code == "too-many-bad-rows"
    assert [row.code for row in raised.value.bad_rows] == ["empty-text", "missing-label"]


def test_reasons_that_differ_in_numbers_are_one_cause() -> None:
    bad = [BadRow("reviews", number, "bad-row", f"the row has {number} cells") for number in (3, 4)]
    (note,) = collect_dataset([*bad, *make_rows(bad=0, good=18)], "reviews", unit="line").notes
    assert note.code == "rows-skipped"
    assert note.text.count("the row has") == 1
    assert "lines 3, 4:" in note.text


def test_reading_stops_early_if_most_rows_are_bad() -> None:
    read = 0

    def rows() -> Iterator[LabelledRow]:
        nonlocal read
        for read in range(1, 10**6):
            yield read, "", "x"

    with pytest.raises(DataError) as raised:
        collect_dataset(rows(), "reviews")
    assert raised.value.code == "empty-text"
    assert read < 10_000


@pytest.mark.parametrize(
    ("texts", "numeric"), [(["1", "2.5"], True), (["1,000", "x"], False), (["5"] * 95 + ["x"] * 5, True)]
)
def test_column_of_numbers_raises_data_error(texts: list[str], numeric: bool) -> None:
    rows = [(number, text, "x") for number, text in enumerate(texts, start=1)]
    assert len(collect_dataset(rows, "reviews")) == len(texts)
    if not numeric:
        assert len(collect_dataset(rows, "reviews", has_columns=True)) == len(texts)
        return
    with pytest.raises(DataError) as raised:
        collect_dataset(rows, "reviews", has_columns=True)
    assert (raised.value.code, raised.value.column) == ("numeric-text", "text")


def test_labels_that_look_alike_are_noted_or_merged() -> None:
    rows = [(number, "words", label) for number, label in enumerate(["Pos", "pos", "pos", "p\u200bos", "neg"])]
    noted = collect_dataset(rows, "reviews")
    assert noted.class_names == ["Pos", "neg", "pos", "p\u200bos"]
    assert [note.code for note in noted.notes] == ["look-alike-labels"]
    merged = collect_dataset(rows, "reviews", ReadOptions(merge_labels=True))
    assert merged.labels == ["pos"] * 4 + ["neg"]
    assert [note.code for note in merged.notes] == ["labels-merged"]


def test_labels_are_merged_into_the_names_of_a_model() -> None:
    rows = [(1, "words", "Pos"), (2, "words", "neg")]
    options = ReadOptions(merge_labels=True, class_names=("pos", "neg"))
    dataset = collect_dataset(rows, "reviews", options)
    assert dataset.labels == ["pos", "neg"]
    assert [note.code for note in dataset.notes] == ["labels-merged"]


def test_a_class_of_the_model_is_no_missing_label() -> None:
    rows = [(1, "words", "NA"), (2, "words", "x")]
    assert collect_dataset(rows, "reviews", ReadOptions(class_names=("NA", "x"))).labels == ["NA", "x"]


def test_missing_labels_are_kept_on_request() -> None:
    rows = [(1, "words", "NA"), (2, "words", "x")]
    assert collect_dataset(rows, "reviews", ReadOptions(keep_missing=True)).labels == ["NA", "x"]


@pytest.mark.parametrize(("labels", "classes"), [(["x", "x"], ["x"]), ([], [])])
def test_fewer_than_two_classes_raise_data_error(labels: list[str], classes: list[str]) -> None:
    with pytest.raises(DataError) as raised:
        require_classes(Dataset(["text"] * len(labels), labels, "reviews.csv"))
    assert (raised.value.code, raised.value.classes) == ("one-class", classes)
    assert raised.value.source == "reviews.csv"


def test_two_classes_are_accepted() -> None:
    require_classes(Dataset(["a", "b"], ["x", "y"]))
