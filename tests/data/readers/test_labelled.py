"""Labelled texts from files and folders of every format."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.helpers.files import WriteFile

from fastlstm.data.dataset import Dataset
from fastlstm.data.readers.labelled import read_dataset
from fastlstm.data.validation import normalize_text
from fastlstm.errors import DataError

TEXTS = [
    'Well, "good", they said.',
    "first line\nsecond line\r\nthird",
    "tab\there",
    " größer, 素晴らしい, 😀, e\u0301, \u2028 ",
    "x",
]
LABELS = ["good", "bad", "good", "très bien", "1"]
ONE_LINE_TEXTS = [" ".join(text.split()) for text in TEXTS]


def to_csv(texts: list[str], labels: list[str], delimiter: str = ",") -> str:
    file = io.StringIO(newline="")
    rows = csv.writer(file, delimiter=delimiter)
    rows.writerow(["id", "label", "text"])
    rows.writerows(zip(range(len(texts)), labels, texts, strict=True))
    return file.getvalue()


def to_jsonl(texts: list[str], labels: list[str], *, ascii_only: bool = False) -> str:
    objects = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    return "".join(json.dumps(values, ensure_ascii=ascii_only) + "\n" for values in objects)


def write_parquet(path: Path, columns: dict[str, list[object]]) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), path)


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize(("ending", "delimiter"), [(".csv", ","), (".tsv", "\t"), (".CSV", ",")])
def test_table_texts_are_unchanged(write: WriteFile, ending: str, delimiter: str, packed: str) -> None:
    path = write(f"reviews{ending}{packed}", to_csv(TEXTS, LABELS, delimiter))
    assert read_dataset(path) == Dataset(TEXTS, LABELS, path.name)


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("ending", [".jsonl", ".ndjson"])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_json_lines_texts_are_unchanged(write: WriteFile, ending: str, packed: str, ascii_only: bool) -> None:
    path = write(f"reviews{ending}{packed}", to_jsonl(TEXTS, LABELS, ascii_only=ascii_only))
    assert read_dataset(path) == Dataset(TEXTS, LABELS, path.name)


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_fasttext_texts_are_unchanged(write: WriteFile, packed: str) -> None:
    labels = [label.replace(" ", "_") for label in LABELS]
    lines = [f"__label__{label} {text}\n" for label, text in zip(labels, ONE_LINE_TEXTS, strict=True)]
    path = write(f"reviews.txt{packed}", "".join(lines))
    assert read_dataset(path) == Dataset(ONE_LINE_TEXTS, labels, path.name)


def test_parquet_texts_are_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "reviews.parquet"
    write_parquet(path, {"id": [*range(5)], "text": [*TEXTS], "label": [*LABELS]})
    assert read_dataset(path) == Dataset(TEXTS, LABELS, "reviews.parquet")


def test_parquet_labels_may_be_dictionaries_or_numbers(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    path = tmp_path / "reviews.parquet"
    names = pyarrow.array(["a", "b", "a"]).dictionary_encode()
    write_parquet(path, {"text": ["x", "y", "z"], "name": names, "stars": [1.0, 2.0, 1.0]})
    assert read_dataset(path, label_column="name").labels == ["a", "b", "a"]
    assert read_dataset(path, label_column="stars").labels == ["1", "2", "1"]


def test_all_rows_of_a_long_parquet_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "reviews.parquet"
    texts = [f"review {number}" for number in range(3000)]
    write_parquet(path, {"text": [*texts], "label": [True, False] * 1500})
    assert read_dataset(path) == Dataset(texts, ["true", "false"] * 1500, "reviews.parquet")


def test_folder_files_are_sorted_and_labelled_by_their_folder(write: WriteFile) -> None:
    for number, text in enumerate(TEXTS):
        write(f"reviews/good/{number}.txt", text)
    write("reviews/bad/b.txt.gz", "packed,\nbad")
    write("reviews/bad/a.txt", "bad")
    write("reviews/bad/notes.md", "ignored")
    write("reviews/bad/._a.txt", "ignored")
    write("reviews/.cache/x.txt", "ignored")
    path = write("reviews/readme.txt", "ignored").parent
    expected = Dataset(["bad", "packed,\nbad", *TEXTS], ["bad"] * 2 + ["good"] * 5, "reviews")
    assert read_dataset(path) == expected


def test_columns_are_selected_by_name(write: WriteFile) -> None:
    path = write("reviews.csv", "a,b,c\nwords,2,3\n")
    assert read_dataset(path, text_column="a", label_column="c") == Dataset(["words"], ["3"], "reviews.csv")


def test_path_may_be_a_string(write: WriteFile) -> None:
    assert len(read_dataset(str(write("reviews.csv", "text,label\nwords,x\n")))) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("reviews.csv", "text,label\nwords,x\n"),
        ("reviews.csv.gz", "text,label\nwords,x\n"),
        ("reviews.jsonl", '{"text": "words", "label": "x"}'),
        ("reviews.txt", "__label__x words"),
    ],
)
def test_byte_order_mark_is_dropped(write: WriteFile, name: str, content: str) -> None:
    assert read_dataset(write(name, "\ufeff" + content)) == Dataset(["words"], ["x"], name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("reviews.csv", "\ntext,label\r\n\r\nwords,x\r\n\r\n"),
        ("reviews.jsonl", '\r\n{"text": "words", "label": "x"}\r\n  \n'),
        ("reviews.txt", "\n  __label__x\twords \r\n\n"),
    ],
)
def test_blank_lines_and_line_endings_of_any_kind_are_skipped(write: WriteFile, name: str, content: str) -> None:
    assert read_dataset(write(name, content)) == Dataset(["words"], ["x"], name)


def test_cell_may_exceed_the_default_limit_of_the_csv_module(write: WriteFile) -> None:
    text = "word " * 100_000
    assert read_dataset(write("reviews.csv", f"text,label\n{text},x\n")).texts == [text]


def is_valid_text(text: str) -> bool:
    try:
        normalize_text(text)
    except DataError:
        return False
    return True


rows = st.lists(
    st.tuples(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).filter(
            is_valid_text
        ),
        st.sampled_from(["good", "bad, or so", '"', "1"]),
    ),
    min_size=1,
    max_size=8,
)
WORDS = ("some words", "good")
"""A row of every table: a column of numbers alone is no column of texts."""
one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@one_folder
@given(rows=rows)
def test_csv_round_trips_any_text(write: WriteFile, rows: list[tuple[str, str]]) -> None:
    texts, labels = [text for text, _ in [*rows, WORDS]], [label for _, label in [*rows, WORDS]]
    dataset = read_dataset(write("any.csv", to_csv(texts, labels)))
    is_doubtful = any(note.code == "doubtful-quoting" for note in dataset.notes)
    assert dataset == Dataset(texts, labels, "any.csv") or is_doubtful


@one_folder
@given(rows=rows, ascii_only=st.booleans())
def test_json_lines_round_trip_any_text(write: WriteFile, rows: list[tuple[str, str]], ascii_only: bool) -> None:
    texts, labels = [text for text, _ in [*rows, WORDS]], [label for _, label in [*rows, WORDS]]
    path = write("any.jsonl", to_jsonl(texts, labels, ascii_only=ascii_only))
    assert read_dataset(path) == Dataset(texts, labels, "any.jsonl")
