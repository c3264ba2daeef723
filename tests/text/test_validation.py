"""What is a text, what is a batch of texts, and what is neither."""

from __future__ import annotations

import io
import math
from collections import UserDict, deque
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fastlstm.errors import DataError
from fastlstm.text.validation import as_text, validate_text, validate_texts

TEXTS = ["a good film", "很好看"]


class HuggingFaceDataset:
    """The part of `datasets.Dataset` that matters here: columns by name, rows by iteration."""

    column_names = ("review", "stars")

    def __getitem__(self, name: str) -> list[Any]:
        columns: dict[str, list[Any]] = {"review": list(TEXTS), "stars": [1, 2]}
        return columns[name]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter([{"review": "a", "stars": 1}])


def generate() -> Iterator[str]:
    yield from TEXTS


@pytest.mark.parametrize(
    "make_batch",
    [
        lambda: TEXTS,
        lambda: tuple(TEXTS),
        lambda: deque(TEXTS),
        generate,
        lambda: iter(TEXTS),
        lambda: np.array(TEXTS),
        lambda: np.array(TEXTS, object),
        lambda: [np.str_(text) for text in TEXTS],
        lambda: pd.Series(TEXTS, index=[7, 3]),
        lambda: pd.Series(TEXTS, dtype="string"),
        lambda: pd.Series(TEXTS, dtype="category"),
        lambda: pd.Index(TEXTS),
        lambda: pl.Series(TEXTS),
        lambda: pa.array(TEXTS),
        lambda: pa.chunked_array([TEXTS[:1], TEXTS[1:]]),
        lambda: list(pa.array(TEXTS)),
        lambda: pd.DataFrame({"review": TEXTS})["review"],
    ],
)
def test_columns_sequences_and_iterators_are_batches(make_batch: Callable[[], Any]) -> None:
    texts = validate_texts(make_batch())
    assert texts == TEXTS
    assert {type(text) for text in texts} == {str}


@pytest.mark.parametrize(
    "make_batch", [list, tuple, lambda: np.array([], str), lambda: pl.Series([], dtype=pl.String)]
)
def test_a_batch_may_be_empty(make_batch: Callable[[], Any]) -> None:
    assert validate_texts(make_batch()) == []


@pytest.mark.parametrize(
    ("table", "column"),
    [
        (pd.DataFrame({"id": [1, 2], "review": TEXTS}), "review"),
        (pd.DataFrame({"id": [1, 2], "title": TEXTS, "review": TEXTS}), None),
        (pd.DataFrame({"review": TEXTS}), "review"),
        (pd.DataFrame(), None),
        (pl.DataFrame({"id": [1, 2], "review": TEXTS}), "review"),
        (pl.DataFrame({"id": [1, 2], "review": TEXTS}).lazy(), None),
        (pa.table({"id": [1, 2], "review": TEXTS}), "review"),
        (pa.record_batch({"id": [1, 2], "review": TEXTS}), "review"),
        ({"id": [1, 2], "review": TEXTS}, "review"),
        (UserDict({"review": TEXTS}), "review"),
        ({}, None),
        (HuggingFaceDataset(), "review"),
        (np.array([(1, "good")], [("id", int), ("review", "U9")]), "review"),
    ],
)
def test_a_table_is_refused_and_its_text_column_named(table: Any, column: str | None) -> None:
    with pytest.raises(DataError) as raised:
        validate_texts(table, "X")
    error = raised.value
    assert (error.code, error.argument, error.column) == ("not-a-batch", "X", column)
    assert error.type == type(table).__name__
    if column is not None:
        assert column in error.columns
        assert f"X[{column!r}]" in str(error)


