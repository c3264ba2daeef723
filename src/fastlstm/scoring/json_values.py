"""Rows of tables as Python and JSON values."""

from __future__ import annotations

import base64
import decimal
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastlstm.errors import OptionError

if TYPE_CHECKING:
    import pyarrow

UNITS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6}
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
"""The first second of year 1 and the last of year 9999, since 1970."""


def python_rows(table: pyarrow.Table) -> list[dict[str, Any]]:
    """Return rows. Times are cut to microseconds; dates and times outside the years 1 to 9999 are None.

    Raises:
        OptionError: A column contains values that Python cannot represent.
    """
    import pyarrow

    columns = []
    for field, column in zip(table.schema, table.columns, strict=True):
        kind = _without_nanoseconds(field.type)
        try:
            cast = column if kind == field.type else column.cast(kind, safe=False)
            columns.append(python_dates(cast).to_pylist())
        except (ValueError, OverflowError, pyarrow.ArrowException) as error:
            raise OptionError(
                f"column {field.name!r} of type {field.type} contains a value that Python cannot represent ({error}); "
                "pass `columns` without it",
                code="unsupported-column",
                column=field.name,
                type=str(field.type),
            ) from error
    names = table.column_names
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def python_dates(column: pyarrow.ChunkedArray) -> pyarrow.ChunkedArray:
    """Return a column in which dates and times outside the years 1 to 9999 are null."""
    import pyarrow
    from pyarrow import compute, types

    if types.is_timestamp(column.type) and column.type.unit in UNITS_PER_SECOND:
        units = UNITS_PER_SECOND[column.type.unit]
    elif types.is_date(column.type):
        units = UNITS_PER_SECOND["ms"]
        column = column.cast(pyarrow.date64())
    else:
        return column
    numbers = column.cast(pyarrow.int64())
    is_valid = compute.and_(
        compute.greater_equal(numbers, FIRST_SECOND * units), compute.less(numbers, (LAST_SECOND + 1) * units)
    )
    if compute.all(is_valid).as_py() is False:
        column = compute.if_else(is_valid, column, pyarrow.scalar(None, column.type))
    return column


def _without_nanoseconds(kind: pyarrow.DataType) -> pyarrow.DataType:
    """Return a type in which times have microseconds, as those of Python, and dictionaries are decoded."""
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(kind):
        return _without_nanoseconds(kind.value_type)
    if types.is_timestamp(kind) and kind.unit == "ns":
        return pyarrow.timestamp("us", kind.tz)
    if types.is_time64(kind):
        return pyarrow.time64("us")
    if types.is_duration(kind) and kind.unit == "ns":
        return pyarrow.duration("us")
    if types.is_struct(kind):
        return pyarrow.struct([field.with_type(_without_nanoseconds(field.type)) for field in kind])
    if types.is_map(kind):
        return pyarrow.map_(_without_nanoseconds(kind.key_type), _without_nanoseconds(kind.item_type))
    if types.is_list(kind):
        return pyarrow.list_(_without_nanoseconds(kind.value_type))
    if types.is_large_list(kind):
        return pyarrow.large_list(_without_nanoseconds(kind.value_type))
    return kind


def json_rows(table: pyarrow.Table, *, decimals: Callable[[decimal.Decimal], object] = str) -> list[Any]:
    """Return rows as JSON objects. `decimals` converts decimal numbers; other values as `json_value`."""
    return [json_value(row, decimals=decimals) for row in python_rows(table)]


def json_value(value: Any, *, decimals: Callable[[decimal.Decimal], object] = str) -> Any:
    """Return a value as JSON: dates and times in ISO 8601, bytes in Base64, null for NaN and infinity."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): json_value(item, decimals=decimals) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item, decimals=decimals) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, decimal.Decimal):
        return decimals(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
