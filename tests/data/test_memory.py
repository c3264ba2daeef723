"""Labelled texts from objects in memory."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastlstm.data import Dataset, as_dataset
from fastlstm.data.options import ReadOptions
from fastlstm.errors import DataError

TEXTS = ["a good film", "a bad film", "fine"]
LABELS = ["pos", "neg", "pos"]


def as_pandas(columns: dict[str, list[Any]]) -> Any:
    return pytest.importorskip("pandas").DataFrame(columns)


def as_polars(columns: dict[str, list[Any]]) -> Any:
    return pytest.importorskip("polars").DataFrame(columns)


def as_pyarrow(columns: dict[str, list[Any]]) -> Any:
    return pytest.importorskip("pyarrow").table(columns)


class HuggingFaceDataset:
    """The part of a Hugging Face dataset that reading uses."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self.column_names = list(columns)
        self._columns = columns

    def __getitem__(self, name: str) -> list[Any]:
        return self._columns[name]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        names = self.column_names
        return (dict(zip(names, values, strict=True)) for values in zip(*self._columns.values(), strict=True))


def as_rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return list(HuggingFaceDataset(columns))


FORMS: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "pandas": as_pandas,
    "polars": as_polars,
    "pyarrow": as_pyarrow,
    "Hugging Face": HuggingFaceDataset,
    "dict of columns": dict,
    "list of dicts": as_rows,
    "list of pairs": lambda columns: list(zip(columns["text"], columns["label"], strict=True)),
    "iterator of pairs": lambda columns: iter(zip(columns["text"], columns["label"], strict=True)),
    "Dataset": lambda columns: Dataset(columns["text"], columns["label"]),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_dataset(form: str) -> None:
    data = FORMS[form]({"id": [7, 8, 9], "text": TEXTS, "label": LABELS})
    dataset = as_dataset(data)
    assert dataset == Dataset(TEXTS, LABELS)
    assert [dataset.location(index) for index in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([1, 0, 1], ["1", "0", "1"]),
        ([1.0, 0.0, 1.0], ["1", "0", "1"]),
        ([True, False, True], ["true", "false", "true"]),
    ],
)
def test_labels_may_be_numbers_or_booleans(form: str, values: list[Any], labels: list[str]) -> None:
    assert as_dataset(FORMS[form]({"text": TEXTS, "label": values})).labels == labels


@pytest.mark.parametrize("form", [form for form in FORMS if form != "Dataset"])
@pytest.mark.parametrize("values", [["a", None, "b"], [1, None, 0], [1.0, None, 0.0]])
def test_missing_labels_are_bad_rows(form: str, values: list[Any]) -> None:
    data = FORMS[form]({"text": TEXTS, "label": values})
    dataset = as_dataset(data, ReadOptions(max_bad_share=0.5))
    assert dataset.labels == [str(int(value)) if value in (0, 1) else value for value in (values[0], values[2])]
    assert [(row.location, row.code) for row in dataset.bad_rows] == [(2, "missing-label")]


def test_missing_values_of_pandas_are_missing() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "text": ["a film", pandas.NA, "a film", "a film", "a film"],
            "label": pandas.Series(["x", "x", pandas.NA, pandas.NaT, np.nan], dtype=object),
        }
    )
    dataset = as_dataset(frame, ReadOptions(max_bad_share=1))
    assert dataset == Dataset(["a film"], ["x"])
    assert [row.code for row in dataset.bad_rows] == ["empty-text", *["missing-label"] * 3]


@pytest.mark.parametrize("dtype", ["category", "Int64", "int8", "float32", "object", "string"])
def test_labels_may_have_any_dtype_of_pandas(dtype: str) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": TEXTS, "label": pandas.Series([1, 0, 1]).astype(dtype)})
    assert as_dataset(frame).labels == ["1", "0", "1"]