@pytest.mark.parametrize(
    "value",
    [
        "one text",
        np.str_("one text"),
        pa.scalar("one text"),
        set(TEXTS),
        frozenset(TEXTS),
        dict.fromkeys(TEXTS).keys(),
        {"a": "b"}.values(),
        {"a": "b"}.items(),
        np.array([TEXTS]),
        np.array("one text"),
        np.zeros((2, 3, 4)),
        io.StringIO("one\ntwo\n"),
        io.BytesIO(b"one\n"),
        SimpleNamespace(texts=TEXTS),
    ],
)
def test_other_containers_are_refused(value: Any) -> None:
    with pytest.raises(DataError) as raised:
        validate_texts(value)
    assert (raised.value.code, raised.value.type) == ("not-a-batch", type(value).__name__)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "value", [b"bytes", bytearray(b"bytes"), memoryview(b"bytes"), 3, None, math.nan, object()]
)
def test_values_that_contain_no_texts_are_refused(value: Any) -> None:
    with pytest.raises(DataError) as raised:
        validate_texts(value)
    assert (raised.value.code, raised.value.type) == ("not-a-text", type(value).__name__)


@pytest.mark.parametrize(
    "make_batch",
    [
        lambda: ["fine", None],
        lambda: ["fine", math.nan],
        lambda: ("fine", np.float64("nan")),
        lambda: ["fine", pd.NA],
        lambda: ["fine", pd.NaT],
        lambda: pd.Series(["fine", None]),
        lambda: pd.Series(["fine", None], dtype="string"),
        lambda: pl.Series(["fine", None]),
        lambda: pa.array(["fine", None]),
        lambda: list(pa.array(["fine", None])),
        lambda: iter(["fine", None]),
    ],
)
def test_a_missing_text_is_refused_with_its_position(make_batch: Callable[[], Any]) -> None:
    with pytest.raises(DataError) as raised:
        validate_texts(make_batch())
    assert (raised.value.code, raised.value.position) == ("missing-text", 1)


@pytest.mark.parametrize(
    ("make_batch", "position"),
    [
        (lambda: [["a", "b"], ["c"]], 0),
        (lambda: ["a", b"b"], 1),
        (lambda: np.array([b"a"]), 0),
        (lambda: (k for k in range(3)), 0),
        (lambda: pd.Series([1, 2]), 0),
        (lambda: pl.Series([["a"]]), 0),
        (lambda: pa.array([1]), 0),
        (lambda: np.arange(3), 0),
        (lambda: ["a", "b", np.array(["c"])], 2),
    ],
)
def test_an_element_that_is_not_a_text_is_refused_with_its_position(
    make_batch: Callable[[], Any], position: int
) -> None:
    with pytest.raises(DataError) as raised:
        validate_texts(make_batch(), "inputs")
    assert (raised.value.code, raised.value.position) == ("not-a-text", position)
    assert f"inputs[{position}]" in str(raised.value)


def test_a_lone_surrogate_is_refused() -> None:
    for batch in (["fine", "\udcff"], ("fine", "\udcff"), ["fine", np.str_("\udcff")]):
        with pytest.raises(DataError) as raised:
            validate_texts(batch)
        assert (raised.value.code, raised.value.position) == ("invalid-unicode", 1)
    with pytest.raises(DataError) as raised:
        validate_text("\udcff", "prompt")
    assert (raised.value.code, raised.value.argument) == ("invalid-unicode", "prompt")


@pytest.mark.parametrize(
    "text", ["", "fine", np.str_("fine"), pa.scalar("fine"), pa.scalar("fine", pa.large_string())]
)
def test_strings_of_numpy_and_pyarrow_are_texts(text: Any) -> None:
    assert validate_text(text) == as_text(text)
    assert isinstance(as_text(text), str)


@pytest.mark.parametrize(
    "value", [None, 3, b"bytes", ["fine"], math.nan, pa.scalar(None), pa.scalar(3), {"a": "b"}]
)
def test_anything_else_is_not_a_text(value: Any) -> None:
    assert as_text(value) is None
    with pytest.raises(DataError) as raised:
        validate_text(value)
    assert (raised.value.code, raised.value.argument) == ("not-a-text", "text")
