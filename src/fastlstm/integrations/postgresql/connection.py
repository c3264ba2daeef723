"""Connections to PostgreSQL: URLs, names, types of columns, and errors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from fastlstm.data.readers.columns import column_index
from fastlstm.errors import DataError, MissingDependencyError, OptionError

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql


@dataclass(frozen=True)
class DatabaseURL:
    """A parsed URL.

    Attributes:
        conninfo: The URL for libpq.
        name: The URL for messages: without user, password and parameters, but with the table.
        table: The value of `table`, if it is given.
        query: The value of `query`, if it is given.
        password: The password, if it is given; never printed.
    """

    conninfo: str = field(repr=False)
    name: str
    table: str | None
    query: str | None
    password: str = field(repr=False)


def parse_url(url: str) -> DatabaseURL:
    """Return the parts of a URL. Raise `OptionError` unless it has either a table or a query."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError if a password contains "/", "?" or "#"
    except ValueError:
        raise OptionError(
            "the URL is malformed; percent-encode special characters of user and password, or take the password from "
            "PGPASSWORD",
            code="bad-database-url",
            url=url.partition("://")[0],
        ) from None
    parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
    table, query = parameters.pop("table", None), parameters.pop("query", None)
    name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" + (f"?table={table}" if table else "")
    if bool(table) == bool(query):
        raise OptionError(
            f"{name} has {'both `table` and `query`' if table else 'neither `table` nor `query`'}; expected one of "
            "them: postgresql://host/database?table=reviews",
            code="bad-database-url",
            url=name,
        )
    conninfo = f"{parts.scheme}://{parts.netloc}{parts.path}"
    if parameters:
        conninfo += "?" + urlencode(parameters, quote_via=quote)
    return DatabaseURL(conninfo, name, table, query and query.strip().rstrip(";"), unquote(parts.password or ""))


def digest(query: str) -> str:
    """Return a short digest of a query, which may contain what must not be printed."""
    return hashlib.sha256(query.encode()).hexdigest()[:16]


def connect(url: DatabaseURL, *, read_only: bool = True) -> psycopg.Connection[Any]:
    """Return a connection, whose transactions cannot write unless `read_only` is false. Raise `DataError`."""
    try:
        import psycopg
    except ImportError:
        raise MissingDependencyError("a postgresql:// URL", "psycopg", "postgresql") from None
    try:
        connection = psycopg.connect(url.conninfo)
        connection.read_only = read_only
        return connection
    except psycopg.Error as error:
        reason = reason_of(error)
        for secret in {url.password, quote(url.password)} - {""}:
            reason = reason.replace(secret, "...")
        raise DataError(
            f"cannot connect to {url.name}: {reason}; check the URL, PGPASSWORD or the password file",
            code="cannot-connect",
            source=url.name,
            reason=reason,
        ) from None


def column_types(connection: psycopg.Connection[Any], url: DatabaseURL) -> dict[str, str]:
    """Return the name and the type of each column of a table or query. Raise `DataError` if the query fails."""
    import psycopg
    from psycopg import sql

    try:
        cursor = connection.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(relation(url)))
    except psycopg.Error as error:
        raise data_error(url, error) from error
    types = connection.adapters.types
    names = [column.name for column in cursor.description or ()]
    for name in names:
        column_index(name, names, url.name, "query")  # raises for repeated names
    kinds = [types.get(column.type_code) for column in cursor.description or ()]
    return {name: kind.name if kind is not None else "unknown" for name, kind in zip(names, kinds, strict=True)}


def relation(url: DatabaseURL) -> sql.Composed:
    """Return the table or query as an item of FROM."""
    from psycopg import sql

    if url.table is not None:
        return sql.SQL("{} AS source").format(identifier(url.table))
    return sql.SQL("({}\n) AS source").format(sql.SQL(url.query or ""))  # written by the user


def identifier(table: str) -> sql.Identifier:
    from psycopg import sql

    return sql.Identifier(*table.split("."))


def identifiers(names: Sequence[str]) -> sql.Composed:
    from psycopg import sql

    return sql.SQL(", ").join(map(sql.Identifier, names))


def quoted(table: str) -> str:
    return ".".join('"{}"'.format(part.replace('"', '""')) for part in table.split("."))


def data_error(url: DatabaseURL, error: psycopg.Error) -> DataError:
    reason = reason_of(error)
    return DataError(f"cannot read {url.name}: {reason}", code="query-failed", source=url.name, reason=reason)


def reason_of(error: Exception) -> str:
    """Return the message of the server in one line."""
    return " ".join(str(error).split()) or type(error).__name__
