"""Scored rows as documents of an index: written with a sink, read with a source."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow
from tests.helpers.search_server import SearchServer

from fastlstm.data.options import BadRow
from fastlstm.integrations.elasticsearch import SearchSink, open_sink, open_source
from fastlstm.integrations.elasticsearch.sink import CHECKPOINT_INDEX

SCHEMA = pyarrow.schema(
    {
        "id": pyarrow.int64(),
        "text": pyarrow.string(),
        "predicted_label": pyarrow.string(),
        "predicted_probability": pyarrow.float32(),
    }
)


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
