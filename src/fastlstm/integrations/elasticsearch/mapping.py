"""Fields of a mapping, and their Arrow types."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fastlstm.errors import OptionError

if TYPE_CHECKING:
    import pyarrow

ID_COLUMN = "_id"
"""The column of the ids of documents. It is never a field."""
TEXT_TYPES = ("text", "match_only_text")
ARROW_TYPES = {
    **dict.fromkeys((*TEXT_TYPES, "keyword", "constant_keyword", "wildcard", "ip", "version"), "string"),
    **dict.fromkeys(("date", "date_nanos"), "string"),
    **dict.fromkeys(("long", "integer", "short", "byte"), "int64"),
    **dict.fromkeys(("double", "float", "half_float", "scaled_float"), "double"),
    "unsigned_long": "uint64",
    "boolean": "bool",
}
"""Type of a field -> type of the column that a source reads. Fields of other types are not read."""
FIELD_TYPES = {
    **dict.fromkeys(("string", "large_string", "string_view", "null"), "text"),
    **dict.fromkeys(("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"), "long"),
    **dict.fromkeys(("halffloat", "float"), "float"),
    **dict.fromkeys(("date32[day]", "date64[ms]"), "date"),
    **dict.fromkeys(("binary", "large_binary"), "binary"),
    "uint64": "unsigned_long",
    "double": "double",
    "bool": "boolean",
}
"""Type of a column -> type of the field that a sink creates."""
Field = Mapping[str, Any]
"""The mapping of a field."""


def indexed_fields(mappings: Mapping[str, Any]) -> Iterator[tuple[str, Field]]:
    """Yield the path and the mapping of each field that contains values, in each index of a response."""
    for index in mappings.values():
        yield from flat_fields(index["mappings"].get("properties", {}))


def flat_fields(properties: Mapping[str, Field], prefix: str = "") -> Iterator[tuple[str, Field]]:
    """Yield the path, after `prefix`, and the mapping of each field that contains values, also inside objects."""
    for name, field in properties.items():
        if "type" not in field and "properties" in field:
            yield from flat_fields(field["properties"], f"{prefix}{name}.")
        else:
            yield prefix + name, field


def arrow_type(field: Field) -> str | None:
    """Return the type of the column of a field; None if it is not read."""
    return ARROW_TYPES.get(str(field.get("type")))


def new_field(column: pyarrow.Field, keywords: Collection[str]) -> Field:
    """Return the mapping of a column. Strings are keywords if they are named so, otherwise texts.

    Raises:
        OptionError: An index has no field for the type of the column.
    """
    from pyarrow import types

    kind = column.type
    while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        kind = kind.value_type  # each field may have several values
    if types.is_struct(kind):
        return {"properties": {child.name: new_field(child, keywords) for child in kind}}
    if types.is_dictionary(kind):
        return {"type": "keyword"}
    if types.is_decimal(kind):
        return {"type": "double"}
    if types.is_timestamp(kind):
        return {"type": "date"}
    field_type = FIELD_TYPES.get(str(kind))
    if field_type is None:
        raise OptionError(
            f"column {column.name!r} has the type {column.type}, which an index cannot contain; convert or remove it",
            code="unsupported-column",
            column=column.name,
            type=str(column.type),
        )
    if field_type != "text":
        return {"type": field_type}
    if column.name in keywords:
        return {"type": "keyword"}
    return {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}
