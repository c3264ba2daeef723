"""A PostgreSQL server for tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.helpers.postgresql_server import PASSWORD, execute, find_server, running_server


@pytest.fixture(scope="module")
def postgresql_server() -> Iterator[str]:
    """The URL of a server, whose password is in the environment."""
    pytest.importorskip("psycopg")
    if find_server() is None:
        pytest.skip("PostgreSQL is not installed")
    with running_server() as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", PASSWORD)
        yield url


@pytest.fixture
def database(postgresql_server: str) -> str:
    """The URL of an empty database."""
    execute(postgresql_server, "DROP DATABASE IF EXISTS shop WITH (FORCE)")
    execute(postgresql_server, "CREATE DATABASE shop")
    return postgresql_server.removesuffix("postgres") + "shop"
