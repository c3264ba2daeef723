"""PostgreSQL and databases that speak its protocol: a source and a sink of `score`, and training data.

A URL is one of libpq with one more parameter: postgresql://host/database?table=shop.reviews, or for a source
`query=SELECT ...`. Passwords come from PGPASSWORD, a password file or a service file.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastlstm.integrations.postgresql.connection import parse_url
from fastlstm.integrations.postgresql.sink import PostgresSink
from fastlstm.integrations.postgresql.source import PostgresSource, read_rows

__all__ = ["PostgresSink", "PostgresSource", "open_sink", "open_source", "parse_url", "read_rows", "url_name"]


def url_name(url: str) -> str:
    """Return a URL without user, password and parameters except the table."""
    return parse_url(url).name


def open_source(
    url: str, *, text_columns: Sequence[str], columns: Sequence[str] | None = None, key: Sequence[str] = ()
) -> PostgresSource:
    """Return the rows of a table or query as a source of `score`. Arguments and errors as `PostgresSource`."""
    return PostgresSource(parse_url(url), text_columns, columns, key)


def open_sink(url: str, *, key: Sequence[str] = (), overwrite: bool = False) -> PostgresSink:
    """Return a table as a sink of `score`. Arguments and errors as `PostgresSink`."""
    return PostgresSink(parse_url(url), key, overwrite=overwrite)
