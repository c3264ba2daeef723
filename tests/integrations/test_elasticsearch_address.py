"""Addresses of indexes, credentials and connections, against a server that follows the documented responses."""

from __future__ import annotations

import base64
import sys

import pytest
from tests.helpers.scored_documents import SCHEMA, batch_of, write
from tests.helpers.search_server import CLIENTS, SearchServer, running_server

from fastlstm.errors import DataError, FastLSTMError, MissingDependencyError, OptionError, WriteError
from fastlstm.integrations.elasticsearch import cluster, open_sink, open_source


def test_unreachable_servers_raise(server: SearchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_server(server.product) as closed:
        url = f"{closed.url}/reviews"
    monkeypatch.setattr(cluster, "FIRST_WAIT_SECONDS", 100)  # the first connection is not repeated
    with pytest.raises(WriteError) as caught:
        open_sink(url).start(SCHEMA, resume=False)
    assert (caught.value.code, caught.value.status) == ("cannot-connect", None)
    with pytest.raises(DataError) as caught_source:
        open_source(url)
    assert caught_source.value.code == "cannot-connect"


def test_urls_of_the_other_product_raise(server: SearchServer) -> None:
    pytest.importorskip("elasticsearch")
    write(server, [batch_of([1])])
    server.product = "opensearch"
    with pytest.raises(DataError) as caught:
        open_source(f"elasticsearch://localhost:{server.port}/reviews")
    assert caught.value.code == "wrong-product"


def test_credentials_come_from_the_url_or_the_environment(
    server: SearchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, password = "ann@example.org", "p:a/s?s#w%rd"
    server.password = base64.b64encode(f"{user}:{password}".encode()).decode()
    url = f"{server.product}://ann%40example.org:p%3Aa%2Fs%3Fs%23w%25rd@localhost:{server.port}/reviews"
    sink = open_sink(url)
    sink.start(SCHEMA, resume=False)
    assert sink.name == f"{server.url}/reviews"
    with pytest.raises(WriteError) as caught:
        open_sink(f"{server.url}/reviews").start(SCHEMA, resume=False)
    assert (caught.value.code, caught.value.status) == ("access-denied", 401)
    monkeypatch.setenv(f"{server.product.upper()}_USERNAME", user)
    monkeypatch.setenv(f"{server.product.upper()}_PASSWORD", password)
    assert list(open_source(f"{server.url}/reviews").chunks(None)) == []


def test_api_keys_come_from_the_environment(server: SearchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTICSEARCH_API_KEY", "c2VjcmV0")
    open_sink(f"{server.url}/reviews").start(SCHEMA, resume=False)
    expected = "ApiKey c2VjcmV0" if server.product == "elasticsearch" else None
    assert set(server.authorizations) == {expected}


def test_passwords_are_not_shown(server: SearchServer) -> None:
    server.password = "other"
    url = f"{server.product}://ann:secret@localhost:{server.port}/reviews"
    sink = open_sink(url)
    errors: list[FastLSTMError] = []
    with pytest.raises(WriteError) as denied:
        sink.start(SCHEMA, resume=False)
    errors.append(denied.value)
    with pytest.raises(DataError) as denied_source:
        open_source(url)
    errors.append(denied_source.value)
    for bad in (
        f"{server.product}://ann:secret@localhost/a/b",
        f"{server.product}://ann:sec/ret@localhost/a",
        f"{server.product}://ann:12/secret@localhost",
        f"{server.product}://ann:12?secret@localhost/a",
        f"{server.product}://ann:12#secret@localhost/a",
        f"{server.product}:/ann:secret@localhost/a",
        f"{server.product}://ann:secret@localhost:port/a",
        f"{server.product}://ann:secret@localhost:{server.port}/reviews?quary=x",
        f"{server.product}+http://ann:secret@localhost/reviews",
    ):
        with pytest.raises(OptionError) as caught:
            open_source(bad)
        errors.append(caught.value)
    for error in errors:
        shown = f"{error} {error.values} {error.__cause__} {error.__cause__!r}"
        assert "secret" not in shown
        assert "sec/ret" not in shown
    assert "secret" not in sink.name


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        ("", "bad-database-url"),
        ("/", "bad-database-url"),
        ("/a/b", "bad-database-url"),
        ("/a#b", "bad-database-url"),
        ("/a?page_size", "bad-database-url"),
        ("/a?size=3", "unknown-option"),
        ("/a?page_size=0", "bad-option-value"),
        ("/a?page_size=10001", "bad-option-value"),
        ("/a?query=x", "bad-option-value"),
        ("/a?query=[]", "bad-option-value"),
    ],
)
def test_bad_urls_raise(server: SearchServer, rest: str, code: str) -> None:
    with pytest.raises(OptionError) as caught:
        open_source(server.url + rest)
    assert caught.value.code == code
    assert server.requests == []


def test_names_show_the_default_port(server: SearchServer) -> None:
    assert open_sink(f"{server.product}://host/index").name == f"{server.product}://host:9200/index"
    assert open_sink(f"{server.product}+https://host/index").name == f"{server.product}+https://host:443/index"
    assert open_sink(f"{server.product}://[::1]:9201/index").name == f"{server.product}://[::1]:9201/index"


def test_missing_packages_are_reported(server: SearchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in (CLIENTS[server.product], "pyarrow"):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingDependencyError) as caught:
            open_sink(f"{server.url}/reviews")
        assert caught.value.extra == server.product
