"""The same table gives the same dataset through every reader, and no dialect changes it without a note."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastlstm.data import Dataset, as_dataset
from fastlstm.data.options import ReadOptions
from fastlstm.data.readers.labelled import read_labelled
from fastlstm.errors import DataError

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

OPTIONS = ReadOptions(max_bad_share=1, quoting="double")
DOUBTS = {"doubtful-quoting", "stray-quotes"}
Texts = list[str | None]
Labels = list[Any]

one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
parts = st.sampled_from(["fine", "film", " ", '"', "'", ",", ";", "\t", "\\", "\n", "\r\n", "|", "é", "😀", "5"])
texts = st.lists(parts, min_size=1, max_size=8).map("".join)
label_columns = st.sampled_from(
    [
        ("pos", "neg"),
        (" pos", "pos\t"),
        (0, 1),
        (0.0, 1.0),
        (0.5, 2.0),
        (True, False),
        ("1.0", "1", "01"),
        ("NA", "x"),
    ]
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Texts, Labels]:
    """Draw texts, some of them missing, and labels of one type, some of them missing."""
    values = draw(label_columns)
    drawn = draw(st.lists(st.tuples(texts | st.sampled_from(["", None]), st.integers(0, 9)), min_size=1))
    # A row has a text or a label: rows without both are empty rows of a CSV file, which are no bad rows.
    labels = [None if k == 9 and text and text.strip() else values[k % 2] for text, k in drawn]
    return [text for text, _ in drawn], labels


def write_delimited(path: Path, texts: Texts, labels: Labels, **options: Any) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, **options).writerows([("text", "label"), *zip(texts, labels, strict=True)])
    return path


def through_csv(folder: Path, texts: Texts, labels: Labels) -> Dataset:
    return read_labelled(write_delimited(folder / "a.csv", texts, labels), OPTIONS)


def through_tsv(folder: Path, texts: Texts, labels: Labels) -> Dataset:
    return read_labelled(write_delimited(folder / "a.tsv", texts, labels, delimiter="\t"), OPTIONS)


def through_json(folder: Path, texts: Texts, labels: Labels) -> Dataset:
    rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return read_labelled(folder / "a.jsonl", OPTIONS)


def through_parquet(folder: Path, texts: Texts, labels: Labels) -> Dataset:
    table = pyarrow.table({"text": pyarrow.array(texts, pyarrow.string()), "label": pyarrow.array(labels)})
    parquet.write_table(table, folder / "a.parquet")
    return read_labelled(folder / "a.parquet", OPTIONS)


def through_pandas(_: Path, texts: Texts, labels: Labels) -> Dataset:
    return as_dataset(pandas.DataFrame({"text": texts, "label": labels}), OPTIONS)


def through_polars(_: Path, texts: Texts, labels: Labels) -> Dataset:
    return as_dataset(polars.DataFrame({"text": texts, "label": labels}), OPTIONS)


def through_mappings(_: Path, texts: Texts, labels: Labels) -> Dataset:
    return as_dataset([{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)], OPTIONS)


READERS: list[Callable[[Path, Texts, Labels], Dataset]] = [
    through_csv, through_tsv, through_json, through_parquet, through_pandas, through_polars,
]  # fmt: skip


def contents(read: Callable[[Path, Texts, Labels], Dataset], folder: Path, table: tuple[Texts, Labels]) -> Any:
    """Return the texts, labels and number of bad rows that a reader gives, or the code of its error."""
    try:
        dataset = read(folder, *table)
    except DataError as error:
        return error.code
    return dataset.texts, dataset.labels, len(dataset.bad_rows)


@one_folder
@given(table=tables())
def test_every_reader_gives_the_same_dataset(tmp_path: Path, table: tuple[Texts, Labels]) -> None:
    expected = contents(through_json, tmp_path, table)
    for reader in READERS:
        assert contents(reader, tmp_path, table) == expected
    if expected != "numeric-text":  # rows in memory have no other column to choose
        assert contents(through_mappings, tmp_path, table) == expected


dialects = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(",;\t|"),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC, csv.QUOTE_NONE]),
        "quotechar": st.sampled_from("\"'"),
        "doublequote": st.booleans(),
        "escapechar": st.just("\\"),
        "lineterminator": st.sampled_from(["\n", "\r\n"]),
    }
)


@one_folder
@given(
    rows=st.lists(st.tuples(texts.filter(str.strip), st.sampled_from(["pos", "neg"])), min_size=1, max_size=12),
    dialect=dialects,
    extension=st.sampled_from([".csv", ".tsv"]),
)
def test_no_dialect_changes_a_table_without_a_note(
    tmp_path: Path, rows: list[tuple[str, str]], dialect: dict[str, Any], extension: str
) -> None:
    texts, labels = [text for text, _ in rows], [label for _, label in rows]
    path = write_delimited(tmp_path / f"a{extension}", [*texts], labels, **dialect)
    try:
        dataset = read_labelled(path, ReadOptions())
    except DataError:
        return
    is_equal = (dataset.texts, dataset.labels) == (texts, labels)
    assert is_equal or dataset.bad_rows or DOUBTS & {note.code for note in dataset.notes}
