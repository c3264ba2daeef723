"""Rows of tables with named columns: CSV, TSV, JSON Lines and Parquet files."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlstm.data.options import BadRow, ReadOptions
from fastlstm.data.readers.columns import (
    column_index,
    column_list,
    label_column_indices,
    require_probability_columns,
)
from fastlstm.data.readers.delimited import DelimitedFile
from fastlstm.data.readers.encodings import open_text
from fastlstm.data.validation import Rows, excerpt
from fastlstm.errors import DataError, MissingDependencyError

if TYPE_CHECKING:
    import pyarrow

ROWS_PER_BATCH = 1024
"""Rows of a Parquet file in memory at a time."""


def delimited_rows(path: Path, source: str, options: ReadOptions, *, labelled: bool, extension: str) -> Rows:
    """Yield the rows of a CSV or TSV file. See `DelimitedFile.rows`."""
    return DelimitedFile(path, source, extension, options, labelled=labelled).rows()


def jsonl_rows(path: Path, source: str, options: ReadOptions, *, labelled: bool) -> Rows:
    """Yield one row per line, located by line number. Blank lines are skipped.

    A line that is not a JSON object, or that lacks a key, is a bad row. Labels are None if `labelled` is false.
    """
    wanted = [options.text_column]
    if labelled and not options.reads_probabilities:
        wanted.append(options.label_column)
    keys: dict[str, None] = {}
    with open_text(path, None, options.encoding) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.lstrip("\ufeff"))
            except json.JSONDecodeError as error:
                reason = f"invalid JSON ({error.msg}, character {error.pos + 1}); expected one JSON object per line"
                yield BadRow(source, number, "bad-json-line", reason, excerpt(line))
                continue
            except (ValueError, RecursionError) as error:  # a number with too many digits; nesting too deep
                yield BadRow(source, number, "bad-json-line", f"invalid JSON ({error})", excerpt(line))
                continue
            if not isinstance(row, dict):
                reason = f"a JSON {type(row).__name__}; expected one JSON object per line"
                yield BadRow(source, number, "bad-json-line", reason, excerpt(line))
                continue
            keys |= dict.fromkeys(row)
            missing = [name for name in wanted if name not in row]
            if missing:
                reason = f"no key {missing[0]!r} (keys: {column_list(list(row))})"
                yield BadRow(source, number, "missing-column", reason, excerpt(line))
                continue
            yield number, row[options.text_column], options.label_of(row) if labelled else None
    if labelled:
        require_probability_columns(keys, source, options)
    return ()


def parquet_rows(path: Path, source: str, options: ReadOptions, *, labelled: bool) -> Rows:
    """Yield the rows of a Parquet file, numbered from 1. Only the columns that are needed are read.

    Labels are None if `labelled` is false.

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
            column_index(options.text_column, columns, source, "text_column")
            selected = [options.text_column]
            if labelled:
                selected += label_column_indices(columns, source, options)
            number = 0
            for batch in table.iter_batches(ROWS_PER_BATCH, columns=selected):
                cells = {name: arrow_values(batch.column(name)) for name in selected}
                texts = cells[options.text_column]
                labels = options.labels_of(cells) if labelled else [None] * len(texts)
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
    return ()


TABLE_READERS: dict[str, Callable[..., Rows]] = {
    ".csv": partial(delimited_rows, extension=".csv"),
    ".tsv": partial(delimited_rows, extension=".tsv"),
    ".jsonl": jsonl_rows,
    ".ndjson": jsonl_rows,
    ".parquet": parquet_rows,
}
"""File extension -> reader, called with the path, its name in messages, the options, and `labelled`."""


def row_unit(extension: str) -> str:
    """Return the unit in which rows of such a table are numbered, for use in messages: "line" or "row"."""
    return "row" if extension == ".parquet" else "line"


def arrow_values(column: pyarrow.Array) -> list[Any]:
    """Return the values of a column. Strings that are not UTF-8 contain lone surrogates, as from a text file."""
    import pyarrow

    if pyarrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.type in (pyarrow.float16(), pyarrow.float32()):  # 0.1, not 0.10000000149
        return [None if number is None else float(str(np.float32(number))) for number in column.to_pylist()]
    if not (pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type)):
        return list(column.to_pylist())
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        encoded = column.cast(pyarrow.large_binary()).to_pylist()
        return [value if value is None else value.decode(errors="surrogateescape") for value in encoded]
