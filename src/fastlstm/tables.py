"""Tables in memory, without their libraries: pandas, Polars, PyArrow, Hugging Face datasets, mappings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def column_keys(table: Any) -> Sequence[Any] | None:
    """Return the keys of the columns of a table or mapping, usually strings; None for anything else."""
    if isinstance(table, Mapping):
        return list(table)
    kind = type(table)
    # Attributes of the class: reading `columns` of a lazy table would compute it.
    if hasattr(kind, "collect_schema") and hasattr(kind, "collect"):
        return list(table.collect_schema().names())
    for attribute in ("column_names", "columns"):  # PyArrow and Hugging Face; pandas and Polars
        if hasattr(kind, attribute) or attribute in getattr(table, "__dict__", {}):
            names = getattr(table, attribute)
            if isinstance(names, Iterable):
                return list(names)
    names = getattr(getattr(table, "dtype", None), "names", None)  # a structured array of NumPy
    return None if names is None else list(names)


def column(table: Any, key: Any) -> Any:
    """Return a column of a table by its key. A lazy table is computed."""
    kind = type(table)
    if hasattr(kind, "collect_schema") and hasattr(kind, "collect"):
        return table.select(key).collect()[key]
    return table[key]
