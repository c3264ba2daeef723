"""A table as a sink of `score`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fastlstm.data.options import BadRow
from fastlstm.data.readers.columns import column_index
from fastlstm.errors import OptionError, ResumeError, WriteError
from fastlstm.integrations.postgresql.connection import (
    DatabaseURL,
    column_types,
    connect,
    identifier,
    identifiers,
    quoted,
    reason_of,
)
from fastlstm.scoring.interfaces import Checkpoint

if TYPE_CHECKING:
    import psycopg
    import pyarrow
    from psycopg import sql

CHECKPOINTS = "fastlstm_checkpoints"
"""The table of checkpoints, in the schema of the sink's table."""
STAGING = "fastlstm_staging"
"""The temporary table of a transaction."""
COLUMN_TYPES = {
    "bool": "boolean",
    "int8": "smallint",
    "int16": "smallint",
    "int32": "integer",
    "int64": "bigint",
    "uint8": "smallint",
    "uint16": "integer",
    "uint32": "bigint",
    "uint64": "numeric",
    "float": "real",
    "double": "double precision",
    "binary": "bytea",
    "date32[day]": "date",
}
"""Type of Arrow -> type of a column of a table that the sink creates; text for others that are not nested."""


class PostgresSink:
    """A table. Each commit is one transaction, which contains the checkpoint.

    Args:
        url: The table. It is created if it does not exist.
        key: The columns that identify a row: existing rows are updated, others inserted. Without a key, rows are
            appended to an empty table.
        overwrite: Whether to start again although a run was interrupted.

    Raises:
        MissingDependencyError: psycopg is not installed.
        OptionError: The URL has no table.
    """

    def __init__(self, url: DatabaseURL, key: Sequence[str], *, overwrite: bool) -> None:
        self.name = url.name
        if url.table is None:
            raise OptionError(
                f"{url.name} has a `query`, but rows are written to a `table`: postgresql://host/database?table=scored",
                code="bad-database-url",
                url=url.name,
            )
        self._url, self._key, self._overwrite = url, tuple(key), overwrite
        self._table = url.table
        self._connection: psycopg.Connection[Any] | None = None
        self._columns: list[str] = []
        self._rows = 0

    def start(self, schema: pyarrow.Schema, *, resume: bool) -> Checkpoint | None:
        """See `Sink.start`."""
        self._columns = schema.names
        for name in self._key:
            column_index(name, self._columns, "the result", "key")
        self._connection = connect(self._url, read_only=False)
        with self._errors():
            self._create_tables(schema)
            saved = self._saved_checkpoint()
            if resume:
                if saved is None:
                    raise ResumeError(
                        f"{self.name} has no checkpoint; there is no run to resume: run again without `resume`",
                        code="no-checkpoint",
                        path=self.name,
                    )
                self._rows = saved["rows"]
                run: Checkpoint = saved["run"]
                return run
            self._require_free(saved)
            self._execute("DELETE FROM {} WHERE sink = %s", [_checkpoints(self._table)], [self._table])
            self._connection.commit()
        return None

    def _create_tables(self, schema: pyarrow.Schema) -> None:
        from psycopg import sql

        assert self._connection is not None, "start connects"
        existing = self._execute("SELECT to_regclass(%s)", [], [quoted(self._table)]).fetchone()
        if existing is None or existing[0] is None:
            columns = [
                sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(_column_type(column.type)))
                for column in schema
            ]
            if self._key:
                columns.append(sql.SQL("PRIMARY KEY ({})").format(identifiers(self._key)))
            self._execute("CREATE TABLE {} ({})", [identifier(self._table), sql.SQL(", ").join(columns)])
        else:
            self._require_columns(schema)
        self._execute(
            "CREATE TABLE IF NOT EXISTS {} (sink text PRIMARY KEY, checkpoint text NOT NULL)",
            [_checkpoints(self._table)],
        )
        self._connection.commit()

    def _require_columns(self, schema: pyarrow.Schema) -> None:
        """Raise `OptionError` if the table lacks a column."""
        assert self._connection is not None, "start connects"
        types = column_types(self._connection, self._url)
        missing = [column for column in schema if column.name not in types]
        if missing:
            added = ", ".join(f'ADD COLUMN "{c.name}" {_column_type(c.type)}' for c in missing)
            raise OptionError(
                f"{self.name} lacks columns of the result: {', '.join(column.name for column in missing)}; run: ALTER "
                f"TABLE {self._table} {added}; or choose other columns with `columns`",
                code="missing-sink-column",
                columns=[column.name for column in missing],
                sink=self.name,
            )

    def _require_free(self, saved: Checkpoint | None) -> None:
        """Raise `OptionError` if rows are there that a new run would mix with its own."""
        if saved is not None and not saved["run"]["finished"] and not self._overwrite:
            raise OptionError(
                f"{self.name} belongs to a run; pass `resume` to continue it, or `overwrite` to start again",
                code="output-exists",
                path=self.name,
            )
        if not self._key and self._execute("SELECT 1 FROM {} LIMIT 1", [identifier(self._table)]).fetchone():
            raise OptionError(
                f"{self.name} contains rows; empty it, or pass a `key` to update them",
                code="output-exists",
                path=self.name,
            )

    def _saved_checkpoint(self) -> Checkpoint | None:
        row = self._execute(
            "SELECT checkpoint FROM {} WHERE sink = %s", [_checkpoints(self._table)], [self._table]
        ).fetchone()
        return None if row is None else json.loads(row[0])

    def write(self, table: pyarrow.Table) -> Sequence[BadRow]:
        """See `Sink.write`. Rows without a key and rows with a NUL character are refused."""
        rows, refused = [], []
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            self._rows += 1
            problem = self._problem(row)
            if problem is None:
                rows.append(tuple(map(_database_value, row)))
            else:
                refused.append(BadRow(self.name, self._rows, *problem))
        with self._errors():
            self._copy(self._last_of_each_key(rows) if self._key else rows)
        return refused

    def _problem(self, row: Sequence[Any]) -> tuple[str, str] | None:
        """Return the code and the reason why a row cannot be written; None if it can."""
        for name, value in zip(self._columns, row, strict=True):
            if value is None and name in self._key:
                return "missing-key", f"the key {name!r} is null"
            if isinstance(value, str) and "\0" in value:
                return "nul-character", f"column {name!r} contains a NUL character, which PostgreSQL cannot store"
        return None

    def _last_of_each_key(self, rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        indices = [self._columns.index(name) for name in self._key]
        return list({tuple(row[index] for index in indices): row for row in rows}.values())

    def _copy(self, rows: Sequence[Sequence[Any]]) -> None:
        """Copy rows into the table; with a key through a temporary table."""
        from psycopg import sql

        assert self._connection is not None, "start connects"
        table, columns = identifier(self._table), identifiers(self._columns)
        staging = sql.Identifier(STAGING)
        if self._key:
            self._execute(
                "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA",
                [staging, columns, table],
            )
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(staging if self._key else table, columns)
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
        if not self._key:
            return
        same = sql.SQL(" AND ").join(
            sql.SQL("target.{0} = staged.{0}").format(sql.Identifier(name)) for name in self._key
        )
        values = [
            sql.SQL("{0} = staged.{0}").format(sql.Identifier(n)) for n in self._columns if n not in self._key
        ]
        self._execute("UPDATE {} AS target SET {} FROM {} AS staged WHERE {}",
                      [table, sql.SQL(", ").join(values), staging, same])  # fmt: skip
        self._execute(
            "INSERT INTO {} ({}) SELECT {} FROM {} AS staged WHERE NOT EXISTS (SELECT 1 FROM {} AS target WHERE {})",
            [table, columns, columns, staging, table, same],
        )

    def commit(self, checkpoint: Checkpoint) -> None:
        """See `Sink.commit`."""
        assert self._connection is not None, "start connects"
        table, content = _checkpoints(self._table), json.dumps({"run": checkpoint, "rows": self._rows})
        with self._errors():
            updated = self._execute(
                "UPDATE {} SET checkpoint = %s WHERE sink = %s", [table], [content, self._table]
            ).rowcount
            if not updated:
                self._execute("INSERT INTO {} (sink, checkpoint) VALUES (%s, %s)", [table], [self._table, content])
            self._connection.commit()

    def finish(self) -> None:
        """See `Sink.finish`."""

    def close(self) -> None:
        """Close the connection. What is not committed is dropped."""
        if self._connection is not None:
            self._connection.close()

    def _execute(
        self, statement: str, parts: Sequence[sql.Composable], parameters: Sequence[Any] = ()
    ) -> psycopg.Cursor[Any]:
        from psycopg import sql

        assert self._connection is not None, "start connects"
        return self._connection.execute(sql.SQL(statement).format(*parts), parameters or None)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            reason = reason_of(error)
            raise WriteError(
                f"cannot write {self.name}: {reason}; rows of earlier transactions are kept: continue with `resume`",
                path=self.name,
                reason=reason,
            ) from error


def _checkpoints(table: str) -> sql.Identifier:
    """Return the table of checkpoints in the schema of a table."""
    from psycopg import sql

    return sql.Identifier(*table.split(".")[:-1], CHECKPOINTS)


def _column_type(kind: pyarrow.DataType) -> str:
    """Return the type of a column for values of an Arrow type."""
    from pyarrow import types

    if types.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamptz"
    if types.is_decimal(kind):
        return f"numeric({kind.precision}, {kind.scale})"
    return "jsonb" if types.is_nested(kind) else COLUMN_TYPES.get(str(kind), "text")


def _database_value(value: Any) -> Any:
    """Return a value as COPY writes it."""
    return json.dumps(value, default=str) if isinstance(value, dict | list) else value
