"""Results whose files are in folders named after values of columns."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pytest
from pyarrow import dataset
from tests.helpers.scoring import ids, read_rows, sink_of

from fastlstm.errors import OptionError, ResumeError


def test_values_of_partition_columns_become_folders(tmp_path: Path) -> None:
    table = pyarrow.table(
        {"text": ["a", "b", "c", "d"], "year": [2023, 2024, None, 2024], "kind": ["x/y", "", "", None]}
    )
    sink = sink_of(tmp_path / "out", partition_by=["year", "kind"])
    sink.start(table.schema, resume=False)
    sink.write(table)
    sink.commit({})
    sink.finish()
    files = {path.parent.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.parquet")}
    assert files == {
        "year=2023/kind=x%2Fy",
        "year=2024/kind=",
        "year=2024/kind=__HIVE_DEFAULT_PARTITION__",
        "year=__HIVE_DEFAULT_PARTITION__/kind=",
    }
    rows = dataset.dataset(tmp_path / "out", partitioning="hive").to_table().to_pylist()
    assert sorted((row["text"], row["year"]) for row in rows) == [
        ("a", 2023),
        ("b", 2024),
        ("c", None),
        ("d", 2024),
    ]


def test_resuming_partitions_drops_what_was_not_committed(tmp_path: Path) -> None:
    table = pyarrow.table({"id": [1, 2], "year": [1, 2]})
    sink = sink_of(tmp_path / "out", partition_by=["year"])
    sink.start(table.schema, resume=False)
    sink.write(table)
    sink.commit({})
    sink.write(table)
    sink.close()
    again = sink_of(tmp_path / "out", partition_by=["year"])
    again.start(table.schema, resume=True)
    assert sorted(ids(read_rows(tmp_path / "out"))) == [1, 2]


def test_partitions_with_the_same_folder_keep_every_row(tmp_path: Path) -> None:
    table = pyarrow.table({"id": [1, 2, 3], "x": ["__HIVE_DEFAULT_PARTITION__", None, ""]})
    sink = sink_of(tmp_path / "out", partition_by=["x"])
    sink.start(table.schema, resume=False)
    sink.write(table)
    sink.commit({})
    assert sorted(ids(read_rows(tmp_path / "out"))) == [1, 2, 3]


def test_partitions_by_numbers_keep_every_row(tmp_path: Path) -> None:
    table = pyarrow.table({"id": [1, 2, 3, 4], "score": [0.5, float("nan"), None, float("nan")]})
    sink = sink_of(tmp_path / "out", partition_by=["score"])
    sink.start(table.schema, resume=False)
    sink.write(table)
    sink.commit({})
    assert sorted(ids(read_rows(tmp_path / "out"))) == [1, 2, 3, 4]


def test_partitions_without_rows_can_be_resumed(tmp_path: Path) -> None:
    table = pyarrow.table({"id": [1, 2], "year": [1, 2]})
    sink = sink_of(tmp_path / "out", partition_by=["year"])
    sink.start(table.schema, resume=False)
    for rows in (table, table.slice(0, 0), table.slice(1)):
        sink.write(rows)
        sink.commit({})
    sink.close()
    again = sink_of(tmp_path / "out", partition_by=["year"])
    assert again.start(table.schema, resume=True) == {}
    again.close()
    next((tmp_path / "out" / "year=2").glob("part-*")).unlink()
    with pytest.raises(ResumeError) as error:
        sink_of(tmp_path / "out", partition_by=["year"]).start(table.schema, resume=True)
    assert error.value.code == "missing-part"


def test_partitions_of_an_earlier_result_are_replaced(tmp_path: Path) -> None:
    table = pyarrow.table({"id": [1, 2], "year": [1, 2]})
    for columns in (["year"], [], ["year"]):
        sink = sink_of(tmp_path / "out", partition_by=columns, overwrite=True)
        sink.start(table.schema, resume=False)
        sink.write(table)
        sink.commit({})
        sink.close()
        assert sorted(ids(read_rows(tmp_path / "out"))) == [1, 2]


@pytest.mark.parametrize("column", ["_p", ".p", "b"])
def test_partitions_that_readers_skip_are_refused(tmp_path: Path, column: str) -> None:
    schema = pyarrow.schema({"id": pyarrow.int64(), column: pyarrow.binary() if column == "b" else pyarrow.int8()})
    with pytest.raises(OptionError) as error:
        sink_of(tmp_path / "out", partition_by=[column]).start(schema, resume=False)
    assert (error.value.code, error.value.option) == ("bad-option-value", "partition_by")
