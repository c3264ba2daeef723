"""Rows of tables: CSV, TSV, JSON Lines and Parquet files."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from fastlstm.data.readers.files import open_text
from fastlstm.data.validation import LabelledRows, excerpt, is_unicode
from fastlstm.errors import DataError, MissingDependencyError

if TYPE_CHECKING:
    import pyarrow

MAX_CELL_LENGTH = 2**31 - 1
"""Characters. The largest limit that the csv module accepts on every platform."""
ROWS_PER_BATCH = 1024
"""Rows of a Parquet file in memory at a time."""
MAX_COLUMNS_SHOWN = 12
MAX_COLUMN_NAME_WORDS = 5
"""A column name with more words is probably a text: the file has no header."""


def csv_rows(
    path: Path, source: str, text_column: str, label_column: str | None, *, delimiter: str = ","
) -> LabelledRows:
    """Yield the rows below the header, numbered from 1. Blank lines are skipped.

    Labels are None if `label_column` is None.

    Raises:
        DataError: A column is missing, a row has more or fewer cells than the header, or invalid quoting.
            The location in the last two is the line number.
    """
    with open_text(path, newline="") as lines:
        rows = _csv_cells(lines, delimiter, source)
        line, header = next(rows, (1, None))
        if header is None:
            return
        if not all(is_unicode(name) for name in header):
            raise DataError(
                f"line {line} of {source}: the header is not valid UTF-8; save the file as UTF-8",
                code="not-utf8",
                source=source,
                location=line,
            )
        text = _column_index(text_column, header, source, "--text-column")
        label = None if label_column is None else _column_index(label_column, header, source, "--label-column")
        for number, (line, cells) in enumerate(rows, start=1):
            if len(cells) != len(header):
                raise DataError(
                    f"line {line} of {source}: {len(cells)} cells; expected {len(header)} "
                    f"({_column_list(header)}); quote cells that contain a delimiter or a line break",
                    code="bad-csv-row",
                    source=source,
                    location=line,
                    cells=len(cells),
                    columns=header,
                )
            yield number, cells[text], None if label is None else cells[label]


def jsonl_rows(path: Path, source: str, text_column: str, label_column: str | None) -> LabelledRows:
    """Yield one row per line, located by line number. Blank lines are skipped.

    Labels are None if `label_column` is None.

    Raises:
        DataError: A line is not a JSON object, or has no such key.
    """

    def reject(number: int, reason: str) -> NoReturn:
        raise DataError(
            f"line {number} of {source}: {reason}; expected one JSON object per line",
            code="bad-json-line",
            source=source,
            location=number,
        )

    with open_text(path, newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                reject(number, f"invalid JSON ({error.msg}, character {error.pos + 1})")
            except (ValueError, RecursionError) as error:  # a number with too many digits; nesting too deep
                reject(number, f"invalid JSON ({error})")
            if not isinstance(row, dict):
                reject(number, f"a JSON {type(row).__name__}")
            columns = list(row)
            _column_index(text_column, columns, source, "--text-column", number)
            if label_column is not None:
                _column_index(label_column, columns, source, "--label-column", number)
            yield number, row[text_column], None if label_column is None else row[label_column]


def parquet_rows(path: Path, source: str, text_column: str, label_column: str | None) -> LabelledRows:
    """Yield the rows of a Parquet file, numbered from 1. Only the two columns are read.

    Labels are None if `label_column` is None.

    Raises:
        MissingDependencyError: pyarrow is not installed.
        DataError: A column is missing, or the file is damaged or not a Parquet file.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingDependencyError(f"reading {source}", "pyarrow", "parquet") from None

    with path.open("rb") as file:
        try:
            table = pyarrow.parquet.ParquetFile(file)
            columns = table.schema_arrow.names
            _column_index(text_column, columns, source, "--text-column")
            selected = [text_column]
            if label_column is not None:
                _column_index(label_column, columns, source, "--label-column")
                selected.append(label_column)
            number = 0
            for batch in table.iter_batches(ROWS_PER_BATCH, columns=selected):
                texts = _column_values(batch.column(text_column))
                labels = [None] * len(texts) if label_column is None else _column_values(batch.column(label_column))
                for text, label in zip(texts, labels, strict=True):
                    number += 1
                    yield number, text, label
        except (pyarrow.ArrowException, OSError) as error:
            reason = excerpt(" ".join(str(error).split()))
            raise DataError(
                f"{source} is not a valid Parquet file ({reason}); write the file again",
                code="bad-parquet-file",
                source=source,
                reason=reason,
            ) from error


