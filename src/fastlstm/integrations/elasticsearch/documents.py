"""Rows as documents, and documents as rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastlstm.data.validation import excerpt

INTEGERS = {"int64": range(-(1 << 63), 1 << 63), "uint64": range(1 << 64)}
"""Arrow type -> the integers of this type."""


def nested(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with the value of `a.b` as `b` of the object `a`, as in the document it was read from.

    An update would otherwise add a second field beside that object.
    """
    result: dict[str, Any] = {}
    for name, value in document.items():
        *path, last = name.split(".")
        target = result
        for part in path:
            target = target.setdefault(part, {})
        target[last] = value
    return result


def document_id(key: Sequence[Any]) -> str:
    """Return the id of the document with a key: its value, or a JSON array of several."""
    return str(key[0]) if len(key) == 1 else json.dumps(key, ensure_ascii=False)


def document_excerpt(document: Mapping[str, Any]) -> str:
    """Return the beginning of a document for a bad row."""
    return excerpt(json.dumps(document, ensure_ascii=False))


def field_value(document: Any, path: str) -> Any:
    """Return the value of a field, whose path may be split into objects at each dot; None if there is none."""
    if not isinstance(document, Mapping):
        return document  # a list of objects
    if path in document:
        return document[path]
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        value = document.get(".".join(parts[:length]))
        if value is not None:
            return field_value(value, ".".join(parts[length:]))
    return None


def column_value(value: Any, kind: str, name: str) -> Any:
    """Return the value of a field as one of an Arrow type. Servers convert values in the index, not in the document.

    Args:
        value: A JSON value.
        kind: A value of `ARROW_TYPES`.
        name: The field, for the message.

    Raises:
        ValueError: It is not such a value.
    """
    if isinstance(value, list) and len(value) < 2:
        value = value[0] if value else None
    if value is None:
        return None
    if isinstance(value, list | Mapping):
        raise ValueError(f"the field {name!r} has several values; expected one")  # noqa: TRY004 -- one kind of error
    if kind == "string":
        return value if isinstance(value, str) else json.dumps(value)
    try:
        if kind == "bool":
            return {True: True, False: False, "true": True, "false": False, "": False}[value]
        if kind == "double":
            return float(value)
        if (number := int(value)) in INTEGERS[kind]:
            return number
        raise ValueError(number)
    except (KeyError, ValueError, OverflowError):
        raise ValueError(f"the field {name!r} is {excerpt(str(value))}, which is no {kind}") from None
