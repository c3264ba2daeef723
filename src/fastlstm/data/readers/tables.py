"""Rows of tables: CSV, TSV, JSON Lines and Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastlstm.data.readers.files import open_text
from fastlstm.data.validation import LabelledRows, excerpt, is_unicode
from fastlstm.errors import DataError, MissingDependencyError

if TYPE_CHECKING:
    import pyarrow

_LONGEST_CELL = 2**31 - 1  # the largest limit that the csv module takes on every platform
_ROWS_AT_ONCE = 1024
_MOST_NAMES_SHOWN = 12
_WORDS_OF_A_NAME = 5
"""A name of a column with more words is probably a text."""


def csv_rows(
    path: Path, source: str, text_column: str, label_column: str | None, *, delimiter: str = ","
) -> LabelledRows:
    """The rows below the header line, numbered from 1; blank lines are skipped.
    Without a label column, labels are None.

    Raises `DataError` for a missing column, a row with more or fewer cells than the header,
    and wrong quoting, the last two with the number of the line where the row begins.
    """
    with open_text(path, newline="") as lines:
        rows = _cells(lines, delimiter, source)
        line, header = next(rows, (1, None))
        if header is None:
            return
        if not all(is_unicode(name) for name in header):
            raise DataError(f"line {line} of {source}: the header is not valid UTF-8; save the file as UTF-8")
        text = _position(text_column, header, source, "--text-column")
        label = None if label_column is None else _position(label_column, header, source, "--label-column")
        for number, (line, cells) in enumerate(rows, start=1):
            if len(cells) != len(header):
                raise DataError(
                    f"line {line} of {source}: {len(cells)} cells came, expected {len(header)} "
                    f"({_listed(header)}); quote cells that hold the delimiter or a line break"
                )
            yield number, cells[text], None if label is None else cells[label]


def _cells(lines: Iterable[str], delimiter: str, source: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the number of the line where it begins."""
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(_without_nul(lines, source), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"line {line} of {source}: {error}; expected every quote closed, and doubled inside a quoted cell"
        ) from error


def _without_nul(lines: Iterable[str], source: str) -> Iterator[str]:
    """`lines`; a NUL tells of UTF-16, and only some versions of the csv module object to it."""
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise DataError(f"line {number} of {source} holds a NUL character; expected text saved as UTF-8")
        yield line


def jsonl_rows(path: Path, source: str, text_column: str, label_column: str | None) -> LabelledRows:
    """One row a line, each a JSON object, numbered by line; blank lines are skipped. Labels as `csv_rows` has them.

    Raises `DataError`, with the line's number, for anything else and for a missing key.
    """
    with open_text(path, newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"line {number} of {source}"
            try:
                values = json.loads(line)
            except json.JSONDecodeError as error:
                reason = f"{error.msg}, character {error.pos + 1}"
                raise DataError(f"{where}: invalid JSON ({reason}); expected one object a line") from error
            except (ValueError, RecursionError) as error:  # a number too long, brackets too deep
                raise DataError(f"{where}: invalid JSON ({error}); expected one object a line") from error
            if not isinstance(values, dict):
                raise DataError(f"{where}: {type(values).__name__} came; expected one JSON object a line")
            names = list(values)
            _position(text_column, names, where, "--text-column")
            if label_column is not None:
                _position(label_column, names, where, "--label-column")
            yield number, values[text_column], None if label_column is None else values[label_column]


def parquet_rows(path: Path, source: str, text_column: str, label_column: str | None) -> LabelledRows:
    """The rows of a Parquet file, numbered from 1; no other column is read. Labels as `csv_rows` has them.

    Raises `MissingDependencyError` without pyarrow, `DataError` for a missing column and for
    a file that is not Parquet or damaged.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingDependencyError(f"reading {source}", "pyarrow", "parquet") from None

    with path.open("rb") as file:
        try:
            table = pyarrow.parquet.ParquetFile(file)
            names = table.schema_arrow.names
            _position(text_column, names, source, "--text-column")
            columns = [text_column]
            if label_column is not None:
                _position(label_column, names, source, "--label-column")
                columns.append(label_column)
            number = 0
            for batch in table.iter_batches(_ROWS_AT_ONCE, columns=columns):
                texts = _values(batch.column(text_column))
                labels = [None] * len(texts) if label_column is None else _values(batch.column(label_column))
                for text, label in zip(texts, labels, strict=True):
                    number += 1
                    yield number, text, label
        except (pyarrow.ArrowException, OSError) as error:
            reason = excerpt(" ".join(str(error).split()))
            raise DataError(f"{source} is not an intact Parquet file ({reason}); write it again") from error


def _values(column: pyarrow.Array) -> list[Any]:
    """A column's values; strings that are not UTF-8 come with lone surrogates, as from a text file."""
    import pyarrow

    if pyarrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type)):
        return list(column.to_pylist())
    encoded = column.cast(pyarrow.large_binary()).to_pylist()
    return [value if value is None else value.decode(errors="surrogateescape") for value in encoded]


def _position(name: str, names: Sequence[str], where: str, flag: str) -> int:
    """Where the column `name` stands among `names`."""
    count = names.count(name)
    if count > 1:
        raise DataError(f"column {name!r} is in {where} {count} times; expected once; rename one, or pass {flag}")
    if not count:
        raise DataError(f"column {name!r} not found in {where}; it has: {_listed(names)}; {_advice(names, flag)}")
    return names.index(name)


def _advice(names: Sequence[str], flag: str) -> str:
    """What is probably wrong where a column is not found."""
    parted = [mark for mark in (";", "\t", "|", ",") if len(names) == 1 and mark in names[0]]
    if parted:
        return f"the columns are parted by {parted[0]!r}; expected commas in .csv, tabs in .tsv: save it so"
    if any(len(name.split()) > _WORDS_OF_A_NAME for name in names):
        return "the first line looks like a row, and not like a header; put the columns' names above it"
    return f"pass {flag}"


def _listed(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > _MOST_NAMES_SHOWN else ""
    return ", ".join(excerpt(name) for name in names[:_MOST_NAMES_SHOWN]) + more