TABLE_READERS: dict[str, Callable[[Path, str, str, str | None], LabelledRows]] = {
    ".csv": csv_rows,
    ".tsv": partial(csv_rows, delimiter="\t"),
    ".jsonl": jsonl_rows,
    ".ndjson": jsonl_rows,
    ".parquet": parquet_rows,
}
"""File extension -> reader, called with the path, its name in messages, the text column and the label column."""


def row_unit(extension: str) -> str:
    """Return the unit in which rows of such a table are numbered, for use in messages: "line" or "row"."""
    return "line" if extension in (".jsonl", ".ndjson") else "row"


def _csv_cells(lines: Iterable[str], delimiter: str, source: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, each with the number of its first line."""
    csv.field_size_limit(MAX_CELL_LENGTH)
    reader = csv.reader(_reject_nul(lines, source), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"line {line} of {source}: {error}; close every quote, and double quotes inside a quoted cell",
            code="bad-csv-quoting",
            source=source,
            location=line,
        ) from error


def _reject_nul(lines: Iterable[str], source: str) -> Iterator[str]:
    """Yield `lines`. A NUL character means UTF-16, and only some versions of the csv module reject it."""
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise DataError(
                f"line {number} of {source} contains a NUL character; save the file as UTF-8",
                code="not-utf8",
                source=source,
                location=number,
            )
        yield line


def _column_values(column: pyarrow.Array) -> list[Any]:
    """Return the values of a column. Strings that are not UTF-8 contain lone surrogates, as from a text file."""
    import pyarrow

    if pyarrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type)):
        return list(column.to_pylist())
    encoded = column.cast(pyarrow.large_binary()).to_pylist()
    return [value if value is None else value.decode(errors="surrogateescape") for value in encoded]


def _column_index(column: str, columns: Sequence[str], source: str, option: str, line: int | None = None) -> int:
    """Return the index of `column` in `columns`. `line` is the location of a JSON object."""
    count = columns.count(column)
    if count == 1:
        return columns.index(column)
    where = source if line is None else f"line {line} of {source}"
    values = {"column": column, "columns": list(columns), "source": source, "location": line}
    if count > 1:
        raise DataError(
            f"{where} has {count} columns named {column!r}; rename one, or pass {option}",
            code="duplicate-column",
            **values,
        )
    delimiters = [mark for mark in (";", "\t", "|", ",") if len(columns) == 1 and mark in columns[0]]
    if delimiters:
        code = "wrong-delimiter"
        hint = f"the delimiter seems to be {delimiters[0]!r}: use commas in .csv files and tabs in .tsv files"
    elif any(len(name.split()) > MAX_COLUMN_NAME_WORDS for name in columns):
        code, hint = "missing-header", "the file seems to have no header: insert a line with the column names"
    else:
        code, hint = "missing-column", f"pass {option}"
    raise DataError(
        f"column {column!r} not found in {where} (columns: {_column_list(columns)}); {hint}", code=code, **values
    )


def _column_list(columns: Sequence[str]) -> str:
    more = ", ..." if len(columns) > MAX_COLUMNS_SHOWN else ""
    return ", ".join(excerpt(column) for column in columns[:MAX_COLUMNS_SHOWN]) + more
