"""Rows of tables as Python and JSON values."""

from __future__ import annotations

import base64
import decimal
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow


def python_rows(table: pyarrow.Table) -> list[dict[str, Any]]:
    """Return rows. Dates and times that Python cannot represent, such as those after year 9999, are strings."""
    import pyarrow
    from pyarrow import types

    columns = []
    for column in table.columns:
        try:
            columns.append(column.to_pylist())
        except (ValueError, OverflowError):
            if not types.is_temporal(column.type):
                raise
            strings = column.cast(pyarrow.string()).to_pylist()
            columns.append([text if text is None else text.replace(" ", "T", 1) for text in strings])
    names = table.column_names
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


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
