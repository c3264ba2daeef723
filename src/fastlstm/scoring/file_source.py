"""Rows of files: Parquet, CSV, TSV and JSON Lines, single or partitioned, on any filesystem."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING

from fastlstm.data.options import BadRow, ReadOptions
from fastlstm.data.readers.columns import column_index, column_list
from fastlstm.data.readers.encodings import encoding_notes, with_proposals
from fastlstm.data.readers.files import wrap_read_errors
from fastlstm.errors import DataError, OptionError, ResumeError
from fastlstm.notes import Note
from fastlstm.scoring.file_readers import DelimitedReader, FileReader, JSONLinesReader, ParquetReader
from fastlstm.scoring.interfaces import Chunk, Position
from fastlstm.scoring.locations import DataFile, Location, data_files

if TYPE_CHECKING:
    import pyarrow


class FileSource:
    """The rows of a file or of all files of a folder.

    Args:
        location: The file or folder.
        text_columns: Columns that must exist.
        columns: Other columns to read. None: all.
        options: How text files are read.

    Raises:
        DataError: There are no files, a column is missing, or the first file cannot be read.
    """

    def __init__(
        self, location: Location, text_columns: Sequence[str], columns: Sequence[str] | None, options: ReadOptions
    ) -> None:
        self.name, self.identity = location.name, location.identity
        self.notes: list[Note] = []
        self._options = options
        self._wanted = None if columns is None else list(dict.fromkeys((*columns, *text_columns)))
        self._files = data_files(location)
        self._bytes = sum(file.size for file in self._files)
        first = self._files[0]
        _require_effect(first, options)
        with wrap_read_errors(self.name):
            reader = self._reader(first, None)
            self.notes.extend(reader.notes)
        self._file_schema = reader.schema
        schema = _with_partition(reader.schema, first)
        for column in schema.names:
            column_index(column, schema.names, self.name, "columns")  # raises for repeated names
        for column in (*text_columns, *(columns or ())):
            argument = "text_column" if column in text_columns else "columns"
            column_index(column, schema.names, self.name, argument)
        self.schema = schema if self._wanted is None else _select(schema, self._wanted)

    def _reader(self, file: DataFile, schema: pyarrow.Schema | None) -> FileReader:
        if file.extension == ".parquet":
            return ParquetReader(file, self._wanted)
        if file.extension in (".jsonl", ".ndjson"):
            return JSONLinesReader(file, self._options, self._wanted, schema)
        try:
            return DelimitedReader(file, self._options)
        except DataError as error:
            if error.code != "not-utf8" or self._options.encoding is not None:
                raise
            raise with_proposals(error, file) from None

    def chunks(self, position: Position | None) -> Generator[Chunk, None, None]:
        """See `Source.chunks`.

        Raises:
            DataError: A file cannot be read, or has other columns than the first one.
            ResumeError: The files are not those that `position` belongs to.
        """
        listing = {"files": len(self._files), "digest": self._listing_digest()}
        start_file, start_offset = "", 0
        if position is not None:
            if {name: position[name] for name in listing} != listing:
                raise ResumeError(
                    f"the files of {self.name} have changed since the run began (then {position['files']:,} files, now "
                    f"{len(self._files):,}; their names, sizes and times must be equal); start again with `overwrite`",
                    code="source-changed",
                    source=self.name,
                )
            start_file, start_offset = position["file"], position["offset"]
        bytes_before = 0
        for file in self._files:
            if file.relative >= start_file:
                with wrap_read_errors(file.location.name):
                    reader = self._reader(file, self._file_schema)
                    for chunk in reader.chunks(start_offset if file.relative == start_file else 0):
                        self._note_encoding(file, chunk.bad_rows)
                        yield Chunk(
                            self._with_schema(chunk.batch, file),
                            {**listing, "file": file.relative, "offset": chunk.offset},
                            chunk.bad_rows,
                            (bytes_before + chunk.fraction * file.size) / max(self._bytes, 1),
                        )
            bytes_before += file.size

    def _listing_digest(self) -> str:
        """Return a digest of the names, sizes and modification times of all files."""
        listing = [(file.relative, file.size, file.modified) for file in self._files]
        return hashlib.sha256(json.dumps(listing).encode()).hexdigest()[:16]

    def _note_encoding(self, file: DataFile, bad_rows: Sequence[BadRow]) -> None:
        """Append a note, once, with the encodings that a text file may have."""
        is_noted = any(note.code == "encoding-proposed" for note in self.notes)
        if is_noted or self._options.encoding is not None or file.extension == ".parquet":
            return
        if any(row.code == "not-utf8" for row in bad_rows):
            self.notes.extend(encoding_notes(file, file.relative))

    def _with_schema(self, batch: pyarrow.RecordBatch, file: DataFile) -> pyarrow.RecordBatch:
        """Return a batch with the columns of the schema, in its order and types."""
        import pyarrow
        from pyarrow import types

        known = {*self.schema.names, *file.partition}
        added = [] if self._wanted is not None else [name for name in batch.schema.names if name not in known]
        arrays = []
        for field in self.schema:
            if field.name in file.partition:
                value = pyarrow.scalar(file.partition[field.name], pyarrow.string())
                arrays.append(pyarrow.repeat(value, batch.num_rows))
                continue
            index = batch.schema.get_field_index(field.name)
            try:
                if added:
                    raise KeyError(f"it has another column {added[0]!r}")
                if index < 0:
                    raise KeyError(f"no column {field.name!r} (columns: {column_list(batch.schema.names)})")
                if types.is_float64(batch.column(index).type) and types.is_float32(field.type):
                    raise KeyError(f"column {field.name!r} is double, not float")
                arrays.append(batch.column(index).cast(field.type))
            except (KeyError, pyarrow.ArrowException) as error:
                reason = error.args[0]
                raise DataError(
                    f"{file.location.name} does not fit the first file of {self.name}: {reason}; expected the same "
                    "columns and types",
                    code="other-columns",
                    source=file.location.name,
                    reason=reason,
                ) from None
        return pyarrow.RecordBatch.from_arrays(arrays, schema=self.schema)


def _require_effect(file: DataFile, options: ReadOptions) -> None:
    """Raise `OptionError` if options are given that do not apply to the format of the files."""
    dialect = ("delimiter", "quoting")
    unused = {".parquet": (*dialect, "encoding"), ".jsonl": dialect, ".ndjson": dialect}
    for option in unused.get(file.extension, ()):
        if getattr(options, option) is not None:
            raise OptionError(
                f"`{option}` does not apply to {file.extension} files; remove it",
                code="conflicting-options",
                options=("source", option),
            )


def _with_partition(schema: pyarrow.Schema, file: DataFile) -> pyarrow.Schema:
    """Return the schema of a file with the columns of its folders, which are strings."""
    import pyarrow

    fields = [field for field in schema if field.name not in file.partition]
    return pyarrow.schema([*fields, *(pyarrow.field(name, pyarrow.string()) for name in file.partition)])


def _select(schema: pyarrow.Schema, names: Iterable[str]) -> pyarrow.Schema:
    import pyarrow

    return pyarrow.schema([schema.field(name) for name in names])
