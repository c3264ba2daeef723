"""Reading records from a file or a folder, whose name tells its format."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from fastlstm.errors import DataError, OptionError
from fastlstm.records.checks import Rows, collect
from fastlstm.records.fasttext import fasttext_rows
from fastlstm.records.files import readable
from fastlstm.records.folders import folder_rows
from fastlstm.records.record import Records
from fastlstm.records.tables import csv_rows, jsonl_rows, parquet_rows

TABLES: dict[str, Callable[[Path, str, str, str | None], Rows]] = {
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


def read_records(
    path: str | os.PathLike[str], *, text_column: str = "text", label_column: str = "label"
) -> Records:
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
    with readable(source):
        if not path.exists():
            raise DataError(f"there is no file or folder {str(path)!r}; expected {_KNOWN}; check the path")
        if path.is_dir():
            return _collected(folder_rows(path, source), source, unit="file")
        ending = ending_of(path)
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


def ending_of(path: Path) -> str:
    """The ending that tells the format, in lower case and without .gz where that may follow it."""
    name = path.name.lower()
    ending = Path(name.removesuffix(".gz")).suffix
    return ending if ending != ".parquet" or name.endswith(ending) else ".parquet.gz"


def _collected(rows: Rows, source: str, *, unit: str, has_columns: bool = False) -> Records:
    with closing(rows):  # the file, too, where a bad row ends the reading
        return collect(rows, source, unit=unit, has_columns=has_columns)
