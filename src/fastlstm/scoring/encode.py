"""Tables as the bytes of Parquet, CSV, TSV and JSON Lines files."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, cast

from fastlstm.errors import OptionError
from fastlstm.scoring.json_values import json_rows, python_dates

if TYPE_CHECKING:
    import pyarrow

OUTPUT_FORMATS = ("parquet", "csv", "tsv", "jsonl")
COMPRESSION = "zstd"
DELIMITERS = {"csv": ",", "tsv": "\t"}


def check_types(schema: pyarrow.Schema, file_format: str) -> None:
    """Raise `OptionError` if a column cannot be written in a format."""
    if file_format not in DELIMITERS:
        return
    for field in schema:
        if not _is_plain(field.type):
            raise OptionError(
                f"column {field.name!r} is {field.type}, which a {file_format.upper()} file cannot contain; write "
                "Parquet or JSON Lines, or pass `columns` without it",
                code="unsupported-column",
                column=field.name,
                type=str(field.type),
            )


def _is_plain(kind: pyarrow.DataType) -> bool:
    """Return whether values of a type can be cells of a text file."""
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    binary = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    if types.is_nested(kind) or any(is_kind(kind) for is_kind in binary):
        return False
    try:
        pyarrow.nulls(1, kind).cast(pyarrow.string())
    except pyarrow.ArrowException:
        return False
    return True


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
        lines = (json.dumps(row, ensure_ascii=False) for row in json_rows(table))
        content = "".join(f"{line}\n" for line in lines).encode()
    else:
        stream = pyarrow.BufferOutputStream()
        if file_format == "parquet":
            from pyarrow import parquet

            parquet.write_table(table, stream, compression=COMPRESSION)
        else:
            from pyarrow import csv

            options = csv.WriteOptions(include_header=header, delimiter=DELIMITERS[file_format])
            columns = [python_dates(column) for column in table.columns]
            csv.write_csv(pyarrow.table(columns, table.column_names), stream, options)
        content = cast(bytes, stream.getvalue().to_pybytes())
    return gzip.compress(content, compresslevel=6, mtime=0) if compress else content
