"""Connections to PostgreSQL: URLs, names, types of columns, and errors."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from fastlstm.data.labels import is_unicode
from fastlstm.data.readers.columns import column_index
from fastlstm.errors import DataError, MissingDependencyError, OptionError

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

SCHEMES = ("postgresql", "postgres")
_NAME = r'(?:"((?:[^"]|"")+)"|([^".][^.]*))'
"""A name in double quotes, or one without."""


@dataclass(frozen=True)
class DatabaseURL:
    """A parsed URL.

    Attributes:
        conninfo: The URL for libpq.
        name: The URL for messages: without user, password and parameters, but with the table.
        table: The names of the schema, if it is given, and of the table; None for a query.
        query: The value of `query`, if it is given.
        secrets: The passwords in it, decoded and percent-encoded; never printed.
    """

    conninfo: str = field(repr=False)
    name: str
    table: tuple[str, ...] | None
    query: str | None
    secrets: frozenset[str] = field(repr=False)


def parse_url(url: str) -> DatabaseURL:
    """Return the parts of a URL. Raise `OptionError` if it is malformed, or has neither or both of table and query."""
    try:
        parts = urlsplit(url, allow_fragments=False)  # "#" is an operator of queries
        if "," not in parts.netloc:  # several hosts
            _ = parts.port  # raises ValueError for most passwords that contain "/", "?" or "#"
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
        is_valid = (
            is_unicode(url)
            and url.lower().startswith(f"{parts.scheme}://")
            and parts.scheme in SCHEMES
            and parts.netloc.count("@") < 2  # others, and those in the path, are of a password
            and "@" not in parts.path
            and all(name.isidentifier() for name in parameters)
        )
    except ValueError:
        is_valid = False
    if not is_valid:
        raise OptionError(
            "the URL is malformed; expected postgresql://user@host:port/database?table=reviews; percent-encode special "
            "characters of user and password, or take the password from PGPASSWORD",
            code="bad-database-url",
            url=url.partition(":")[0],
        )
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
    passwords = (parts.password, parameters.get("password"), parameters.get("sslpassword"))
    secrets = {form for word in passwords if word for form in (word, unquote(word), quote(word, safe=""))}
    names = table_names(table) if table else None
    return DatabaseURL(conninfo, name, names, query and query.strip().rstrip(";"), frozenset(secrets))


def table_names(table: str) -> tuple[str, ...]:
    """Return the names of a schema, if it is given, and of a table. A name in double quotes can contain dots.

    `shop.reviews` is ("shop", "reviews"), and `"shop.eu"."reviews"` is ("shop.eu", "reviews"). A double quote in a
    quoted name is doubled, as in SQL. Raise `OptionError` if a name is empty or a quote is not closed.
    """
    if not re.fullmatch(rf"{_NAME}(?:\.{_NAME})*", table):
        raise OptionError(
            f"the table {table!r} is malformed; expected reviews, shop.reviews, or for names with dots "
            '"shop.eu"."reviews"',
            code="bad-database-url",
            table=table,
        )
    return tuple(quoted.replace('""', '"') or plain for quoted, plain in re.findall(_NAME, table))


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
        for secret in sorted(url.secrets, key=len, reverse=True):
            reason = reason.replace(secret, "...")
        raise DataError(
            f"cannot connect to {url.name}: {reason}; check the URL, PGPASSWORD or the password file",
            code="cannot-connect",
            source=url.name,
            reason=reason,
        ) from None


def column_types(connection: psycopg.Connection[Any], url: DatabaseURL) -> dict[str, str]:
    """Return the name and the type of each column of a table or query. Raise `DataError` if the query fails.

    The type of an array is that of its elements with [] appended.
    """
    import psycopg
    from psycopg import sql

    try:
        cursor = connection.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(relation(url)))
    except psycopg.Error as error:
        raise data_error(url, error) from error
    columns = cursor.description or ()
    names = [column.name for column in columns]
    for name in names:
        column_index(name, names, url.name, "query")  # raises for repeated names
    return {column.name: _type_name(connection, column.type_code) for column in columns}


def _type_name(connection: psycopg.Connection[Any], type_code: int) -> str:
    info = connection.adapters.types.get(type_code)  # for an array, that of its elements
    if info is None:
        return "unknown"
    return f"{info.name}[]" if type_code == info.array_oid else info.name


def relation(url: DatabaseURL) -> sql.Composed:
    """Return the table or query as an item of FROM."""
    from psycopg import sql

    if url.table is not None:
        return sql.SQL("{} AS source").format(sql.Identifier(*url.table))
    return sql.SQL("({}\n) AS source").format(sql.SQL(url.query or ""))  # written by the user


def identifiers(names: Sequence[str]) -> sql.Composed:
    """Return columns, separated by commas, for composing statements."""
    from psycopg import sql

    return sql.SQL(", ").join(map(sql.Identifier, names))


def quoted(table: Sequence[str]) -> str:
    """Return the names of a table in the double quotes of SQL, as `regclass` reads them."""
    return ".".join('"{}"'.format(name.replace('"', '""')) for name in table)


def data_error(url: DatabaseURL, error: psycopg.Error) -> DataError:
    """Return the error to raise for a statement that failed while reading."""
    reason = reason_of(error)
    return DataError(f"cannot read {url.name}: {reason}", code="query-failed", source=url.name, reason=reason)


def reason_of(error: Exception) -> str:
    """Return the message of the server in one line."""
    return " ".join(str(error).split()) or type(error).__name__
