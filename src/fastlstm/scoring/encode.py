"""Tables as the bytes of Parquet, CSV, TSV and JSON Lines files."""

from __future__ import annotations

import base64
import gzip
import json
import math
from typing import TYPE_CHECKING, Any, cast

from fastlstm.errors import OptionError

if TYPE_CHECKING:
    import pyarrow

OUTPUT_FORMATS = ("parquet", "csv", "tsv", "jsonl")
COMPRESSION = "zstd"
DELIMITERS = {"csv": ",", "tsv": "\t"}


def check_types(schema: pyarrow.Schema, file_format: str) -> None:
    """Raise `OptionError` if a column cannot be written in a format."""
    from pyarrow import types

    if file_format not in DELIMITERS:
        return
    for field in schema:
        if types.is_nested(field.type) or types.is_binary(field.type) or types.is_large_binary(field.type):
            raise OptionError(
                f"column {field.name!r} is {field.type}, which a {file_format.upper()} file cannot contain; write "
                "Parquet or JSON Lines, or pass `columns` without it",
                code="nested-column",
                column=field.name,
            )


def encode(table: pyarrow.Table, file_format: str, *, header: bool = True, compress: bool = False) -> bytes:
    """Return the content of a file.

    Args:
        table: The rows.
        file_format: One of `OUTPUT_FORMATS`.
        header: Whether a CSV or TSV file begins with the column names.
        compress: Whether to compress text with gzip. Such contents can be concatenated.
    """
    import pyarrow

    if file_format == "jsonl":
        content = "".join(_json_line(row) for row in python_values(table)).encode()
    else:
        stream = pyarrow.BufferOutputStream()
        if file_format == "parquet":
            from pyarrow import parquet

            parquet.write_table(table, stream, compression=COMPRESSION)
        else:
            from pyarrow import csv

            options = csv.WriteOptions(include_header=header, delimiter=DELIMITERS[file_format])
            csv.write_csv(table, stream, options)
        content = cast(bytes, stream.getvalue().to_pybytes())
    return gzip.compress(content, compresslevel=6, mtime=0) if compress else content


def python_values(table: pyarrow.Table) -> list[dict[str, Any]]:
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


def _json_line(row: dict[str, Any]) -> str:
    return json.dumps(_json_value(row), ensure_ascii=False, default=_json_text) + "\n"


def _json_value(value: Any) -> Any:
    """Return a value without NaN and infinity, which JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(name): _json_value(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    return value


def _json_text(value: Any) -> str:
    """Return a value of another type as text: dates in ISO 8601, bytes in Base64."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)
