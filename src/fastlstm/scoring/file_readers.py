"""Readers of single files: Parquet, CSV, TSV and JSON Lines, in chunks, from any row on."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from fastlstm.data.labels import is_unicode
from fastlstm.data.options import BadRow, ReadOptions
from fastlstm.data.readers.delimited import DelimitedFile
from fastlstm.data.readers.encodings import open_text
from fastlstm.data.validation import excerpt
from fastlstm.errors import DataError
from fastlstm.notes import Note
from fastlstm.scoring.interfaces import MAX_CHUNK_BYTES, ROWS_PER_CHUNK
from fastlstm.scoring.locations import DataFile

if TYPE_CHECKING:
    import pyarrow

SCHEMA_ROWS = 10_000
"""Rows of a JSON Lines file that determine the columns and their types."""
MAX_DEPTH = 64
"""Arrays and objects of a JSON row may be nested this deeply."""


class FileChunk(NamedTuple):
    """Consecutive rows of one file, bad rows in between, and how far the file is read.

    `offset` is the number of rows of a Parquet file, or the number of the last line of a text file, so far.
    """

    batch: pyarrow.RecordBatch
    bad_rows: Sequence[BadRow]
    offset: int
    fraction: float


class FileReader(Protocol):
    """Reads one file."""

    schema: pyarrow.Schema
    notes: Sequence[Note]

    def chunks(self, start: int) -> Iterator[FileChunk]:
        """Yield the rows after an offset."""
        ...


class ParquetReader:
    """A Parquet file. Row groups before the first row to read are skipped."""

    notes: Sequence[Note] = ()

    def __init__(self, file: DataFile, columns: Sequence[str] | None) -> None:
        import pyarrow
        from pyarrow import parquet

        self._file, self._columns = file, columns
        try:
            self._table = parquet.ParquetFile(file.location.filesystem.open_input_file(file.location.path))
        except pyarrow.ArrowException as error:
            raise self._damaged(error) from error
        schema = self._table.schema_arrow.remove_metadata()
        self.schema = pyarrow.schema([(field.name, _plain_type(field.type)) for field in schema])

    def chunks(self, start: int) -> Iterator[FileChunk]:
        """Yield the rows after the first `start`."""
        import pyarrow

        metadata = self._table.metadata
        offset, group = 0, 0
        while group < metadata.num_row_groups and offset + metadata.row_group(group).num_rows <= start:
            offset += metadata.row_group(group).num_rows
            group += 1
        row_groups = list(range(group, metadata.num_row_groups))
        try:
            for batch in self._table.iter_batches(ROWS_PER_CHUNK, row_groups=row_groups, columns=self._columns):
                skipped = min(max(start - offset, 0), batch.num_rows)
                end = offset + batch.num_rows
                offset += skipped
                for part in _divide(batch.slice(skipped)):
                    valid, bad_rows = _valid_rows(part, self._file.relative, offset)
                    offset += part.num_rows
                    yield FileChunk(valid, bad_rows, offset, offset / metadata.num_rows)
                offset = end
        except (pyarrow.ArrowException, OSError) as error:
            raise self._damaged(error) from error
        finally:
            self._table.close(force=True)

    def _damaged(self, error: Exception) -> DataError:
        reason = excerpt(" ".join(str(error).split()))
        return DataError(
            f"{self._file.location.name} is not a valid Parquet file ({reason}); write the file again",
            code="bad-parquet-file",
            source=self._file.location.name,
            reason=reason,
        )


class DelimitedReader:
    """A CSV or TSV file. All columns are strings, so that values such as 007 stay as they are."""

    def __init__(self, file: DataFile, options: ReadOptions) -> None:
        import pyarrow

        self._file = file
        self._stream = DelimitedFile(file, file.relative, file.extension, options, labelled=False).stream()
        header = [] if self._stream is None else self._stream.header
        self.notes: Sequence[Note] = () if self._stream is None else self._stream.notes
        self.schema = pyarrow.schema([(name, pyarrow.string()) for name in header])

    def chunks(self, start: int) -> Iterator[FileChunk]:
        """Yield the rows after line `start`."""
        if self._stream is not None:
            try:
                yield from _chunks(self._rows(), start, self._file, self._batch)
            finally:
                self._stream.rows.close()

    def _rows(self) -> Iterator[tuple[int, int, Sequence[str] | BadRow]]:
        assert self._stream is not None, "the file is not empty"
        for row in self._stream.rows:
            if isinstance(row, BadRow):
                yield int(row.location), 0, row
                continue
            line, cells = row
            content = "".join(cells)
            if content.isascii() or is_unicode(content):
                yield line, len(content), cells
            else:
                yield line, 0, _not_utf8(self._file.relative, line, " ".join(cells))

    def _batch(
        self, rows: Sequence[Sequence[str]], lines: Sequence[int]
    ) -> tuple[pyarrow.RecordBatch, Sequence[BadRow]]:
        import pyarrow

        del lines
        columns = list(zip(*rows, strict=True)) or [()] * len(self.schema)
        arrays = [pyarrow.array(column, pyarrow.string()) for column in columns]
        return pyarrow.RecordBatch.from_arrays(arrays, schema=self.schema), ()


class JSONLinesReader:
    """A JSON Lines file.

    Args:
        file: The file.
        options: Its encoding.
        columns: The keys to read. None: all; a row with another key than the first rows is then a bad row.
        schema: The columns and types. None: those of the first rows; a column with values of several types is a
            column of strings, with values written as JSON.
    """

    notes: Sequence[Note] = ()

    def __init__(
        self, file: DataFile, options: ReadOptions, columns: Sequence[str] | None, schema: pyarrow.Schema | None
    ) -> None:
        import pyarrow

        self._file, self._encoding, self._columns = file, options.encoding, columns
        self.schema = schema or self._infer_schema()
        self._strings = [field.name for field in self.schema if pyarrow.types.is_string(field.type)]
        self._nested = [field for field in self.schema if pyarrow.types.is_nested(field.type)]

    def _infer_schema(self) -> pyarrow.Schema:
        import pyarrow

        rows: list[dict[str, Any]] = []
        with closing(self._rows()) as lines:
            for _, _, row in lines:
                if isinstance(row, dict):
                    rows.append(row)
                    if len(rows) == SCHEMA_ROWS:
                        break
        fields = []
        for name in dict.fromkeys(name for row in rows for name in row):
            try:
                kind = pyarrow.array([row.get(name) for row in rows]).type
            except (pyarrow.ArrowException, OverflowError):  # values of several types, or of more than 64 bits
                kind = pyarrow.string()
            fields.append((name, kind if _is_storable(kind) else pyarrow.string()))
        return pyarrow.schema(fields)

    def _rows(self) -> Generator[tuple[int, int, dict[str, Any] | BadRow], None, None]:
        with open_text(self._file, None, self._encoding) as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, len(line), self._parse(number, line)

    def _parse(self, number: int, line: str) -> dict[str, Any] | BadRow:
        name = self._file.relative
        if not line.isascii() and not is_unicode(line):
            return _not_utf8(name, number, line)
        row: dict[str, Any] = {}
        problem = None
        try:
            row = json.loads(line.lstrip("\ufeff"))
        except (ValueError, RecursionError) as error:
            problem = f"invalid JSON ({error})"
        else:
            if not isinstance(row, dict):
                problem = f"a JSON {type(row).__name__}"
            elif line.count("[") + line.count("{") > MAX_DEPTH and _depth(row) > MAX_DEPTH:
                problem = f"arrays and objects are nested more than {MAX_DEPTH} times"
            elif "\\u" in line and not is_unicode(json.dumps(row, ensure_ascii=False)):
                problem = "an escape such as \\ud83d is half a character"
        if problem is not None:
            reason = f"{problem}; expected one JSON object per line"
            return BadRow(name, number, "bad-json-line", reason, excerpt(line))
        if self._columns is not None:
            return {column: row[column] for column in self._columns if column in row}
        return row

    def chunks(self, start: int) -> Iterator[FileChunk]:
        """Yield the rows after line `start`."""
        with closing(self._rows()) as rows:
            yield from _chunks(rows, start, self._file, self._batch)

    def _batch(
        self, rows: Sequence[dict[str, Any]], lines: Sequence[int]
    ) -> tuple[pyarrow.RecordBatch, Sequence[BadRow]]:
        import pyarrow

        name = self._file.relative
        bad = []
        numbered = []
        for line, row in zip(lines, rows, strict=True):
            unknown = min(row.keys() - set(self.schema.names), default=None) or self._unknown_nested_key(row)
            if unknown is not None:
                reason = f"key {unknown!r} is not in the first {SCHEMA_ROWS:,} rows; pass `columns` without it"
                bad.append(BadRow(name, line, "unknown-key", reason, excerpt(json.dumps(row, ensure_ascii=False))))
                continue
            for column in self._strings:
                if row.get(column) is not None and not isinstance(row[column], str):
                    row[column] = json.dumps(row[column], ensure_ascii=False)
            numbered.append((line, row))
        try:
            return self._from_rows(row for _, row in numbered), bad
        except (pyarrow.ArrowException, UnicodeError, OverflowError):
            pass
        good = []
        for line, row in numbered:
            try:
                self._from_rows([row])
                good.append(row)
            except (pyarrow.ArrowException, UnicodeError, OverflowError) as error:
                reason = f"{' '.join(str(error).split())}; expected the types of the first rows"
                bad.append(BadRow(name, line, "wrong-type", reason, excerpt(json.dumps(row, ensure_ascii=False))))
        return self._from_rows(good), bad

    def _unknown_nested_key(self, row: dict[str, Any]) -> str | None:
        """Return a key inside a value that the type of its column does not have."""
        keys = (_unknown_key(row.get(field.name), field.type) for field in self._nested)
        return next((key for key in keys if key is not None), None)

    def _from_rows(self, rows: Iterable[dict[str, Any]]) -> pyarrow.RecordBatch:
        import pyarrow

        return pyarrow.RecordBatch.from_pylist(list(rows), schema=self.schema)


def _plain_type(kind: pyarrow.DataType) -> pyarrow.DataType:
    """Return the type that views are converted to, because not all functions of PyArrow know them."""
    import pyarrow

    views = {"string_view": pyarrow.string(), "binary_view": pyarrow.binary()}
    return views.get(str(kind), kind)


def _is_storable(kind: pyarrow.DataType) -> bool:
    """Return whether every format can contain a type: it says what the values are, and has no struct without fields."""
    from pyarrow import types

    if types.is_struct(kind):
        fields = [kind.field(index).type for index in range(kind.num_fields)]
        return bool(fields) and all(types.is_null(field) or _is_storable(field) for field in fields)
    if types.is_list(kind):
        return types.is_null(kind.value_type) or _is_storable(kind.value_type)
    return not types.is_null(kind)


def _unknown_key(value: Any, kind: pyarrow.DataType) -> str | None:
    """Return a key of an object, or of one inside it, that a type does not have; PyArrow would drop it."""
    from pyarrow import types

    if isinstance(value, dict) and types.is_struct(kind):
        fields = {field.name: field.type for field in kind}
        for key, item in value.items():
            unknown = _unknown_key(item, fields[key]) if key in fields else key
            if unknown is not None:
                return unknown
    if isinstance(value, list) and types.is_list(kind):
        return next((key for item in value if (key := _unknown_key(item, kind.value_type)) is not None), None)
    return None


def _depth(value: Any) -> int:
    """Return how deeply arrays and objects of a JSON value are nested."""
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            item
            for container in level
            if isinstance(container, dict | list)
            for item in (container.values() if isinstance(container, dict) else container)
        ]
    return depth - 1


def _chunks(
    rows: Iterable[tuple[int, int, Any]],
    start: int,
    file: DataFile,
    make_batch: Callable[[Sequence[Any], Sequence[int]], tuple[pyarrow.RecordBatch, Sequence[BadRow]]],
) -> Iterator[FileChunk]:
    """Yield rows of a text file in chunks.

    Args:
        rows: The line, the size in characters, and the row or bad row.
        start: The line up to which rows are skipped.
        file: The file.
        make_batch: Returns the batch of rows and their lines, and bad rows among them.
    """
    good: list[Any] = []
    lines: list[int] = []
    bad: list[BadRow] = []
    size, offset = 0, start

    def chunk() -> FileChunk:
        batch, more = make_batch(good, lines)
        return FileChunk(batch, [*bad, *more], offset, file.fraction_read)

    for line, characters, row in rows:
        if line <= start:
            continue
        offset = line
        if isinstance(row, BadRow):
            bad.append(row)
        else:
            good.append(row)
            lines.append(line)
            size += characters
        if len(good) + len(bad) >= ROWS_PER_CHUNK or size >= MAX_CHUNK_BYTES:
            yield chunk()
            good, lines, bad, size = [], [], [], 0
    if good or bad:
        yield chunk()


def _divide(batch: pyarrow.RecordBatch) -> Iterator[pyarrow.RecordBatch]:
    """Yield the rows of a batch in batches of at most `MAX_CHUNK_BYTES`, or of one row."""
    if batch.num_rows > 1 and batch.nbytes > MAX_CHUNK_BYTES:
        half = batch.num_rows // 2
        yield from _divide(batch.slice(0, half))
        yield from _divide(batch.slice(half))
    elif batch.num_rows:
        yield batch


def _valid_rows(
    batch: pyarrow.RecordBatch, source: str, rows_before: int
) -> tuple[pyarrow.RecordBatch, Sequence[BadRow]]:
    """Return the rows whose strings are valid UTF-8, and the other ones."""
    import pyarrow

    try:
        batch.validate(full=True)
        return batch, ()
    except pyarrow.ArrowInvalid:
        pass
    is_valid = [_is_valid(batch.slice(row, 1)) for row in range(batch.num_rows)]
    bad = [
        _not_utf8(source, rows_before + row + 1, "")
        for row, row_is_valid in enumerate(is_valid)
        if not row_is_valid
    ]
    return batch.filter(pyarrow.array(is_valid)), bad


def _is_valid(row: pyarrow.RecordBatch) -> bool:
    import pyarrow

    try:
        row.validate(full=True)
    except pyarrow.ArrowInvalid:
        return False
    return True


def _not_utf8(source: str, location: int, content: str) -> BadRow:
    return BadRow(source, location, "not-utf8", "the row is not valid UTF-8", excerpt(content) if content else "")
