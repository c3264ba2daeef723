"""Columns of tables by name, with the reason if one is not found."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fastlstm.data.options import ReadOptions
from fastlstm.data.validation import excerpt
from fastlstm.errors import DataError

MAX_COLUMNS_SHOWN = 12
MAX_COLUMN_NAME_WORDS = 5
"""A column name with more words is probably a text: the file has no header."""


def column_index(column: str, columns: Sequence[str], source: str, argument: str) -> int:
    """Return the index of a column.

    Args:
        column: Its name.
        columns: The names of all columns.
        source: The table, for messages.
        argument: The Python argument that chooses the column.

    Raises:
        DataError: There is no such column, or several.
    """
    count = columns.count(column)
    if count == 1:
        return columns.index(column)
    values = {"column": column, "columns": list(columns), "source": source}
    if count > 1:
        raise DataError(
            f"{source} has {count} columns named {column!r}; rename one, or pass `{argument}`",
            code="duplicate-column",
            **values,
        )
    delimiters = [mark for mark in (";", "\t", "|", ",") if len(columns) == 1 and mark in columns[0]]
    if delimiters:
        code = "wrong-delimiter"
        hint = f"the delimiter seems to be {delimiters[0]!r}: pass it as `delimiter`"
    elif any(len(name.split()) > MAX_COLUMN_NAME_WORDS for name in columns):
        code, hint = "missing-header", "the file seems to have no header: insert a line with the column names"
    else:
        similar = [name for name in columns if name.strip().casefold() == column.casefold()]
        code, hint = "missing-column", f"pass `{argument}`" + (f" as {similar[0]!r}" if similar else "")
    raise DataError(
        f"column {column!r} not found in {source} (columns: {column_list(columns)}); {hint}", code=code, **values
    )


def label_column_indices(columns: Sequence[str], source: str, options: ReadOptions) -> dict[str, int]:
    """Return the index of each column with labels or probabilities; the columns that a table may lack can be absent.

    Raises:
        DataError: As `column_index`, or all of them are absent.
    """
    wanted = [n for n in options.label_columns if n in columns or n not in options.optional_columns]
    return {
        name: column_index(name, columns, source, _argument(name, options))
        for name in wanted or [options.label_column]
    }


def require_probability_columns(found: Collection[str], source: str, options: ReadOptions) -> None:
    """Raise `DataError` if probabilities are requested, and no row has a key of theirs.

    Args:
        found: The keys of all rows.
        source: The rows, for messages.
        options: The names of the columns.
    """
    wanted = [name for name in options.label_columns if name != options.label_column]
    if options.needs_probabilities and found and not any(name in found for name in wanted):
        raise DataError(
            f"no row of {source} has the key {' or '.join(map(repr, wanted))} (keys: {column_list(list(found))}); pass "
            "a key whose values are probabilities as `probability_columns`, or one whose values map classes to "
            "probabilities as `probability_column`",
            code="no-probabilities",
            source=source,
            columns=list(found),
        )


def _argument(column: str, options: ReadOptions) -> str:
    """Return the Python argument that chooses a column of labels or probabilities."""
    if column == options.label_column:
        return "label_column"
    return "probability_column" if column == options.probability_column else "probability_columns"


def column_list(columns: Sequence[str]) -> str:
    """Return the names of columns for a message; of many, the first."""
    more = ", ..." if len(columns) > MAX_COLUMNS_SHOWN else ""
    return ", ".join(excerpt(column) for column in columns[:MAX_COLUMNS_SHOWN]) + more
