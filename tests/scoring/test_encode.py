"""Values of tables in text files."""

from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path

import pyarrow
from tests.helpers.scoring import names, sink_of

from fastlstm.scoring.encode import encode


def test_times_that_python_lacks_are_null(tmp_path: Path) -> None:
    seconds = pyarrow.array([300_000_000_000, 0, None], pyarrow.timestamp("s"))
    nanoseconds = pyarrow.array([1999, 1, None], pyarrow.timestamp("ns"))
    days = pyarrow.array([4_000_000, 0, -800_000], pyarrow.date32())
    inside = pyarrow.array([[1999], [], None], pyarrow.list_(pyarrow.timestamp("ns")))
    table = pyarrow.table({"id": [1, 2, 3], "s": seconds, "ns": nanoseconds, "day": days, "inside": inside})
    lines = [json.loads(line) for line in encode(table, "jsonl").splitlines()]
    epoch = "1970-01-01T00:00:00"
    assert lines == [
        {"id": 1, "s": None, "ns": f"{epoch}.000001", "day": None, "inside": [f"{epoch}.000001"]},
        {"id": 2, "s": epoch, "ns": epoch, "day": "1970-01-01", "inside": []},
        {"id": 3, "s": None, "ns": None, "day": None, "inside": None},
    ]
    assert encode(table.select(["id", "s"]), "csv").splitlines()[1:] == [b"1,", b"2,1970-01-01 00:00:00", b"3,"]
    sink = sink_of(tmp_path / "out", partition_by=["s"])
    sink.start(table.schema, resume=False)
    sink.write(table)
    assert names(tmp_path / "out") == ["s=1970-01-01%2000%3A00%3A00", "s=__HIVE_DEFAULT_PARTITION__"]


def test_values_that_json_cannot_represent_are_converted() -> None:
    table = pyarrow.table(
        {
            "float": [float("nan")],
            "when": [datetime.datetime(2024, 1, 2, 3, 4)],
            "price": [decimal.Decimal("1.50")],
            "raw": [b"\xff"],
            "tags": [["a", None]],
            "inner": [{"x": float("inf")}],
        }
    )
    assert json.loads(encode(table, "jsonl")) == {
        "float": None,
        "when": "2024-01-02T03:04:00",
        "price": "1.50",
        "raw": "/w==",
        "tags": ["a", None],
        "inner": {"x": None},
    }
