"""Servers for tests: PostgreSQL, and one that answers as Elasticsearch and OpenSearch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.helpers.postgresql_server import PASSWORD, execute, find_server, running_server
from tests.helpers.search_server import CLIENTS, SearchServer
from tests.helpers.search_server import running_server as running_search_server

from fastlstm.integrations.elasticsearch import cluster


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


@pytest.fixture(params=CLIENTS)
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[SearchServer]:
    """A server, with short waits between retries and without credentials in the environment."""
    pytest.importorskip(CLIENTS[request.param])
    monkeypatch.setattr(cluster, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(cluster, "BULK_DOCUMENTS", 4)
    for name in ("API_KEY", "USERNAME", "PASSWORD"):
        for product in CLIENTS:
            monkeypatch.delenv(f"{product.upper()}_{name}", raising=False)
    with running_search_server(request.param) as server:
        yield server
