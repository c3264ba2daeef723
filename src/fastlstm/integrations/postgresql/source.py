"""Rows of a table or query, as a source of `score` and as training data."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fastlstm.data.options import ReadOptions
from fastlstm.data.readers.columns import column_index, label_column_indices
from fastlstm.data.validation import Rows, excerpt
from fastlstm.errors import DataError, ResumeError
from fastlstm.integrations.postgresql.connection import (
    DatabaseURL,
    column_types,
    connect,
    data_error,
    digest,
    identifiers,
    parse_url,
    quoted,
    relation,
)
from fastlstm.notes import Note
from fastlstm.scoring.interfaces import MAX_CHUNK_BYTES, ROWS_PER_CHUNK, Chunk, Position

if TYPE_CHECKING:
    import psycopg
    import pyarrow
    from psycopg import sql

MAX_COUNT_SECONDS = 5
"""Time for counting rows, which only the progress needs."""
ARROW_TYPES = {
    "bool": "bool",
    "int2": "int16",
    "int4": "int32",
    "int8": "int64",
    "float4": "float32",
    "float8": "float64",
    "bytea": "binary",
    "date": "date32",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
}
"""Type of PostgreSQL -> type of Arrow. Columns of other types are read as text."""
_FINITE = "CASE WHEN {0} >= '0001-01-01 00:00+00' AND {0} < '10000-01-01 00:00+00' THEN {0} END"
"""A date or time; null if Python has no such value: infinity, before the year 1, and after the year 9999."""
SELECTED = {
    **dict.fromkeys(ARROW_TYPES, "{0}"),
    "date": _FINITE,
    "timestamp": _FINITE,
    "timestamptz": f"{_FINITE} AT TIME ZONE 'UTC'",
}
"""Type of PostgreSQL -> what is selected of a column {0}. Columns of other types are cast to text."""


class PostgresSource:
    """The rows of a table or query, read through a server-side cursor.

    Args:
        url: The table or query.
        text_columns: Columns that must exist.
        columns: The columns to read. None: all.
        key: Columns with distinct values, not null, in whose order the rows are read. A run can be resumed only with
            a key. Default: the primary key of a table.

    Raises:
        MissingDependencyError: psycopg is not installed.
        DataError: The server cannot be reached, the query fails, a column is missing, or the key is missing in a row or
            repeated.
    """

    def __init__(
        self, url: DatabaseURL, text_columns: Sequence[str], columns: Sequence[str] | None, key: Sequence[str]
    ) -> None:
        self.name = url.name
        self.identity = url.name if url.query is None else f"{url.name} {digest(url.query)}"
        self.notes: list[Note] = []
        self._url = url
        with connect(url) as connection:
            types = column_types(connection, url)
            self._key = tuple(key) or _primary_key(connection, url)
            names = list(types)
            for column in (*text_columns, *(columns or ()), *self._key):
                argument = "text_column" if column in text_columns else "key" if column in self._key else "columns"
                column_index(column, names, self.name, argument)
            self._types = {name: types[name] for name in (*(columns or names), *text_columns)}
            if key:
                self._require_distinct(connection)
            self._count = _count_rows(connection, url)
        if self._key:
            self.identity += f" by {', '.join(self._key)}"
        self.schema = _arrow_schema(self._types)
        if not self._key:
            self.notes.append(
                Note(f"{self.name} has no `key`: if this run is interrupted, it must start again", "no-key")
            )

    def chunks(self, position: Position | None) -> Generator[Chunk, None, None]:
        """See `Source.chunks`.

        Raises:
            DataError: The query fails, or the key is missing in a row or repeated.
            ResumeError: There is no key.
        """
        if position is not None and not self._key:
            raise ResumeError(
                f"a run of {self.name} without `key` cannot be resumed; start again with `overwrite`",
                code="no-key",
                source=self.name,
            )
        last = None if position is None else position["key"]
        count = 0 if position is None else position["rows"]
        size = ROWS_PER_CHUNK
        with connect(self._url) as connection, connection.cursor("fastlstm") as cursor, self._errors():
            cursor.execute(self._select(last))
            while rows := cursor.fetchmany(size):
                if self._key:
                    last = self._last_key(rows, last)
                count += len(rows)
                batch = _record_batch(rows, self._types, self.schema)
                size = max(1, min(ROWS_PER_CHUNK, len(rows) * MAX_CHUNK_BYTES // max(batch.nbytes, 1)))
                fraction = None if not self._count else min(count / self._count, 1.0)
                yield Chunk(batch, {"key": last, "rows": count}, (), fraction)

    def _require_distinct(self, connection: psycopg.Connection[Any]) -> None:
        """Raise `DataError` if the server finds a key that is missing or repeated, such as the numbers 1.0 and 1.00."""
        from psycopg import sql

        key = [sql.Identifier(name) for name in self._key]
        is_missing = sql.SQL(" OR ").join(sql.SQL("{} IS NULL").format(name) for name in key)
        query = sql.SQL("SELECT {0} FROM {1} GROUP BY {0} HAVING count(*) > 1 OR {2} LIMIT 1").format(
            sql.SQL(", ").join(key), relation(self._url), is_missing
        )
        with self._errors():
            row = connection.execute(query).fetchone()
        if row is not None:
            raise self._bad_key([None if value is None else str(value) for value in row])

    def _bad_key(self, key: Sequence[Any]) -> DataError:
        problem = "missing" if None in key else f"repeated ({excerpt(json.dumps(key))})"
        return DataError(
            f"the key {', '.join(self._key)} of {self.name} is {problem}; expected columns with distinct values that "
            "are not null; pass other columns as `key`",
            code="bad-key",
            key=self._key,
            source=self.name,
        )

    def _select(self, last: Sequence[Any] | None) -> sql.Composed:
        """Return the query for the rows after a key. The last columns are those of the key, as text."""
        from psycopg import sql

        key = [sql.SQL("source.{}").format(sql.Identifier(name)) for name in self._key]
        selected = [
            sql.SQL(SELECTED.get(kind, "{0}::text")).format(sql.SQL("source.{}").format(sql.Identifier(name)))
            for name, kind in self._types.items()
        ]
        selected += [sql.SQL("{}::text").format(column) for column in key]
        query = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(selected), relation(self._url))
        if not self._key:
            return query
        key_columns = sql.SQL(", ").join(key)
        if last is not None:
            values = sql.SQL(", ").join(map(sql.Literal, last))
            query += sql.SQL(" WHERE ({}) > ({})").format(key_columns, values)
        return query + sql.SQL(" ORDER BY {}").format(key_columns)

    def _last_key(self, rows: Sequence[Sequence[Any]], last: Sequence[Any] | None) -> Sequence[Any]:
        """Return the key of the last row, as texts. Raise `DataError` if a key is missing or repeated."""
        previous = last
        for row in rows:
            key = list(row[-len(self._key) :])
            if None in key or key == previous:
                raise self._bad_key(key)
            previous = key
        assert previous is not None, "there are rows"
        return previous

    @contextmanager
    def _errors(self) -> Iterator[None]:
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            raise data_error(self._url, error) from error


def read_rows(url: str, source: str, options: ReadOptions, *, labelled: bool) -> Rows:
    """Yield the rows of a table or query, numbered from 1, as training data.

    Raises:
        MissingDependencyError: psycopg is not installed.
        DataError: The server cannot be reached, the query fails, or a column is missing.
    """
    parsed = parse_url(url)
    with connect(parsed) as connection:
        types = column_types(connection, parsed)
        names = list(types)
        column_index(options.text_column, names, source, "text_column")
        selected = [options.text_column]
        if labelled:
            selected += label_column_indices(names, source, options)
        columns = identifiers(selected)
        import psycopg
        from psycopg import sql

        try:
            with connection.cursor("fastlstm") as cursor:
                query = sql.SQL("SELECT {} FROM {}").format(columns, relation(parsed))
                if key := _primary_key(connection, parsed):  # the same order each time
                    query += sql.SQL(" ORDER BY {}").format(identifiers(key))
                cursor.execute(query)
                for number, row in enumerate(cursor, start=1):
                    cells = dict(zip(selected, row, strict=True))
                    yield number, cells[options.text_column], options.label_of(cells) if labelled else None
        except psycopg.Error as error:
            raise data_error(parsed, error) from error
    return ()


def _primary_key(connection: psycopg.Connection[Any], url: DatabaseURL) -> tuple[str, ...]:
    """Return the columns of the primary key of a table; none for a query."""
    if url.table is None:
        return ()
    rows = connection.execute(
        "SELECT attribute.attname FROM pg_index, unnest(indkey::int2[]) WITH ORDINALITY AS key (number, position), "
        "pg_attribute AS attribute WHERE indrelid = %s::regclass AND indisprimary AND attrelid = indrelid "
        "AND attnum = key.number ORDER BY key.position",
        [quoted(url.table)],
    ).fetchall()
    return tuple(name for (name,) in rows)


def _count_rows(connection: psycopg.Connection[Any], url: DatabaseURL) -> int | None:
    """Return the number of rows; the planner's estimate if counting takes too long; None if there is none."""
    import psycopg
    from psycopg import sql

    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL statement_timeout = {MAX_COUNT_SECONDS * 1000}")
            row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(relation(url))).fetchone()
            return None if row is None else int(row[0])
    except psycopg.Error:
        pass
    try:
        row = connection.execute(sql.SQL("EXPLAIN (FORMAT JSON) SELECT * FROM {}").format(relation(url))).fetchone()
        return None if row is None else int(row[0][0]["Plan"]["Plan Rows"])
    except (psycopg.Error, KeyError, IndexError, TypeError, ValueError):
        return None


def _arrow_schema(types: Mapping[str, str]) -> pyarrow.Schema:
    import pyarrow

    special = {"timestamp": pyarrow.timestamp("us"), "timestamptz": pyarrow.timestamp("us", tz="UTC")}
    kinds = {name: ARROW_TYPES.get(kind, "string") for name, kind in types.items()}
    return pyarrow.schema(
        [(name, special.get(kind) or pyarrow.type_for_alias(kind)) for name, kind in kinds.items()]
    )


def _record_batch(
    rows: Sequence[Sequence[Any]], types: Mapping[str, str], schema: pyarrow.Schema
) -> pyarrow.RecordBatch:
    import pyarrow

    columns = dict(zip(types, zip(*rows, strict=True), strict=False))  # not the texts of the key
    return pyarrow.RecordBatch.from_arrays(
        [pyarrow.array(columns[column.name], column.type) for column in schema], schema=schema
    )
