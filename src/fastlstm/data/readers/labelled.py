"""Read labelled texts from a file or folder of any supported format."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from fastlstm.data.dataset import Dataset
from fastlstm.data.readers.files import fasttext_rows, folder_rows, read_errors
from fastlstm.data.readers.tables import csv_rows, jsonl_rows, parquet_rows
from fastlstm.data.validation import LabelledRows, collect_dataset
from fastlstm.errors import DataError, OptionError

TABLES: dict[str, Callable[[Path, str, str, str | None], LabelledRows]] = {
    ".csv": csv_rows,
    ".tsv": partial(csv_rows, delimiter="\t"),
    ".jsonl": jsonl_rows,
    ".ndjson": jsonl_rows,
    ".parquet": parquet_rows,
}
"""Ending -> what reads the rows of such a table: all texts, with their labels where a column is named."""
_FASTTEXT = (".txt", ".train", ".valid", ".test")
_KNOWN = (
    ".csv, .tsv, .jsonl, .ndjson, .txt (fastText), each also with .gz, .parquet, "
    "or a folder with one sub-folder a class"
)


def read_dataset(
    path: str | os.PathLike[str], *, text_column: str = "text", label_column: str = "label"
) -> Dataset:
    """The labelled texts of a file or folder, in its order.

    `path` is a CSV or TSV file with a header line, a JSON Lines file, a Parquet file, a fastText
    file (.txt, .train, .valid, .test; `__label__name text`), each but Parquet also gzipped, or a folder with one
    sub-folder a class that holds .txt files. The two columns matter only to tables.
    Raises `DataError` for anything that can't be read as such, with the first bad row's number,
    and `MissingDependencyError` for a Parquet file where pyarrow is not installed.
    """
    if text_column == label_column:
        raise OptionError(
            f"--text-column and --label-column are both {text_column!r}; expected two different columns"
        )
    path = Path(path)
    source = shown_name(path)
    with read_errors(source):
        if not path.exists():
            raise DataError(f"there is no file or folder {str(path)!r}; expected {_KNOWN}; check the path")
        if path.is_dir():
            return _collected(folder_rows(path, source), source, unit="file")
        ending = file_format(path)
        if ending in _FASTTEXT:
            return _collected(fasttext_rows(path, source), source, unit="line")
        if ending in TABLES:
            rows = TABLES[ending](path, source, text_column, label_column)
            unit = "line" if ending in (".jsonl", ".ndjson") else "row"
            return _collected(rows, source, unit=unit, has_columns=True)
    raise DataError(f"{source} has no known ending; expected {_KNOWN}; rename or convert it")


def shown_name(path: Path) -> str:
    """The last part of `path` as messages show it."""
    name = path.name or path.resolve().name or str(path)
    return name if name.isprintable() else repr(name)


def file_format(path: Path) -> str:
    """The ending that tells the format, in lower case and without .gz where that may follow it."""
    name = path.name.lower()
    ending = Path(name.removesuffix(".gz")).suffix
    return ending if ending != ".parquet" or name.endswith(ending) else ".parquet.gz"


def _collected(rows: LabelledRows, source: str, *, unit: str, has_columns: bool = False) -> Dataset:
    with closing(rows):  # the file, too, where a bad row ends the reading
        return collect_dataset(rows, source, unit=unit, has_columns=has_columns)
