"""Elasticsearch and OpenSearch as sources and sinks, against a server that follows their documented responses."""

from __future__ import annotations

import base64
import decimal
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from tests.helpers.search_server import RESET, SearchServer, running_server

from fastlstm.data.options import BadRow
from fastlstm.errors import DataError, FastLSTMError, MissingDependencyError, OptionError, ResumeError, WriteError
from fastlstm.integrations.elasticsearch import SearchSink, cluster, open_sink, open_source
from fastlstm.integrations.elasticsearch.sink import CHECKPOINT_INDEX

pyarrow = pytest.importorskip("pyarrow")
CLIENTS = {"elasticsearch": "elasticsearch", "opensearch": "opensearchpy"}
REAL_SERVER = os.environ.get("FASTLSTM_TEST_ELASTICSEARCH")
SCHEMA = pyarrow.schema(
    {
        "id": pyarrow.int64(),
        "text": pyarrow.string(),
        "predicted_label": pyarrow.string(),
        "predicted_probability": pyarrow.float32(),
    }
)


@pytest.fixture(params=CLIENTS)
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[SearchServer]:
    """A server, with short waits between retries and without credentials in the environment."""
    pytest.importorskip(CLIENTS[request.param])
    monkeypatch.setattr(cluster, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(cluster, "BULK_DOCUMENTS", 4)
    for name in ("API_KEY", "USERNAME", "PASSWORD"):
        for product in CLIENTS:
            monkeypatch.delenv(f"{product.upper()}_{name}", raising=False)
    with running_server(request.param) as server:
        yield server


def rows_of(numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Return scored rows with these ids."""
    return [
        {
            "id": number,
            "text": f"Film {number}, très bon 好看",
            "predicted_label": "positive" if number % 2 else None,
            "predicted_probability": 0.75 if number % 2 else None,
        }
        for number in numbers
    ]


def batch_of(numbers: Sequence[int]) -> Any:
    return pyarrow.RecordBatch.from_pylist(rows_of(numbers), SCHEMA)


def table_of(numbers: Sequence[int]) -> Any:
    return pyarrow.Table.from_batches([batch_of(numbers)])


def write(
    server: SearchServer,
    batches: Sequence[Any],
    *,
    key: str | Sequence[str] = "id",
    overwrite: bool = False,
    index: str = "reviews",
) -> list[BadRow]:
    """Write one commit per batch and finish. Return the bad rows."""
    sink = open_sink(f"{server.url}/{index}", key=key, overwrite=overwrite)
    bad_rows: list[BadRow] = []
    try:
        assert sink.start(batches[0].schema, resume=False) is None
        for number, batch in enumerate(batches):
            bad_rows += sink.write(pyarrow.Table.from_batches([batch]))
            sink.commit({"commit": number, "finished": number == len(batches) - 1})
        sink.finish()
    finally:
        sink.close()
    return bad_rows


def write_and_commit(sink: SearchSink, numbers: Sequence[int]) -> None:
    sink.write(table_of(numbers))
    sink.commit({"next": numbers[-1] + 1})


def read(url: str, **options: Any) -> list[dict[str, Any]]:
    """Return all rows of a source."""
    return [row for chunk in open_source(url, **options).chunks(None) for row in chunk.batch.to_pylist()]


def saved_checkpoint(server: SearchServer, index: str = "reviews") -> Any:
    return json.loads(server.sources(CHECKPOINT_INDEX)[index]["checkpoint"])


def without_id(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "_id"}


def test_rows_become_documents_with_the_ids_of_the_key(server: SearchServer) -> None:
    assert write(server, [batch_of(range(10)), batch_of(range(10, 13))]) == []
    assert server.sources("reviews") == {str(row["id"]): row for row in rows_of(range(13))}
    assert len(server.indexes["reviews"].visible) == 13
    assert saved_checkpoint(server) == {"commit": 1, "finished": True}


def test_rows_without_a_key_have_their_number_as_id(server: SearchServer) -> None:
    write(server, [batch_of(range(10, 14)), batch_of(range(14, 16))], key=())
    assert server.sources("reviews") == {str(row["id"] - 9): row for row in rows_of(range(10, 16))}


def test_mapping_follows_the_schema(server: SearchServer) -> None:
    schema = SCHEMA.append(pyarrow.field("when", pyarrow.timestamp("ns")))
    schema = schema.append(pyarrow.field("tags", pyarrow.list_(pyarrow.string())))
    schema = schema.append(pyarrow.field("user", pyarrow.struct({"age": pyarrow.int8()})))
    schema = schema.append(pyarrow.field("price", pyarrow.decimal128(6, 2)))
    schema = schema.append(pyarrow.field("data", pyarrow.binary()))
    when = pyarrow.scalar(1_714_979_289_000_001_234, pyarrow.timestamp("ns"))
    others = {"when": when, "tags": ["a", "b"], "user": {"age": 3}, "price": decimal.Decimal("2.50"), "data": b"\0"}
    batch = pyarrow.RecordBatch.from_pylist([{**rows_of([1])[0], **others}], schema)
    write(server, [batch])
    text = {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}
    assert server.indexes["reviews"].properties == {
        "id": {"type": "long"},
        "text": text,
        "predicted_label": {"type": "keyword"},
        "predicted_probability": {"type": "float"},
        "when": {"type": "date"},
        "tags": text,
        "user": {"properties": {"age": {"type": "long"}}},
        "price": {"type": "double"},
        "data": {"type": "binary"},
    }
    assert server.templates["fastlstm-reviews"]["index_patterns"] == ["reviews"]
    document = server.sources("reviews")["1"]
    assert document["when"] == "2024-05-06T07:08:09.000001"
    assert (document["tags"], document["user"], document["price"]) == (["a", "b"], {"age": 3}, 2.5)
    assert document["data"] == base64.b64encode(b"\0").decode()


def test_index_template_of_the_user_is_applied(server: SearchServer) -> None:
    mappings = {"properties": {"text": {"type": "text", "analyzer": "smartcn"}}}
    server.templates["own"] = {"index_patterns": ["review*"], "priority": 100, "template": {"mappings": mappings}}
    write(server, [batch_of([1])])
    properties = server.indexes["reviews"].properties
    assert properties["text"] == {"type": "text", "analyzer": "smartcn"}
    assert properties["predicted_label"] == {"type": "keyword"}


@pytest.mark.parametrize("status", [400, 403])
def test_index_template_that_cannot_be_created_is_not_needed(server: SearchServer, status: int) -> None:
    server.fail("/_index_template/", status)
    write(server, [batch_of([1])])
    assert server.templates == {}
    assert server.indexes["reviews"].properties["predicted_label"] == {"type": "keyword"}


def test_unsupported_types_raise(server: SearchServer) -> None:
    sink = open_sink(f"{server.url}/reviews")
    with pytest.raises(OptionError) as caught:
        sink.start(pyarrow.schema({"length": pyarrow.duration("s")}), resume=False)
    assert (caught.value.code, caught.value.column) == ("unsupported-column", "length")
    assert server.requests == []


def test_unknown_key_raises(server: SearchServer) -> None:
    sink = open_sink(f"{server.url}/reviews", key="nr")
    with pytest.raises(OptionError) as caught:
        sink.start(SCHEMA, resume=False)
    assert (caught.value.code, caught.value.column) == ("missing-column", "nr")


def test_values_that_json_lacks_become_null(server: SearchServer) -> None:
    schema = pyarrow.schema({"id": pyarrow.string(), "score": pyarrow.float64()})
    batch = pyarrow.RecordBatch.from_pylist([{"id": "a", "score": float("nan")}], schema)
    write(server, [batch])
    assert server.sources("reviews") == {"a": {"id": "a", "score": None}}


@pytest.mark.parametrize("status", [429, 503])
def test_busy_servers_are_asked_again(server: SearchServer, status: int) -> None:
    server.fail("/_bulk", status, 2)
    server.fail("/_bulk", status, 3, item="5")
    server.fail("PUT /fastlstm-checkpoints/_doc", status)
    assert write(server, [batch_of(range(10))]) == []
    assert server.sources("reviews") == {str(row["id"]): row for row in rows_of(range(10))}
    assert server.indexes["reviews"].sequence_numbers[0] + server.indexes["reviews"].sequence_numbers[1] == 10


def test_closed_connections_are_opened_again(server: SearchServer) -> None:
    server.fail("/_bulk", RESET)
    server.fail("_doc", RESET)
    write(server, [batch_of(range(10))])
    assert server.sources("reviews") == {str(row["id"]): row for row in rows_of(range(10))}


@pytest.mark.parametrize("item", [None, "5"])
def test_servers_that_stay_busy_raise(server: SearchServer, item: str | None) -> None:
    sink = open_sink(f"{server.url}/reviews", key="id")
    sink.start(SCHEMA, resume=False)
    server.fail("/_bulk", 429, 100, item=item)
    with pytest.raises(WriteError) as caught:
        sink.write(table_of(range(10)))
    assert (caught.value.code, caught.value.status) == ("server-busy", 429)
    assert "reviews" not in server.indexes.get(CHECKPOINT_INDEX, server.indexes["reviews"]).documents


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "access-denied"), (403, "access-denied"), (500, "request-failed"), (RESET, "cannot-connect")],
)
def test_other_failures_raise(server: SearchServer, status: int, code: str) -> None:
    sink = open_sink(f"{server.url}/reviews", key="id")
    sink.start(SCHEMA, resume=False)
    server.fail("/_bulk", status, 100)
    with pytest.raises(WriteError) as caught:
        sink.write(table_of(range(10)))
    assert (caught.value.code, caught.value.status) == (code, status or None)
    sink.close()


def test_a_document_with_a_lasting_failure_raises(server: SearchServer) -> None:
    server.fail("/_bulk", 500, 100, item="5")
    with pytest.raises(WriteError) as caught:
        write(server, [batch_of(range(10))])
    assert (caught.value.code, caught.value.status) == ("request-failed", 500)


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


def test_rejected_documents_are_bad_rows(server: SearchServer) -> None:
    write(server, [batch_of([1])])
    schema = pyarrow.schema({"key": pyarrow.string(), "id": pyarrow.string()})
    rows = [
        {"key": "a", "id": "2"},
        {"key": "b", "id": "two"},
        {"key": "c", "id": "3"},
        {"key": "d" * 600, "id": "4"},
    ]
    bad_rows = write(server, [pyarrow.RecordBatch.from_pylist(rows, schema)], key="key", overwrite=True)
    assert [(row.source, row.location, row.code) for row in bad_rows] == [
        (f"{server.url}/reviews", "b", "document-rejected"),
        (f"{server.url}/reviews", "d" * 600, "document-rejected"),
    ]
    assert "two" in bad_rows[0].content
    assert "failed to parse field [id] of type [long]" in bad_rows[0].reason
    assert set(server.sources("reviews")) == {"1", "a", "c"}
    assert server.sources(CHECKPOINT_INDEX)["reviews"]["rows"] == 4


def test_rows_without_a_key_value_are_bad_rows(server: SearchServer) -> None:
    rows = [{**row, "id": None} if row["id"] == 2 else row for row in rows_of([1, 2, 3])]
    bad_rows = write(server, [pyarrow.RecordBatch.from_pylist(rows, SCHEMA)])
    assert [(row.location, row.code) for row in bad_rows] == [(2, "missing-key")]
    assert set(server.sources("reviews")) == {"1", "3"}


def test_documents_of_others_are_not_changed_unless_requested(server: SearchServer) -> None:
    write(server, [batch_of([1, 2])])
    with pytest.raises(OptionError) as caught:
        write(server, [batch_of([3])])
    assert (caught.value.code, caught.value.path) == ("output-exists", f"{server.url}/reviews")
    assert set(server.sources("reviews")) == {"1", "2"}
    assert saved_checkpoint(server)["finished"]


def test_overwriting_with_a_key_updates_documents(server: SearchServer) -> None:
    write(server, [batch_of([1, 2])])
    server.indexes["reviews"].documents["1"].source["stars"] = 5
    schema = pyarrow.schema({"id": pyarrow.int64(), "predicted_label": pyarrow.string()})
    batch = pyarrow.RecordBatch.from_pylist([{"id": 1, "predicted_label": None}, {"id": 7}], schema)
    write(server, [batch], overwrite=True)
    sources = server.sources("reviews")
    assert sources["1"] == {**rows_of([1])[0], "predicted_label": None, "stars": 5}
    assert sources["2"] == rows_of([2])[0]
    assert sources["7"] == {"id": 7, "predicted_label": None}


def test_overwriting_without_a_key_replaces_all_documents(server: SearchServer) -> None:
    write(server, [batch_of(range(5))], key=())
    write(server, [batch_of([8])], key=(), overwrite=True)
    assert server.sources("reviews") == {"1": rows_of([8])[0]}


@pytest.mark.parametrize("key", ["id", ()])
@pytest.mark.parametrize("fault", ["PUT /fastlstm-checkpoints/_doc", "/_bulk"])
def test_resumed_runs_write_every_document_once(server: SearchServer, key: str | Sequence[str], fault: str) -> None:
    sink = open_sink(f"{server.url}/reviews", key=key)
    sink.start(SCHEMA, resume=False)
    write_and_commit(sink, range(5))
    server.fail(fault, 500)
    with pytest.raises(WriteError):
        write_and_commit(sink, range(5, 12))
    sink.close()
    again = open_sink(f"{server.url}/reviews", key=key)
    assert again.start(SCHEMA, resume=True) == {"next": 5}
    again.write(table_of(range(5, 8)))
    again.write(table_of(range(8, 12)))
    again.commit({"next": 12, "end": True})
    again.finish()
    again.close()
    first = 0 if key else 1
    assert server.sources("reviews") == {str(row["id"] + first): row for row in rows_of(range(12))}
    finished = open_sink(f"{server.url}/reviews", key=key)
    assert finished.start(SCHEMA, resume=True) == {"next": 12, "end": True}


def test_keys_of_several_columns_are_joined(server: SearchServer) -> None:
    write(server, [batch_of([1, 2])], key=("id", "text"))
    assert set(server.sources("reviews")) == {f'[{n}, "Film {n}, très bon 好看"]' for n in (1, 2)}


def test_runs_without_a_checkpoint_cannot_be_resumed(server: SearchServer) -> None:
    with pytest.raises(ResumeError) as caught:
        open_sink(f"{server.url}/reviews").start(SCHEMA, resume=True)
    assert caught.value.code == "no-checkpoint"
    write(server, [batch_of([1])])
    del server.indexes["reviews"]
    with pytest.raises(ResumeError):
        open_sink(f"{server.url}/reviews").start(SCHEMA, resume=True)


def test_a_new_run_forgets_the_checkpoint_of_an_earlier_one(server: SearchServer) -> None:
    write(server, [batch_of([1])])
    open_sink(f"{server.url}/reviews", key="id", overwrite=True).start(SCHEMA, resume=False)
    with pytest.raises(ResumeError):
        open_sink(f"{server.url}/reviews", key="id").start(SCHEMA, resume=True)


@pytest.mark.parametrize("checkpoint", [{}, {"a.b": {"": [1, None, "é\ud800"]}}, {"x": "y" * 100_000}])
def test_checkpoints_are_kept_exactly(server: SearchServer, checkpoint: dict[str, Any]) -> None:
    sink = open_sink(f"{server.url}/reviews")
    sink.start(SCHEMA, resume=False)
    sink.commit(checkpoint)
    assert open_sink(f"{server.url}/reviews").start(SCHEMA, resume=True) == checkpoint


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
        chunks.close()  # type: ignore[attr-defined]
        assert server.points_in_time == {}
        position = json.loads(json.dumps(first[-1].position))
        rest = open_source(f"{server.url}/reviews?page_size=10", key=key).chunks(position)
        rows = [row for chunk in (*first, *rest) for row in chunk.batch.to_pylist()]
        assert rows == expected


def test_source_continues_when_the_point_in_time_has_expired(server: SearchServer) -> None:
    write(server, [batch_of(range(20))])
    expected = read(f"{server.url}/reviews")
    rows = []
    for chunk in open_source(f"{server.url}/reviews?page_size=6").chunks(None):
        rows += chunk.batch.to_pylist()
        server.points_in_time.clear()
    assert rows == expected


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


@pytest.mark.skipif(REAL_SERVER is None, reason="FASTLSTM_TEST_ELASTICSEARCH is not the URL of a server")
def test_real_servers_keep_and_return_rows() -> None:
    """FASTLSTM_TEST_ELASTICSEARCH is a URL with an index, whose documents are replaced."""
    assert REAL_SERVER is not None
    sink = open_sink(REAL_SERVER, overwrite=True)
    sink.start(SCHEMA, resume=False)
    sink.write(table_of(range(1000)))
    sink.commit({"next": 1000})
    sink.write(table_of(range(1000, 1200)))
    sink.close()
    sink = open_sink(REAL_SERVER)
    assert sink.start(SCHEMA, resume=True) == {"next": 1000}
    sink.write(table_of(range(1000, 1500)))
    sink.commit({"next": 1500})
    sink.finish()
    sink.close()
    for key in ((), "id"):
        source = open_source(REAL_SERVER + "?page_size=70", key=key)
        chunks = source.chunks(None)
        first = [next(chunks) for _ in range(3)]
        chunks.close()  # type: ignore[attr-defined]
        rows = [row for chunk in (*first, *source.chunks(first[-1].position)) for row in chunk.batch.to_pylist()]
        assert sorted(map(without_id, rows), key=lambda row: row["id"]) == rows_of(range(1500))
    sink = open_sink(REAL_SERVER, key="_id", overwrite=True)
    schema = pyarrow.schema({"_id": pyarrow.string(), "predicted_label": pyarrow.string()})
    sink.start(schema, resume=False)
    assert sink.write(pyarrow.Table.from_pylist([{"_id": "1", "predicted_label": "new"}], schema)) == []
    sink.finish()
    sink.close()
    assert [row["text"] for row in read(REAL_SERVER + '?query={"term":{"predicted_label":"new"}}')] == [
        "Film 0, très bon 好看"
    ]
