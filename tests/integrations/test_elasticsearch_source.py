"""Indexes as sources, against a server that follows the documented responses of both products."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow
import pytest
from tests.helpers.scored_documents import SCHEMA, batch_of, read, rows_of, without_id, write
from tests.helpers.search_server import RESET, SearchServer

from fastlstm.errors import DataError, OptionError, WriteError
from fastlstm.integrations.elasticsearch import open_sink, open_source
from fastlstm.integrations.elasticsearch.cluster import Cluster


@pytest.mark.parametrize("page_size", [1, 7, 100])
@pytest.mark.parametrize("key", [(), "_id", "id", "text", ("text", "id")])
def test_source_reads_every_document_once(server: SearchServer, page_size: int, key: str | Sequence[str]) -> None:
    write(server, [batch_of(range(50))])
    source = open_source(f"{server.url}/reviews?page_size={page_size}", key=key)
    assert source.schema.field("id").type == pyarrow.int64()
    assert source.schema.names == ["_id", *SCHEMA.names]
    assert source.schema.field("predicted_probability").type == pyarrow.float64()
    chunks = list(source.chunks(None))
    assert all(chunk.batch.schema == source.schema and chunk.batch.num_rows <= page_size for chunk in chunks)
    rows = [row for chunk in chunks for row in chunk.batch.to_pylist()]
    assert sorted(rows, key=lambda row: row["id"]) == [{"_id": str(row["id"]), **row} for row in rows_of(range(50))]
    if key == "id":
        assert [row["id"] for row in rows] == list(range(50))
    assert [chunk.fraction for chunk in chunks][-1] == 1.0
    assert server.points_in_time == {}


@pytest.mark.parametrize("key", [(), "id"])
def test_source_continues_after_a_position(server: SearchServer, key: str | Sequence[str]) -> None:
    write(server, [batch_of(range(50))])
    source = open_source(f"{server.url}/reviews?page_size=6", key=key)
    expected = read(f"{server.url}/reviews?page_size=6", key=key)
    for number in range(1, 9):
        chunks = source.chunks(None)
        first = [next(chunks) for _ in range(number)]
        chunks.close()
        assert server.points_in_time == {}
        position = json.loads(json.dumps(first[-1].position))
        rest = open_source(f"{server.url}/reviews?page_size=10", key=key).chunks(position)
        rows = [row for chunk in (*first, *rest) for row in chunk.batch.to_pylist()]
        assert rows == expected


def test_source_with_a_key_continues_when_the_point_in_time_has_expired(server: SearchServer) -> None:
    write(server, [batch_of(range(20))])
    expected = read(f"{server.url}/reviews", key="id")
    rows = []
    for chunk in open_source(f"{server.url}/reviews?page_size=6", key="id").chunks(None):
        rows += chunk.batch.to_pylist()
        server.points_in_time.clear()
    assert rows == expected


@pytest.mark.parametrize("key", [(), "_id"])
def test_source_without_a_key_reads_no_changed_document_twice(
    server: SearchServer, key: str | Sequence[str]
) -> None:
    """Elasticsearch moves changed documents to the end of its order, OpenSearch does not."""
    write(server, [batch_of(range(20))])
    expected = read(f"{server.url}/reviews")
    rows: list[Any] = []
    chunks = open_source(f"{server.url}/reviews?page_size=6", key=key).chunks(None)
    rows += next(chunks).batch.to_pylist()
    server.points_in_time.clear()
    if server.product == "opensearch":
        rows += [row for chunk in chunks for row in chunk.batch.to_pylist()]
        assert rows == expected
        return
    with pytest.raises(DataError) as caught:
        next(chunks)
    assert (caught.value.code, caught.value.status) == ("request-failed", 404)


def test_source_retries_and_raises(server: SearchServer) -> None:
    write(server, [batch_of(range(20))])
    server.fail("POST /_search", 429, 2)
    server.fail("POST /_search", RESET)
    assert len(read(f"{server.url}/reviews?page_size=6")) == 20
    source = open_source(f"{server.url}/reviews")
    server.fail("POST /_search", 400, 1)
    with pytest.raises(DataError) as caught:
        list(source.chunks(None))
    assert (caught.value.code, caught.value.status) == ("request-failed", 400)
    assert server.points_in_time == {}


def test_clients_are_closed_at_every_exit(server: SearchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    write(server, [batch_of(range(20))])
    is_open: list[Cluster] = []

    class CountedCluster(Cluster):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            is_open.append(self)

        def close(self) -> None:
            super().close()
            is_open.remove(self)

    monkeypatch.setattr("fastlstm.integrations.elasticsearch.source.Cluster", CountedCluster)
    with pytest.raises(DataError):
        open_source(f"{server.url}/missing")
    assert is_open == []
    source = open_source(f"{server.url}/reviews?page_size=6")
    assert is_open == []
    for _ in range(2):  # a source can be read again
        assert sum(chunk.batch.num_rows for chunk in source.chunks(None)) == 20
        assert is_open == []
    chunks = source.chunks(None)
    next(chunks)
    assert len(is_open) == 1
    chunks.close()
    assert is_open == []
    server.fail("POST /_search", 400)
    with pytest.raises(DataError):
        list(source.chunks(None))
    assert is_open == []


def test_source_reads_the_columns_and_documents_requested(server: SearchServer) -> None:
    write(server, [batch_of(range(6))])
    url = f'{server.url}/reviews?query={{"term":{{"predicted_label":"positive"}}}}'
    source = open_source(url, columns=["text", "_id"], key="id")
    [chunk] = source.chunks(None)
    assert chunk.batch.to_pylist() == [{"text": f"Film {n}, très bon 好看", "_id": str(n)} for n in (1, 3, 5)]
    assert sorted(row["_id"] for row in read(f"{server.url}/reviews", columns=["_id"])) == list("012345")


def test_source_converts_values_as_the_index_does(server: SearchServer) -> None:
    write(server, [batch_of([1])])
    index = server.indexes["reviews"]
    index.properties = {
        "n": {"type": "integer"},
        "x": {"type": "half_float"},
        "b": {"type": "boolean"},
        "k": {"type": "keyword"},
        "d": {"type": "date"},
        "u": {"properties": {"name": {"type": "text"}}},
        "place": {"type": "geo_point"},
    }
    documents: list[dict[str, Any]] = [
        {
            "n": "3",
            "x": 2,
            "b": "true",
            "k": 7,
            "d": "2024-01-02",
            "u": {"name": "Ann"},
            "place": {"lat": 1, "lon": 2},
        },
        {"n": 3.0, "x": "2.5", "b": False, "k": ["one"], "d": 1704153600000, "u.name": "Bob"},
        {"n": [], "k": ["one", "two"]},
        {"n": "three"},
        {"n": None},
    ]
    index.documents.clear()
    for number, document in enumerate(documents):
        index.write(f"{number}", document)
    index.visible = dict(index.documents)
    source = open_source(f"{server.url}/reviews")
    assert dict(zip(source.schema.names, map(str, source.schema.types), strict=True)) == {
        "_id": "string",
        "n": "int64",
        "x": "double",
        "b": "bool",
        "k": "string",
        "d": "string",
        "u.name": "string",
    }
    [chunk] = source.chunks(None)
    rows = {row["_id"]: without_id(row) for row in chunk.batch.to_pylist()}
    nothing = dict.fromkeys(("n", "x", "b", "k", "d", "u.name"))
    assert rows == {
        "0": {"n": 3, "x": 2.0, "b": True, "k": "7", "d": "2024-01-02", "u.name": "Ann"},
        "1": {"n": 3, "x": 2.5, "b": False, "k": "one", "d": "1704153600000", "u.name": "Bob"},
        "4": nothing,
    }
    assert sorted((row.location, row.code) for row in chunk.bad_rows) == [
        ("2", "bad-field-value"),
        ("3", "bad-field-value"),
    ]
    with pytest.raises(DataError) as caught:
        open_source(f"{server.url}/reviews", columns=["place"])
    assert (caught.value.code, caught.value.column) == ("missing-column", "place")


def test_documents_are_scored_into_their_own_index(server: SearchServer) -> None:
    index = {"name": "Ann", "age": 3}
    write(server, [batch_of([1])])
    server.indexes["reviews"].properties["user"] = {"properties": {"name": {"type": "text"}}}
    for key in ("x/1", "é"):
        server.indexes["reviews"].write(key, {"text": key, "user": dict(index), "tags": ["a", "b"]})
    server.indexes["reviews"].visible = dict(server.indexes["reviews"].documents)
    url = f"{server.url}/reviews"
    [chunk] = open_source(url, text_columns=["text"], columns=["_id", "user.name", "text"]).chunks(None)
    batch = chunk.batch.append_column("predicted_label", pyarrow.array(["positive"] * 3))
    assert write(server, [batch], key="_id", overwrite=True) == []
    assert server.sources("reviews") == {
        "1": {**rows_of([1])[0], "user": {"name": None}},
        "x/1": {"text": "x/1", "user": index, "tags": ["a", "b"], "predicted_label": "positive"},
        "é": {"text": "é", "user": index, "tags": ["a", "b"], "predicted_label": "positive"},
    }


def test_unusable_keys_of_sources_raise(server: SearchServer) -> None:
    write(server, [batch_of([1])])
    server.indexes["reviews"].properties["plain"] = {"type": "text"}
    for key in ("plain", "missing"):
        with pytest.raises(OptionError) as caught:
            open_source(f"{server.url}/reviews", key=key)
        assert (caught.value.code, caught.value.column) == ("bad-key", key)


def test_missing_indexes_raise(server: SearchServer) -> None:
    with pytest.raises(DataError) as caught:
        open_source(f"{server.url}/missing")
    assert caught.value.code == "index-not-found"
    with pytest.raises(WriteError) as caught_sink:
        open_sink(f"{server.url}/Upper").start(SCHEMA, resume=False)
    assert (caught_sink.value.code, caught_sink.value.status) == ("request-failed", 400)


def test_empty_indexes_have_no_chunks(server: SearchServer) -> None:
    write(server, [batch_of([])])
    source = open_source(f"{server.url}/reviews")
    assert list(source.chunks(None)) == []
