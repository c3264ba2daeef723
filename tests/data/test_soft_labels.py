"""Probabilities in the data: columns, mappings, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from fastlstm.data import Dataset, read_dataset
from fastlstm.data.dataset import split_dataset
from fastlstm.data.memory import as_dataset
from fastlstm.data.options import ReadOptions
from fastlstm.data.soft_labels import SoftLabels, parse_probabilities
from fastlstm.errors import DataError, OptionError

ROWS: list[dict[str, Any]] = [
    {"text": "both", "label": "pos", "p_neg": 0.2, "p_pos": 0.8},
    {"text": "only soft", "label": None, "p_neg": 0.75, "p_pos": 0.25},
    {"text": "only hard", "label": "neg", "p_neg": None, "p_pos": None},
]
PROBABILITIES = np.array([[0.2, 0.8], [0.75, 0.25], [np.nan, np.nan]], np.float32)


def check(dataset: Dataset) -> None:
    soft = dataset.soft_labels
    assert soft is not None
    assert (dataset.labels, soft.classes) == (["pos", "neg", "neg"], ("neg", "pos"))
    assert soft.is_labelled.tolist() == [True, False, True]
    assert soft.is_soft.tolist() == [True, True, False]
    np.testing.assert_allclose(soft.probabilities, PROBABILITIES, rtol=1e-6)


def write_csv(path: Path, delimiter: str = ",") -> Path:
    rows = [delimiter.join("" if v is None else str(v) for v in row.values()) for row in ROWS]
    path.write_text("\n".join([delimiter.join(ROWS[0]), *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    "columns", ["neg=p_neg,pos=p_pos", {"neg": "p_neg", "pos": "p_pos"}, ["neg=p_neg", "pos=p_pos"]]
)
def test_columns_of_csv(tmp_path: Path, columns: Any) -> None:
    check(read_dataset(write_csv(tmp_path / "rows.csv"), probability_columns=columns))
    check(read_dataset(write_csv(tmp_path / "rows.tsv", "\t"), probability_columns=columns))


@pytest.mark.parametrize("columns", [{0: 2, 1: 3}, [0, 1]])
def test_classes_and_columns_may_be_numbers(columns: Any) -> None:
    rows = {"text": ["one", "two"], "0": [0.25, 0.5], "1": [0.75, 0.5], 2: [0.25, 0.5], 3: [0.75, 0.5]}
    soft = as_dataset(rows, ReadOptions.create({"probability_columns": columns})).soft_labels
    assert soft is not None
    assert (soft.classes, soft.probabilities.tolist()) == (("0", "1"), [[0.25, 0.75], [0.5, 0.5]])


def test_columns_of_jsonl_parquet_and_memory(tmp_path: Path) -> None:
    columns = {"neg": "p_neg", "pos": "p_pos"}
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    for name in ("rows.jsonl", "rows.parquet"):
        check(read_dataset(tmp_path / name, probability_columns=columns))
    options = ReadOptions.create({"probability_columns": columns})
    check(as_dataset(ROWS, options))
    check(as_dataset(pyarrow.Table.from_pylist(ROWS), options))
    check(as_dataset({name: [row[name] for row in ROWS] for name in ROWS[0]}, options))


def test_a_mapping_per_row(tmp_path: Path) -> None:
    rows = [
        {"text": r["text"], "label": r["label"], "scores": r["p_neg"] and {"neg": r["p_neg"], "pos": r["p_pos"]}}
        for r in ROWS
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    quoted = [json.dumps(row["scores"]).replace('"', '""') if row["scores"] else "" for row in rows]
    lines = [f'{row["text"]},{row["label"] or ""},"{scores}"' for row, scores in zip(rows, quoted, strict=True)]
    (tmp_path / "rows.csv").write_text("text,label,scores\n" + "\n".join(lines) + "\n")
    for name in ("rows.jsonl", "rows.parquet", "rows.csv"):
        check(read_dataset(tmp_path / name, probability_column="scores"))
    check(as_dataset(rows, ReadOptions.create({"probability_column": "scores"})))


def test_a_label_column_is_not_needed() -> None:
    dataset = as_dataset(
        {"text": ["a b", "c d"], "x": [0.6, 0.1], "y": [0.4, 0.9]},
        ReadOptions.create({"probability_columns": "x,y"}),
    )
    assert dataset.labels == ["x", "y"]
    assert dataset.soft_labels is not None
    assert not dataset.soft_labels.is_labelled.any()


def test_a_label_column_that_is_named_is_needed() -> None:
    with pytest.raises(DataError) as caught:
        as_dataset(
            {"text": ["a b", "c d"], "x": [0.6, 0.1], "y": [0.4, 0.9]},
            ReadOptions.create({"probability_columns": "x,y", "label_column": "sentimnt"}),
        )
    assert (caught.value.code, caught.value.values["column"]) == ("missing-column", "sentimnt")


def test_a_tie_of_two_classes_has_the_class_that_a_model_predicts() -> None:
    rows = [{"text": "a b", "p": {"y": 0.5, "x": 0.5}}, {"text": "c d", "p": {"x": 0.9, "y": 0.1}}]
    assert as_dataset(rows, ReadOptions.create({"probability_column": "p"})).labels == ["y", "x"]


@pytest.mark.parametrize("missing", ["", "NA", "nan", "None", "null", "  ", None, float("nan")])
def test_a_missing_label_beside_probabilities_is_no_label(missing: object) -> None:
    rows = [{"text": "a b", "label": missing, "p": {"x": 0.2, "y": 0.8}}, {"text": "c d", "label": "x", "p": None}]
    dataset = as_dataset(rows, ReadOptions.create({"probability_column": "p"}))
    assert dataset.labels == ["y", "x"]
    assert dataset.soft_labels is not None
    assert list(dataset.soft_labels.is_labelled) == [False, True]
    assert dataset.bad_rows == ()


def test_a_word_for_missing_that_is_a_class_of_the_probabilities_is_a_label() -> None:
    rows = [{"text": "a b", "label": "None", "p": {"None": 0.2, "y": 0.8}}, {"text": "c d", "label": "y"}]
    dataset = as_dataset(rows, ReadOptions.create({"probability_column": "p", "keep_missing": True}))
    assert dataset.labels == ["None", "y"]


@pytest.mark.parametrize("missing", ["", "NaN", "NA", None])
def test_missing_probabilities_beside_a_label_are_none(missing: object) -> None:
    columns = {"text": ["a b", "c d"], "label": ["x", "y"], "x": [missing, 0.3], "y": [missing, 0.7]}
    dataset = as_dataset(columns, ReadOptions.create({"probability_columns": "x,y"}))
    assert dataset.soft_labels is not None
    assert list(dataset.soft_labels.is_soft) == [False, True]


def test_probabilities_that_rounding_made_negative_are_zero() -> None:
    rows = [{"text": "a b", "p": {"x": 1.00000001, "y": -1e-8}}, {"text": "c d", "label": "y"}]
    dataset = as_dataset(rows, ReadOptions.create({"probability_column": "p"}))
    assert dataset.soft_labels is not None
    assert dataset.soft_labels.probabilities[0].tolist() == [1.0, 0.0]


def test_a_class_that_is_never_most_probable_is_a_class() -> None:
    rows = [{"text": "a b", "p": {"1": 0.5, "10": 0.1, "2": 0.4}}, {"text": "c d", "label": "2"}]
    assert as_dataset(rows, ReadOptions.create({"probability_column": "p"})).class_names == ["1", "2", "10"]


def test_soft_labels_follow_subsets_and_copies() -> None:
    texts, classes = [f"text {k}" for k in range(20)], ["a", "b"] * 10
    values = np.linspace(0, 1, 20, dtype=np.float32)
    soft = SoftLabels(("a", "b"), np.stack([1 - values, values], axis=1), np.ones(20, np.bool_))
    data = Dataset(texts, classes, soft_labels=soft)
    for part in (*split_dataset(data, 0.2, 0), as_dataset(data)):
        assert part.soft_labels is not None
        rows = [texts.index(text) for text in part.texts]
        np.testing.assert_allclose(part.soft_labels.probabilities, soft.probabilities[rows], rtol=1e-6)


@pytest.mark.parametrize(
    "cell",
    [
        {"a": -0.1, "b": 1.1},
        {"a": math.nan, "b": 1},
        {"a": math.inf, "b": -math.inf},
        {"a": 1e308, "b": 1e308},
        {"a": 0.5, "b": 0.4},
        {"a": 0.5, "b": None},
        {"a": "much", "b": 0.5},
        {"a": True, "b": 0.0},
        {"a": 1.0},
        [0.5, 0.5],
        0.5,
        "a",
    ],
)
def test_other_values_are_no_probabilities(cell: Any) -> None:
    with pytest.raises(DataError) as raised:
        parse_probabilities(cell)
    assert raised.value.code == "bad-probabilities"


def test_percentages_are_refused_with_their_sum() -> None:
    with pytest.raises(DataError) as raised:
        parse_probabilities({"a": 99.5, "b": 0.5})
    assert (raised.value.code, raised.value.sum) == ("bad-probabilities", 100)


def test_rounded_probabilities_are_normalized() -> None:
    assert parse_probabilities({"a": 0.33, "b": 0.33, "c": 0.33}) == pytest.approx(dict.fromkeys("abc", 1 / 3))


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"text": "x"}, "missing-label"),
        ({"text": "x", "label": "c", "p": {"a": 0.5, "b": 0.5}}, "unknown-label"),
        ({"text": "x", "label": "c"}, "unknown-label"),
        ({"text": "x", "p": {"a": 0.5, "c": 0.5}}, "bad-probabilities"),
        ({"text": "x", "p": {"a": 0.5, "b": 0.9}}, "bad-probabilities"),
    ],
)
def test_a_bad_row_is_skipped_with_its_reason(row: dict[str, Any], code: str) -> None:
    good = [{"text": "x", "p": {"a": 0.5, "b": 0.5}}] * 20
    options = ReadOptions.create({"probability_column": "p"})
    dataset = as_dataset([*good, row], options)
    assert [(bad.location, bad.code) for bad in dataset.bad_rows] == [(21, code)]
    assert len(dataset) == 20
    with pytest.raises(DataError) as raised:
        as_dataset([*good, row], dataclasses.replace(options, on_bad_rows="stop"))
    assert (raised.value.code, raised.value.location) == (code, 21)


def test_a_label_before_the_first_probabilities_must_be_one_of_their_classes() -> None:
    rows = [{"text": "first", "label": "c"}, *[{"text": "x", "label": "b", "p": {"a": 0.5, "b": 0.5}}] * 20]
    dataset = as_dataset(rows, ReadOptions.create({"probability_column": "p"}))
    assert [(bad.location, bad.code) for bad in dataset.bad_rows] == [(1, "unknown-label")]
    assert dataset.class_names == ["a", "b"]
    assert dataset.soft_labels is not None
    assert dataset.soft_labels.is_soft.all()


def test_the_classes_are_those_of_most_rows() -> None:
    rows = [{"text": "first", "p": {"a": 0.5, "bb": 0.5}}, *[{"text": "x", "p": {"a": 0.5, "b": 0.5}}] * 20]
    dataset = as_dataset(rows, ReadOptions.create({"probability_column": "p"}))
    assert [(bad.location, bad.code) for bad in dataset.bad_rows] == [(1, "bad-probabilities")]
    assert dataset.class_names == ["a", "b"]


def test_pairs_without_probabilities_stand_between_rows_with_them() -> None:
    rows: list[Any] = [("x", "a"), {"text": "y", "p": {"a": 0.25, "b": 0.75}}]
    soft = as_dataset(rows, ReadOptions.create({"probability_column": "p"})).soft_labels
    assert soft is not None
    assert soft.is_soft.tolist() == [False, True]


def test_an_error_names_the_row_and_the_column(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,p_neg,p_pos\ngood film,0.2,0.8\nbad film,1.5,-0.5\n")
    with pytest.raises(DataError) as raised:
        read_dataset(path, probability_columns="neg=p_neg,pos=p_pos", on_bad_rows="stop")
    assert (raised.value.code, raised.value.location) == ("bad-probabilities", 3)
    assert "'p_neg'" in str(raised.value)


@pytest.mark.parametrize("columns", ["text,label\nx y,neg\n", "text,p_neg,p_pos\nx y,0.75,0.25\n"])
def test_sources_after_the_training_texts_may_lack_columns(tmp_path: Path, columns: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(columns)
    options = ReadOptions.create({"probability_columns": "neg=p_neg,pos=p_pos"})
    later = dataclasses.replace(options, class_names=("neg", "pos"))
    assert as_dataset(path, later).labels == ["neg"]
    path.write_text("text\nx y\n")
    for reading in (options, later):
        with pytest.raises(DataError) as raised:
            as_dataset(path, reading)
        assert raised.value.code == "missing-column"


@pytest.mark.parametrize(
    ("classes", "probabilities", "labelled"),
    [
        (("a", "b"), [[0.5, 0.5]], [True, True]),
        (("a", "a"), [[0.5, 0.5]], [True]),
        (("a",), [[1.0]], [True]),
        (("a", "b"), [[0.5, 0.6]], [True]),
        (("a", "b"), [[0.5, np.nan]], [True]),
        (("a", "b"), [[-0.5, 1.5]], [True]),
    ],
)
def test_soft_labels_in_memory_are_checked(
    classes: tuple[str, ...], probabilities: list[list[float]], labelled: list[bool]
) -> None:
    with pytest.raises(DataError) as raised:
        SoftLabels(classes, np.array(probabilities, np.float32), np.array(labelled))
    assert raised.value.code == "bad-probabilities"


def test_soft_labels_of_other_texts_are_refused() -> None:
    soft = SoftLabels(("a", "b"), np.full((2, 2), 0.5, np.float32), np.ones(2, np.bool_))
    with pytest.raises(DataError) as raised:
        Dataset(["x"], ["a"], soft_labels=soft)
    assert raised.value.code == "length-mismatch"


@pytest.mark.parametrize(
    "options",
    [
        {"probability_columns": "a"},
        {"probability_columns": "a=x,a=y"},
        {"probability_columns": 3},
        {"probability_columns": ["a", 3.5]},
        {"probability_column": 3},
    ],
)
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError) as raised:
        ReadOptions.create(options)
    assert (raised.value.code, raised.value.option) == ("bad-option-value", next(iter(options)))


def test_both_options_conflict() -> None:
    with pytest.raises(OptionError) as raised:
        ReadOptions.create({"probability_columns": "a,b", "probability_column": "p"})
    assert raised.value.code == "conflicting-options"


def test_a_missing_column_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        read_dataset(write_csv(tmp_path / "rows.csv"), probability_columns="neg=p_neg,pos=p_positive")
    assert (raised.value.code, raised.value.column) == ("missing-column", "p_positive")


def test_fasttext_files_have_no_probabilities(tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("__label__a x\n__label__b y\n")
    with pytest.raises(OptionError) as raised:
        read_dataset(tmp_path / "rows.txt", probability_columns="a,b")
    assert raised.value.code == "probabilities-need-table"


def test_a_map_of_arrow_is_a_mapping() -> None:
    assert parse_probabilities([("a", 0.25), ("b", 0.75)]) == {"a": 0.25, "b": 0.75}


@pytest.mark.parametrize("options", [{"probability_column": "p"}, {"probability_columns": ["a", "b"]}])
def test_rows_without_the_keys_of_probabilities_raise_data_error(tmp_path: Path, options: dict[str, Any]) -> None:
    rows = [{"text": "words", "label": "a"}, {"text": "other words", "label": "b", "scores": {"a": 0.5, "b": 0.5}}]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for data in (path, rows):
        with pytest.raises(DataError) as raised:
            as_dataset(data, ReadOptions.create(options))
        assert (raised.value.code, raised.value.columns) == ("no-probabilities", ["text", "label", "scores"])
