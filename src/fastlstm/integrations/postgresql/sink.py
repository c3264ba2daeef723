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
    identifiers,
    quoted,
    reason_of,
)
from fastlstm.scoring.interfaces import Checkpoint
from fastlstm.scoring.json_values import json_value, python_rows

if TYPE_CHECKING:
    import psycopg
    import pyarrow
    from psycopg import sql

CHECKPOINTS = "fastlstm_checkpoints"
"""The table of checkpoints, in the schema of the sink's table."""
MAX_NAME_BYTES = 63
STAGING = "fastlstm_staging"
"""The temporary table of a transaction."""
POSITION = "fastlstm_position"
"""The column of the temporary table with the number of each row."""
COLUMN_TYPES = {
    "bool": "boolean",
    "halffloat": "real",
    **dict.fromkeys(("binary", "large_binary", "binary_view"), "bytea"),
    **dict.fromkeys(("date32[day]", "date64[ms]"), "date"),
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
}
"""Type of Arrow -> type of a column of a table that the sink creates; see `_column_type` for others."""


class PostgresSink:
    """A table. Each commit is one transaction, which contains the checkpoint.

    Args:
        url: The table. It is created if it does not exist.
        key: The columns that identify a row: existing rows are updated, others inserted. Without a key, rows are
            appended to an empty table.
        overwrite: Whether to start again although a run was interrupted.

    Raises:
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
        self._table: Sequence[str] = url.table
        self._oid: int | None = None
        """The number of the table in the database; None before it is created."""
        self._connection: psycopg.Connection[Any] | None = None
        self._columns: list[str] = []
        self._computed: set[str] = set()
        self._identities: set[str] = set()
        self._rows = self._written = 0
        """Rows of the run, and those without the refused ones."""

    def start(self, schema: pyarrow.Schema, *, resume: bool) -> Checkpoint | None:
        """See `Sink.start`. Nothing is created if the run cannot start."""
        self._columns = schema.names
        for name in self._key:
            column_index(name, self._columns, "the result", "key")
        for name in self._columns:
            if len(name.encode()) > MAX_NAME_BYTES:
                raise OptionError(
                    f"the name of column {name!r} has more than {MAX_NAME_BYTES} bytes, which PostgreSQL cuts; choose "
                    "other columns with `columns`, or another `prefix`",
                    code="column-name-too-long",
                    column=name,
                )
        self._connection = connect(self._url, read_only=False)
        with self._errors():
            self._find_table()
            exists = self._oid is not None
            saved = self._saved_checkpoint()
            if resume and (saved is None or not exists):
                raise ResumeError(
                    f"{self.name} has no checkpoint, or does not exist; there is no run to resume: run again without "
                    "`resume`",
                    code="no-checkpoint",
                    path=self.name,
                )
            if exists:
                self._require_columns(schema)
            if resume and saved is not None:
                self._require_same_table(saved)
            if not resume:
                self._require_free(saved, exists=exists)
                self._prepare_new_run(schema, exists=exists)
            self._find_computed_columns()
            self._connection.commit()
        if saved is None or not resume:
            return None
        self._rows, self._written = saved["rows"], saved["written"]
        run: Checkpoint = saved["run"]
        return run

    def _find_table(self) -> None:
        """Find the table, by its schema and number; if it does not exist, the schema in which it will be created."""
        row = self._execute(
            "SELECT nspname, relname, pg_class.oid FROM pg_class JOIN pg_namespace ON relnamespace = pg_namespace.oid "
            "WHERE pg_class.oid = to_regclass({})",
            quoted(self._table),
        ).fetchone()
        if row is not None:
            self._table, self._oid = (row[0], row[1]), row[2]
        elif len(self._table) == 1:
            row = self._execute("SELECT current_schema()").fetchone()
            if row is not None and row[0] is not None:
                self._table = (row[0], *self._table)

    @property
    def _checkpoints(self) -> Sequence[str]:
        return (*self._table[:-1], CHECKPOINTS)

    def _require_same_table(self, saved: Checkpoint) -> None:
        """Raise `ResumeError` if the table is another one than that of the run, or lost rows of a run without a key."""
        from psycopg import sql

        is_same = saved["table"] == self._oid
        if is_same and not self._key:
            row = self._execute("SELECT count(*) FROM {}", sql.Identifier(*self._table)).fetchone()
            is_same = row is not None and row[0] == saved["written"]
        if not is_same:
            raise ResumeError(
                f"{self.name} is not as the run to resume has left it: it was created again, or rows were added or "
                "deleted; start again with `overwrite`",
                code="sink-changed",
                path=self.name,
            )

    def _prepare_new_run(self, schema: pyarrow.Schema, *, exists: bool) -> None:
        """Create the table, unless it exists, and the table of checkpoints. Delete the checkpoint."""
        from psycopg import sql

        if not exists:
            columns = [
                sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(_column_type(column.type)))
                for column in schema
            ]
            if self._key:
                columns.append(sql.SQL("PRIMARY KEY ({})").format(identifiers(self._key)))
            self._execute("CREATE TABLE {} ({})", sql.Identifier(*self._table), sql.SQL(", ").join(columns))
            self._find_table()
        checkpoints = sql.Identifier(*self._checkpoints)
        self._execute(
            "CREATE TABLE IF NOT EXISTS {} (sink text PRIMARY KEY, checkpoint text NOT NULL)", checkpoints
        )
        self._execute("DELETE FROM {} WHERE sink = {}", checkpoints, ".".join(self._table))

    def _exists(self, table: Sequence[str]) -> bool:
        row = self._execute("SELECT to_regclass({})", quoted(table)).fetchone()
        return row is not None and row[0] is not None

    def _require_columns(self, schema: pyarrow.Schema) -> None:
        """Raise `OptionError` if the table lacks a column."""
        assert self._connection is not None, "start connects"
        types = column_types(self._connection, self._url)
        missing = [column for column in schema if column.name not in types]
        if missing:
            added = ", ".join(f'ADD COLUMN "{c.name}" {_column_type(c.type)}' for c in missing)
            raise OptionError(
                f"{self.name} lacks columns of the result: {', '.join(column.name for column in missing)}; run: ALTER "
                f"TABLE {quoted(self._table)} {added}; or choose other columns with `columns`",
                code="missing-sink-column",
                columns=[column.name for column in missing],
                sink=self.name,
            )

    def _require_free(self, saved: Checkpoint | None, *, exists: bool) -> None:
        """Raise `OptionError` if rows are there that a new run would mix with its own."""
        from psycopg import sql

        if saved is not None and not saved["run"].get("finished") and not self._overwrite:
            raise OptionError(
                f"{self.name} belongs to a run; pass `resume` to continue it, or `overwrite` to start again",
                code="output-exists",
                path=self.name,
            )
        table = sql.Identifier(*self._table)
        if exists and not self._key and self._execute("SELECT 1 FROM {} LIMIT 1", table).fetchone():
            raise OptionError(
                f"{self.name} contains rows; empty it, or pass a `key` to update them",
                code="output-exists",
                path=self.name,
            )

    def _saved_checkpoint(self) -> Checkpoint | None:
        from psycopg import sql

        if not self._exists(self._checkpoints):
            return None
        row = self._execute(
            "SELECT checkpoint FROM {} WHERE sink = {}", sql.Identifier(*self._checkpoints), ".".join(self._table)
        ).fetchone()
        return None if row is None else json.loads(row[0])

    def _find_computed_columns(self) -> None:
        """Find the generated columns, which cannot be written, and the identity columns, which are only inserted."""
        rows = self._execute(
            "SELECT column_name, is_generated FROM information_schema.columns WHERE table_name = {} AND table_schema = "
            "(SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
            "WHERE pg_class.oid = to_regclass({})) AND (is_generated = 'ALWAYS' OR identity_generation = 'ALWAYS')",
            self._table[-1],
            quoted(self._table),
        ).fetchall()
        self._computed = {name for name, is_generated in rows if is_generated == "ALWAYS"}
        self._identities = {name for name, _ in rows} - self._computed

    def write(self, table: pyarrow.Table) -> Sequence[BadRow]:
        """See `Sink.write`. Rows without a key and rows with a NUL character are refused."""
        rows, refused = [], []
        for row in (tuple(values.values()) for values in python_rows(table)):
            self._rows += 1
            problem = self._problem(row)
            if problem is None:
                rows.append(tuple(map(_database_value, row)))
            else:
                refused.append(BadRow(self.name, self._rows, *problem))
        self._written += len(rows)
        with self._errors():
            if self._key:
                self._update(rows)
            else:
                self._copy(rows)
        return refused

    def _problem(self, row: Sequence[Any]) -> tuple[str, str] | None:
        """Return the code and the reason why a row cannot be written; None if it can."""
        for name, value in zip(self._columns, row, strict=True):
            if value is None and name in self._key:
                return "missing-key", f"the key {name!r} is null"
            if _contains_nul(value):
                return "nul-character", f"column {name!r} contains a NUL character, which PostgreSQL cannot store"
        return None

    def _copy(self, rows: Sequence[Sequence[Any]]) -> None:
        """Append rows to the table."""
        from psycopg import sql

        assert self._connection is not None, "start connects"
        names = [name for name in self._columns if name not in self._computed]
        indices = [self._columns.index(name) for name in names]
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(*self._table), identifiers(names))
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row([row[index] for index in indices])

    def _update(self, rows: Sequence[Sequence[Any]]) -> None:
        """Copy rows into a temporary table, update the rows of the table with the same keys, and insert the others.

        The server compares the keys, since "1" and "01" are the same integer. Of equal ones, the last row counts.
        """
        from psycopg import sql

        assert self._connection is not None, "start connects"
        table, staging, position = sql.Identifier(*self._table), sql.Identifier(STAGING), sql.Identifier(POSITION)
        self._execute(
            "CREATE TEMPORARY TABLE {} AS SELECT {}, 0::bigint AS {} FROM {} WITH NO DATA",
            staging, identifiers(self._columns), position, table,
        )  # fmt: skip
        statement = sql.SQL("COPY {} ({}, {}) FROM STDIN").format(staging, identifiers(self._columns), position)
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for number, row in enumerate(rows):
                copy.write_row((*row, number))
        staged = sql.SQL("(SELECT DISTINCT ON ({key}) * FROM {staging} ORDER BY {key}, {position} DESC)").format(
            key=identifiers(self._key), staging=staging, position=position
        )
        same = sql.SQL(" AND ").join(
            sql.SQL("target.{0} = staged.{0}").format(sql.Identifier(name)) for name in self._key
        )
        inserted = [name for name in self._columns if name not in self._computed]
        updated = [name for name in inserted if name not in self._identities and name not in self._key]
        values = sql.SQL(", ").join(sql.SQL("{0} = staged.{0}").format(sql.Identifier(name)) for name in updated)
        overriding = sql.SQL("OVERRIDING SYSTEM VALUE" if self._identities else "")
        self._execute("UPDATE {} AS target SET {} FROM {} AS staged WHERE {}", table, values, staged, same)
        self._execute(
            "INSERT INTO {} ({}) {} SELECT {} FROM {} AS staged "
            "WHERE NOT EXISTS (SELECT 1 FROM {} AS target WHERE {})",
            table, identifiers(inserted), overriding, identifiers(inserted), staged, table, same,
        )  # fmt: skip
        self._execute("DROP TABLE {}", staging)

    def commit(self, checkpoint: Checkpoint) -> None:
        """See `Sink.commit`."""
        assert self._connection is not None, "start connects"
        from psycopg import sql

        checkpoints, name = sql.Identifier(*self._checkpoints), ".".join(self._table)
        saved = {"run": checkpoint, "rows": self._rows, "written": self._written, "table": self._oid}
        content = json.dumps(saved)
        with self._errors():
            updated = self._execute(
                "UPDATE {} SET checkpoint = {} WHERE sink = {}", checkpoints, content, name
            ).rowcount
            if not updated:
                self._execute(
                    "INSERT INTO {} (sink, checkpoint) VALUES ({}, {})", checkpoints, ".".join(self._table), content
                )
            self._connection.commit()

    def finish(self) -> None:
        """See `Sink.finish`."""

    def close(self) -> None:
        """Close the connection. What is not committed is dropped."""
        if self._connection is not None:
            self._connection.close()

    def _execute(self, statement: str, *parts: sql.Composable | str) -> psycopg.Cursor[Any]:
        """Execute a statement with parts in place of {}; strings are values.

        Values are no parameters of psycopg, which reads a % in names as a placeholder.
        """
        from psycopg import sql

        assert self._connection is not None, "start connects"
        return self._connection.execute(sql.SQL(statement).format(*parts))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            reason = reason_of(error)
            raise WriteError(
                f"cannot write {self.name}: {reason}; a run that had begun continues with `resume`",
                path=self.name,
                reason=reason,
            ) from error


def _column_type(kind: pyarrow.DataType) -> str:
    """Return the type of a column for values of an Arrow type."""
    from pyarrow import types

    if types.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamptz"
    if types.is_decimal(kind):
        return f"numeric({kind.precision}, {kind.scale})"
    if types.is_dictionary(kind):
        return _column_type(kind.value_type)
    if types.is_fixed_size_binary(kind):
        return "bytea"
    if types.is_time(kind):
        return "time"
    return "jsonb" if types.is_nested(kind) else COLUMN_TYPES.get(str(kind), "text")


def _database_value(value: Any) -> Any:
    """Return a value as COPY writes it."""
    return json.dumps(json_value(value)) if isinstance(value, dict | list) else value


def _contains_nul(value: Any) -> bool:
    """Return whether a string, or one inside a list or struct, contains a NUL character."""
    if isinstance(value, dict):
        return any(map(_contains_nul, (*value.keys(), *value.values())))
    if isinstance(value, list | tuple):  # a map is a list of tuples
        return any(map(_contains_nul, value))
    return isinstance(value, str) and "\0" in value
