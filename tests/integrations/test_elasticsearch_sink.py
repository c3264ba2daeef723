"""Indexes as sinks, against a server that follows the documented responses of both products."""

from __future__ import annotations

import base64
import decimal
import os
from collections.abc import Sequence
from typing import Any

import pyarrow
import pytest
from tests.helpers.scored_documents import (
    SCHEMA,
    batch_of,
    read,
    rows_of,
    saved_checkpoint,
    table_of,
    without_id,
    write,
    write_and_commit,
)
from tests.helpers.search_server import RESET, Index, SearchServer

from fastlstm.errors import OptionError, ResumeError, WriteError
from fastlstm.integrations.elasticsearch import open_sink, open_source
from fastlstm.integrations.elasticsearch.sink import CHECKPOINT_INDEX

REAL_SERVER = os.environ.get("FASTLSTM_TEST_ELASTICSEARCH")


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


@pytest.mark.parametrize("prefix", ["predicted_", "", "model.", "LSTM "])
def test_labels_of_any_prefix_are_keywords(server: SearchServer, prefix: str) -> None:
    kinds = {
        "other_label": pyarrow.string(),
        f"{prefix}label": pyarrow.string(),
        f"{prefix}probability": pyarrow.float32(),
    }
    write(server, [pyarrow.RecordBatch.from_pylist([], pyarrow.schema(kinds))], key=())
    types = {name: field["type"] for name, field in server.indexes["reviews"].properties.items()}
    assert types == {"other_label": "text", f"{prefix}label": "keyword", f"{prefix}probability": "float"}


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


@pytest.mark.parametrize("names", [("a", "a.b"), ("a.b", "a"), ("No.", "id"), ("a.b.c", "a.b")])
def test_columns_that_one_document_cannot_have_raise(server: SearchServer, names: tuple[str, str]) -> None:
    sink = open_sink(f"{server.url}/reviews")
    with pytest.raises(OptionError) as caught:
        sink.start(pyarrow.schema(dict.fromkeys(names, pyarrow.int64())), resume=False)
    assert (caught.value.code, caught.value.column in names) == ("unsupported-column", True)
    assert server.requests == []


def test_fields_inside_objects_are_never_changed(server: SearchServer) -> None:
    server.indexes["reviews"] = Index({"user": {"properties": {"age": {"type": "integer"}}}})
    schema = pyarrow.schema(
        {"id": pyarrow.int64(), "user": pyarrow.struct({"age": pyarrow.int64(), "name": pyarrow.string()})}
    )
    rows = [{"id": 1, "user": {"age": 3, "name": "Li"}}]
    write(server, [pyarrow.RecordBatch.from_pylist(rows, schema)])
    fields = server.indexes["reviews"].properties["user"]["properties"]
    assert {name: field["type"] for name, field in fields.items()} == {"age": "integer", "name": "text"}
    assert server.sources("reviews") == {"1": rows[0]}


def test_the_last_of_repeated_keys_counts_on_a_busy_server(server: SearchServer) -> None:
    first, last = ({**rows_of([1])[0], "text": text} for text in ("first", "last"))
    server.fail("/_bulk", 429, 1, item="1")
    write(server, [pyarrow.RecordBatch.from_pylist([first, *rows_of([2]), last], SCHEMA)])
    assert server.sources("reviews") == {"1": last, "2": rows_of([2])[0]}


def test_runs_whose_index_was_created_again_cannot_be_resumed(server: SearchServer) -> None:
    write(server, [batch_of([1, 2])])
    server.indexes["reviews"] = Index(server.indexes["reviews"].properties)
    sink = open_sink(f"{server.url}/reviews", key="id")
    with pytest.raises(ResumeError) as caught:
        sink.start(SCHEMA, resume=True)
    sink.close()
    assert (caught.value.code, caught.value.path) == ("sink-changed", f"{server.url}/reviews")


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
    server.fail("PUT /fastlstm-checkpoints/_doc", RESET)
    write(server, [batch_of(range(10))])
    assert server.sources("reviews") == {str(row["id"]): row for row in rows_of(range(10))}


@pytest.mark.parametrize("item", [None, "5"])
def test_servers_that_stay_busy_raise(server: SearchServer, item: str | None) -> None:
    sink = open_sink(f"{server.url}/reviews", key="id")
    sink.start(SCHEMA, resume=False)
    server.fail("/_bulk", 429, 100, item=item)
    with pytest.raises(WriteError) as caught:
        sink.write(table_of(range(10)))
    sink.close()
    assert (caught.value.code, caught.value.status) == ("server-busy", 429)
    assert server.sources(CHECKPOINT_INDEX) == {}


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
    batch = pyarrow.RecordBatch.from_pylist([{"name": ""}, {"name": "a"}], pyarrow.schema({"name": "string"}))
    assert [(row.location, row.code) for row in write(server, [batch], key="name")] == [(1, "missing-key")]
    assert set(server.sources("reviews")) == {"1", "3", "a"}


def test_rows_without_a_key_need_an_empty_index(server: SearchServer) -> None:
    write(server, [batch_of([1, 2])])
    for overwrite in (False, True):
        with pytest.raises(OptionError) as caught:
            write(server, [batch_of([3])], key=(), overwrite=overwrite)
        assert (caught.value.code, caught.value.path) == ("output-exists", f"{server.url}/reviews")
    assert set(server.sources("reviews")) == {"1", "2"}
    assert saved_checkpoint(server)["finished"]


def test_interrupted_runs_are_not_started_again_unless_requested(server: SearchServer) -> None:
    sink = open_sink(f"{server.url}/reviews", key="id")
    sink.start(SCHEMA, resume=False)
    sink.commit({"finished": False})
    sink.close()
    with pytest.raises(OptionError) as caught:
        write(server, [batch_of([1])])
    assert caught.value.code == "output-exists"
    write(server, [batch_of([1])], overwrite=True)
    assert saved_checkpoint(server)["finished"]


def test_patterns_are_no_sinks(server: SearchServer) -> None:
    for pattern in ("review*", "a,b"):
        with pytest.raises(OptionError) as caught:
            open_sink(f"{server.url}/{pattern}", overwrite=True)
        assert caught.value.code == "bad-database-url"


def test_a_key_updates_documents(server: SearchServer) -> None:
    write(server, [batch_of([1, 2])])
    server.indexes["reviews"].documents["1"].source["stars"] = 5
    schema = pyarrow.schema({"id": pyarrow.int64(), "predicted_label": pyarrow.string()})
    batch = pyarrow.RecordBatch.from_pylist([{"id": 1, "predicted_label": None}, {"id": 7}], schema)
    write(server, [batch], overwrite=True)
    sources = server.sources("reviews")
    assert sources["1"] == {**rows_of([1])[0], "predicted_label": None, "stars": 5}
    assert sources["2"] == rows_of([2])[0]
    assert sources["7"] == {"id": 7, "predicted_label": None}


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


@pytest.mark.skipif(REAL_SERVER is None, reason="FASTLSTM_TEST_ELASTICSEARCH is not the URL of a server")
def test_real_servers_keep_and_return_rows() -> None:
    """FASTLSTM_TEST_ELASTICSEARCH is a URL with an index that does not exist."""
    assert REAL_SERVER is not None
    sink = open_sink(REAL_SERVER, overwrite=True)  # the index must not exist
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
        chunks.close()
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