def test_labels_may_be_dates() -> None:
    pandas = pytest.importorskip("pandas")
    days = ["2020-01-31", "2021-12-01", "2020-01-31"]
    frame = pandas.DataFrame({"text": TEXTS, "label": pandas.to_datetime(days).date})
    assert as_dataset(frame).labels == days
    assert as_dataset({"text": TEXTS, "label": [datetime.date.fromisoformat(day) for day in days]}).labels == days


@pytest.mark.parametrize(
    "labels",
    [
        np.array([1, 0, 1]),
        np.array([[1], [0], [1]]),
        np.array([1.0, 0.0, 1.0], np.float32),
        np.array(["1", "0", "1"]),
        np.array([1, 0, 1], object),
        (1, 0, 1),
    ],
)
def test_labels_may_be_arrays(labels: Any) -> None:
    assert as_dataset({"text": np.array(TEXTS), "label": labels}) == Dataset(TEXTS, ["1", "0", "1"])
    assert Dataset(TEXTS, labels).labels == ["1", "0", "1"]


def test_columns_may_be_pyarrow_arrays() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    for labels in (
        pyarrow.array([1, 0, 1]),
        pyarrow.chunked_array([[1, 0], [1]]),
        pyarrow.array(["1", "0", "1"]).dictionary_encode(),
    ):
        assert Dataset(pyarrow.array(TEXTS), labels) == Dataset(TEXTS, ["1", "0", "1"])
        assert as_dataset({"text": pyarrow.array(TEXTS), "label": labels}).labels == ["1", "0", "1"]


def test_dataset_with_a_missing_label_raises_data_error() -> None:
    for label in (None, float("nan"), "", "NA"):
        with pytest.raises(DataError) as raised:
            Dataset(TEXTS, ["x", "y", label])  # type: ignore[list-item]
        assert (raised.value.code, raised.value.location) == ("missing-label", 3)


def test_columns_are_chosen_by_name() -> None:
    options = ReadOptions(text_column="review", label_column="stars")
    for form in ("pandas", "polars", "pyarrow", "Hugging Face", "dict of columns", "list of dicts"):
        data = FORMS[form]({"review": TEXTS, "text": ["?"] * 3, "stars": [1, 2, 3]})
        assert as_dataset(data, options) == Dataset(TEXTS, ["1", "2", "3"])


@pytest.mark.parametrize("form", ["pandas", "polars", "pyarrow", "Hugging Face", "dict of columns"])
def test_missing_column_raises_data_error(form: str) -> None:
    with pytest.raises(DataError) as raised:
        as_dataset(FORMS[form]({"text": TEXTS, "stars": [1, 2, 3]}), source="reviews")
    error = raised.value
    assert (error.code, error.column, error.columns, error.source) == (
        "missing-column", "label", ["text", "stars"], "reviews",
    )  # fmt: skip


@pytest.mark.parametrize("form", ["pandas", "polars", "pyarrow", "dict of columns"])
def test_column_of_numbers_raises_data_error(form: str) -> None:
    with pytest.raises(DataError) as raised:
        as_dataset(FORMS[form]({"text": [1, 2, 3], "label": LABELS}))
    assert (raised.value.code, raised.value.column) == ("numeric-text", "text")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (3, "bad-data-type"),
        (None, "bad-data-type"),
        (b"text", "bad-data-type"),
        ({("a", "b")}, "bad-data-type"),
        (["a film", "a film"], "bad-data-type"),
        ([("a", "b", "c")], "bad-data-type"),
        ([("a", "b"), 3], "bad-data-type"),
        ([None, ("a", "b")], "bad-data-type"),
        (np.zeros((3, 4)), "bad-data-type"),
        (np.array(TEXTS), "bad-data-type"),
        ([], "empty-dataset"),
        ({}, "missing-column"),
        ({"text": TEXTS}, "missing-column"),
        ({"text": TEXTS, "label": ["x"]}, "length-mismatch"),
        ({"text": "a film", "label": ["x"]}, "not-a-column"),
        ({"text": TEXTS, "label": 3}, "not-a-column"),
        ({"text": TEXTS, "label": np.zeros((3, 2))}, "not-a-column"),
        ({"text": TEXTS, "label": {"a", "b", "c"}}, "not-a-column"),
        ({"text": TEXTS, "label": [["x"], ["y"], ["z"]]}, "bad-label"),
        ({"text": [["a"], ["b"], ["c"]], "label": LABELS}, "not-a-text"),
        ({"text": [b"a", b"b", b"c"], "label": LABELS}, "not-a-text"),
    ],
)
def test_other_data_raises_data_error(data: object, code: str) -> None:
    with pytest.raises(DataError) as raised:
        as_dataset(data)
    assert raised.value.code == code


def test_duplicate_columns_of_pandas_raise_data_error() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([["a", "b", "x"]], columns=["text", "text", "label"])
    with pytest.raises(DataError) as raised:
        as_dataset(frame)
    assert raised.value.code == "duplicate-column"


def test_column_names_may_be_numbers() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([["a film", "x"], ["b film", "y"]])
    options = ReadOptions(text_column="0", label_column="1")
    assert as_dataset(frame, options) == Dataset(["a film", "b film"], ["x", "y"])


@pytest.mark.parametrize(
    ("texts", "labels", "code"),
    [
        ("words", ["x"], "not-a-column"),
        (["words"], "x", "not-a-column"),
        (["words"], 3, "not-a-column"),
        (None, ["x"], "not-a-column"),
        (np.zeros((2, 2)), ["x", "y"], "not-a-column"),
        ([3], ["x"], "not-a-text"),
        ([None], ["x"], "not-a-text"),
        (["words"], [["x"]], "bad-label"),
        (["words"], [b"x"], "bad-label"),
    ],
)
def test_wrong_arguments_of_a_dataset_raise_data_error(texts: Any, labels: Any, code: str) -> None:
    with pytest.raises(DataError) as raised:
        Dataset(texts, labels)
    assert raised.value.code == code


def test_path_is_read(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("text,label\nfine,x\n", encoding="utf-8")
    assert as_dataset(path) == as_dataset(str(path)) == Dataset(["fine"], ["x"], "reviews.csv")


def test_notes_and_locations_of_a_dataset_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("sep=;\ntext;label\nfine;x\ngood;x\n", encoding="utf-8")
    dataset = as_dataset(as_dataset(path))
    assert dataset.locations == [3, 4]
    assert [note.code for note in dataset.notes] == ["dialect"]


@pytest.mark.parametrize("count", [2, 3])
def test_a_pair_of_columns_raises_data_error(count: int) -> None:
    with pytest.raises(DataError) as raised:
        as_dataset((["good film"] * count, ["pos"] * count))
    assert raised.value.code == "bad-data-type"


def test_labels_with_several_spellings_are_one_class_with_a_note() -> None:
    data = as_dataset({"text": ["good film", "fine film", "bad film"], "label": ["1", "1.0", "0"]})
    assert data.labels == ["1", "1", "0"]
    assert [note.code for note in data.notes] == ["labels-normalized"]


def test_columns_of_several_levels_raise_data_error() -> None:
    pd = pytest.importorskip("pandas")
    table = pd.concat({"a": pd.DataFrame({"text": ["good"], "label": ["pos"]})}, axis=1)
    with pytest.raises(DataError) as raised:
        as_dataset(table)
    assert raised.value.code == "missing-column"


def test_a_lazy_table_is_computed() -> None:
    polars = pytest.importorskip("polars")
    table = polars.LazyFrame({"text": ["good", "bad"], "label": [1, 0]})
    assert as_dataset(table).labels == ["1", "0"]


def test_columns_of_small_floats_and_dates_have_the_names_of_other_readers() -> None:
    texts = ["good", "bad"]
    assert as_dataset({"text": texts, "label": np.array([0.1, 1], np.float32)}).labels == ["0.1", "1"]
    dates = np.array(["2020-01-02", "2020-01-03"], "datetime64[ns]")
    assert as_dataset({"text": texts, "label": dates}).labels == ["2020-01-02", "2020-01-03"]
