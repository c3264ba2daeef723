"""Part files, single files made of them, and checkpoints."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import dataset, parquet
from tests.helpers.scoring import SCHEMA, file_source, ids, make_table, names, read_rows, sink_of

from fastlstm.errors import OptionError, ResumeError, WriteError
from fastlstm.scoring import file_sink
from fastlstm.scoring.file_sink import CHECKPOINT_FILE, FileSink
from fastlstm.scoring.locations import locate
from fastlstm.serialization import atomic

FILES = ["t.parquet", "t.csv", "t.tsv", "t.jsonl", "t.csv.gz", "t.jsonl.gz"]


def write_parts(sink: FileSink, numbers: range, rows: int = 5) -> None:
    """Commit one part of some rows for each number."""
    for number in numbers:
        sink.write(make_table(rows, first=rows * number))
        sink.commit({"part": number})


@pytest.mark.parametrize("name", FILES)
def test_a_file_appears_when_it_is_complete(tmp_path: Path, name: str) -> None:
    sink = sink_of(tmp_path / name)
    sink.start(SCHEMA, resume=False)
    write_parts(sink, range(3))
    assert not (tmp_path / name).exists()
    sink.finish()
    assert names(tmp_path) == [name]
    rows = [row for chunk in file_source(tmp_path / name).chunks(None) for row in chunk.batch.to_pylist()]
    assert [int(row["id"]) for row in rows] == list(range(15))
    assert [row["text"] for row in rows] == make_table(15).column("text").to_pylist()


def test_names_with_a_dot_can_be_folders(tmp_path: Path) -> None:
    sink = sink_of(tmp_path / "scored-2024.06")
    sink.start(SCHEMA, resume=False)
    write_parts(sink, range(1))
    assert (tmp_path / "scored-2024.06").is_dir()


def test_a_folder_has_one_file_per_commit(tmp_path: Path) -> None:
    sink = sink_of(tmp_path / "out")
    sink.start(SCHEMA, resume=False)
    write_parts(sink, range(3))
    sink.finish()
    assert names(tmp_path / "out") == [
        CHECKPOINT_FILE,
        "part-00000000.parquet",
        "part-00000001.parquet",
        "part-00000002.parquet",
    ]
    assert read_rows(tmp_path / "out") == make_table(15).to_pylist()


@pytest.mark.parametrize("file_format", ["csv", "tsv", "jsonl"])
def test_every_file_of_a_folder_is_complete(tmp_path: Path, file_format: str) -> None:
    sink = sink_of(tmp_path / "out", file_format=file_format)
    sink.start(SCHEMA, resume=False)
    write_parts(sink, range(2))
    for number in range(2):
        source = file_source(tmp_path / "out" / f"part-0000000{number}.{file_format}")
        (chunk,) = source.chunks(None)
        assert list(map(int, chunk.batch.column("id").to_pylist())) == list(range(5 * number, 5 * number + 5))


@pytest.mark.parametrize("name", ["out", "t.parquet", "t.csv"])
def test_resuming_drops_what_was_not_committed(tmp_path: Path, name: str) -> None:
    sink = sink_of(tmp_path / name)
    sink.start(SCHEMA, resume=False)
    write_parts(sink, range(2))
    sink.write(make_table(5, first=100))  # killed before the commit
    sink.close()
    parts = tmp_path / (name if name == "out" else f"{name}.incomplete")
    (parts / f".part-00000003.parquet.{'0a' * 8}").write_bytes(b"half")
    again = sink_of(tmp_path / name)
    assert again.start(SCHEMA, resume=True) == {"part": 1}
    assert len(list(parts.glob("part-*"))) == 2
    assert not list(parts.glob(".part-*"))
    write_parts(again, range(2, 3))
    again.finish()
    assert ids(read_rows(tmp_path / name)) == list(range(15))


def test_a_run_that_was_killed_while_it_finished_can_be_finished(tmp_path: Path) -> None:
    sink = sink_of(tmp_path / "t.parquet")
    sink.start(SCHEMA, resume=False)
    write_parts(sink, range(2))
    sink.close()
    (tmp_path / "t.parquet.incomplete" / ".part-all").write_bytes(b"half")
    again = sink_of(tmp_path / "t.parquet")
    again.start(SCHEMA, resume=True)
    again.finish()
    assert names(tmp_path) == ["t.parquet"]
    assert ids(read_rows(tmp_path / "t.parquet")) == list(range(10))


def test_existing_results_are_not_replaced(tmp_path: Path) -> None:
    for name in ("out", "t.csv"):
        sink = sink_of(tmp_path / name)
        sink.start(SCHEMA, resume=False)
        write_parts(sink, range(1))
        for state in ("interrupted", "finished"):
            if state == "finished":
                sink.finish()
            with pytest.raises(OptionError) as error:
                sink_of(tmp_path / name).start(SCHEMA, resume=False)
            assert error.value.code == "output-exists"


def test_overwrite_replaces_an_earlier_result(tmp_path: Path) -> None:
    for name in ("out", "t.parquet"):
        for rows in (5, 3):
            sink = sink_of(tmp_path / name, overwrite=True)
            sink.start(SCHEMA, resume=False)
            write_parts(sink, range(2), rows=rows)
            sink.finish()
            sink.close()
        assert ids(read_rows(tmp_path / name)) == list(range(6))


def test_folders_with_other_files_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(OptionError) as error:
        sink_of(tmp_path, overwrite=True).start(SCHEMA, resume=False)
    assert error.value.code == "not-a-score-folder"
    assert names(tmp_path) == ["thesis.doc"]


def test_datasets_of_other_programs_are_never_replaced(tmp_path: Path) -> None:
    dataset.write_dataset(make_table(3), tmp_path / "out", format="parquet")
    with pytest.raises(OptionError) as error:
        sink_of(tmp_path / "out", overwrite=True).start(SCHEMA, resume=False)
    assert error.value.code == "not-a-score-folder"
    assert len(names(tmp_path / "out")) == 1


@pytest.mark.parametrize("name", ["out", "t.csv"])
def test_runs_whose_parts_were_deleted_cannot_be_resumed(tmp_path: Path, name: str) -> None:
    sink = sink_of(tmp_path / name)
    sink.start(SCHEMA, resume=False)
    write_parts(sink, range(3))
    parts = tmp_path / (name if name == "out" else f"{name}.incomplete")
    next(parts.glob("part-00000001.*")).unlink()
    sink.close()
    with pytest.raises(ResumeError) as error:
        sink_of(tmp_path / name).start(SCHEMA, resume=True)
    assert error.value.code == "missing-part"


def test_without_a_checkpoint_there_is_nothing_to_resume(tmp_path: Path) -> None:
    for name in ("out", "t.csv"):
        with pytest.raises(ResumeError) as error:
            sink_of(tmp_path / name).start(SCHEMA, resume=True)
        assert error.value.code == "no-checkpoint"


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format_version": 9, "parts": 1, "run": {}}'])
def test_damaged_checkpoints_raise(tmp_path: Path, content: str) -> None:
    (tmp_path / CHECKPOINT_FILE).write_text(content)
    with pytest.raises(ResumeError) as error:
        sink_of(tmp_path).start(SCHEMA, resume=True)
    assert error.value.code == "bad-checkpoint"


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("t.csv", {"partition_by": ["id"]}, "conflicting-options"),
    ("t.csv", {"file_format": "parquet"}, "conflicting-options"),
    ("t.xlsx", {}, "unknown-format"),
    ("out", {"partition_by": ["x"]}, "bad-option-value"),
    ("out", {"partition_by": SCHEMA.names}, "bad-option-value"),
]


@pytest.mark.parametrize(("name", "options", "code"), WRONG)
def test_wrong_options_raise(tmp_path: Path, name: str, options: dict[str, Any], code: str) -> None:
    with pytest.raises(OptionError) as error:
        sink_of(tmp_path / name, **options).start(SCHEMA, resume=False)
    assert error.value.code == code


@pytest.mark.parametrize(
    "kind", [pyarrow.list_(pyarrow.string()), pyarrow.binary(), pyarrow.large_binary()], ids=str
)
def test_columns_that_do_not_fit_csv_are_refused(tmp_path: Path, kind: pyarrow.DataType) -> None:
    schema = pyarrow.schema([("text", pyarrow.string()), ("tags", kind)])
    with pytest.raises(OptionError) as error:
        sink_of(tmp_path / "t.csv").start(schema, resume=False)
    assert (error.value.code, error.value.column) == ("unsupported-column", "tags")
    sink_of(tmp_path / "t.jsonl").start(schema, resume=False)


def test_folders_that_cannot_be_written_raise(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WriteError) as error:
        sink_of(tmp_path / "file" / "t.csv").start(SCHEMA, resume=False)
    assert error.value.path == str(tmp_path / "file" / "t.csv.incomplete")


@pytest.mark.parametrize("name", ["out", "t.csv"])
def test_two_runs_cannot_write_to_one_sink(tmp_path: Path, name: str) -> None:
    first = sink_of(tmp_path / name)
    first.start(SCHEMA, resume=False)
    write_parts(first, range(1))
    for options in ({"resume": True}, {"resume": False}):
        with pytest.raises(OptionError) as error:
            sink_of(tmp_path / name, overwrite=True).start(SCHEMA, **options)
        assert error.value.code == "sink-in-use"
    first.close()
    assert sink_of(tmp_path / name).start(SCHEMA, resume=True) == {"part": 0}


def test_the_target_of_a_link_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "t.csv").symlink_to(tmp_path / "data" / "t.csv")
    sink = sink_of(tmp_path / "t.csv")
    sink.start(SCHEMA, resume=False)
    write_parts(sink, range(1))
    sink.finish()
    assert (tmp_path / "t.csv").is_symlink()
    assert names(tmp_path / "data") == ["t.csv"]


def test_columns_of_lists_cannot_become_folders(tmp_path: Path) -> None:
    schema = pyarrow.schema([("text", pyarrow.string()), ("tags", pyarrow.list_(pyarrow.string()))])
    with pytest.raises(OptionError) as error:
        sink_of(tmp_path / "out", partition_by=["tags"]).start(schema, resume=False)
    assert error.value.code == "bad-option-value"
    assert not (tmp_path / "out").exists()


def test_a_parquet_file_has_one_row_group_per_part(tmp_path: Path) -> None:
    sink = sink_of(tmp_path / "t.parquet")
    sink.start(SCHEMA, resume=False)
    write_parts(sink, range(3))
    sink.finish()
    assert parquet.ParquetFile(tmp_path / "t.parquet").metadata.num_row_groups == 3


def test_a_failure_while_an_object_is_written_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = dataclasses.replace(locate(tmp_path / "t.parquet"), is_local=False)  # written in place, as objects are
    (tmp_path / "t.parquet.incomplete").mkdir()
    sink = FileSink(store)
    sink.start(SCHEMA, resume=False)
    write_parts(sink, range(2))

    def fail(parts: object, stream: Any) -> None:
        del parts
        stream.write(b"half")
        raise OSError("connection lost")

    with monkeypatch.context() as patch:
        patch.setattr(file_sink, "_combine_parquet", fail)
        with pytest.raises(WriteError):
            sink.finish()
    assert not (tmp_path / "t.parquet").exists()
    again = FileSink(store)
    again.start(SCHEMA, resume=True)
    again.finish()
    assert ids(read_rows(tmp_path / "t.parquet")) == list(range(10))


def test_an_earlier_object_stays_if_the_new_one_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"earlier")
    store = dataclasses.replace(locate(tmp_path / "t.parquet"), is_local=False)  # written in place, as objects are
    (tmp_path / "t.parquet.incomplete").mkdir()
    sink = FileSink(store, overwrite=True)
    sink.start(SCHEMA, resume=False)
    write_parts(sink, range(2))

    class ReadOnlyFilesystem:
        def __getattr__(self, name: str) -> Any:
            return getattr(store.filesystem, name)

        def open_output_stream(self, *_: object, **__: object) -> Any:
            raise OSError("access denied")

    sink._location = dataclasses.replace(store, filesystem=ReadOnlyFilesystem())
    with pytest.raises(WriteError):
        sink.finish()
    assert (tmp_path / "t.parquet").read_bytes() == b"earlier"


def test_a_run_that_was_killed_before_its_first_commit_can_start_again(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f".{CHECKPOINT_FILE}.{'0a' * 8}").write_bytes(b"half")
    sink = sink_of(tmp_path / "out")
    sink.start(SCHEMA, resume=False)
    write_parts(sink, range(2))
    sink.close()
    killed = sink_of(tmp_path / "out", overwrite=True)
    killed.start(SCHEMA, resume=False)  # the parts are deleted, and nothing is committed
    killed.close()
    resumed = sink_of(tmp_path / "out")
    with pytest.raises(ResumeError) as error:
        resumed.start(SCHEMA, resume=True)
    assert error.value.code == "missing-part"
    resumed.close()
    again = sink_of(tmp_path / "out", overwrite=True)
    again.start(SCHEMA, resume=False)
    write_parts(again, range(1))
    assert ids(read_rows(tmp_path / "out")) == list(range(5))


def test_folders_of_incomplete_files_keep_other_files(tmp_path: Path) -> None:
    (tmp_path / "t.csv.incomplete").mkdir()
    (tmp_path / "t.csv.incomplete" / "thesis.doc").touch()
    with pytest.raises(OptionError) as error:
        sink_of(tmp_path / "t.csv", overwrite=True).start(SCHEMA, resume=False)
    assert error.value.code == "not-a-score-folder"
    assert names(tmp_path / "t.csv.incomplete") == ["thesis.doc"]


@pytest.mark.parametrize("options", [{"resume": True}, {"resume": False}])
def test_files_of_other_results_inside_a_folder_stay(tmp_path: Path, options: dict[str, bool]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "part-00000007.parquet").touch()
    for folder in (tmp_path / "out", tmp_path / "out" / "july"):
        sink = sink_of(folder)
        sink.start(SCHEMA, resume=False)
        write_parts(sink, range(3))
        sink.close()
    (tmp_path / "out" / "july" / f".part-00000003.parquet.{'0a' * 8}").touch()  # of another run
    (tmp_path / "out" / ".part-list").touch()
    (tmp_path / "out" / "link").symlink_to(tmp_path / "mine")
    again = sink_of(tmp_path / "out", overwrite=True)
    if options["resume"]:
        again.start(SCHEMA, resume=True)
    else:
        with pytest.raises(OptionError) as error:
            again.start(SCHEMA, resume=False)
        assert error.value.code == "not-a-score-folder"
    again.close()
    assert len(names(tmp_path / "out" / "july")) == 5
    assert (tmp_path / "out" / ".part-list").exists()
    assert names(tmp_path / "mine") == ["part-00000007.parquet"]


def test_a_file_that_appears_during_a_run_is_not_replaced(tmp_path: Path) -> None:
    sink = sink_of(tmp_path / "t.csv")
    sink.start(SCHEMA, resume=False)
    write_parts(sink, range(1))
    sink.close()
    (tmp_path / "t.csv").write_text("precious")
    with pytest.raises(OptionError) as error:
        sink_of(tmp_path / "t.csv").start(SCHEMA, resume=True)
    assert error.value.code == "output-exists"
    assert (tmp_path / "t.csv").read_text() == "precious"


def test_a_run_that_was_killed_after_its_file_was_complete_can_be_finished(tmp_path: Path) -> None:
    sink = sink_of(tmp_path / "t.csv")
    sink.start(SCHEMA, resume=False)
    write_parts(sink, range(2))
    checkpoint = tmp_path / "t.csv.incomplete" / CHECKPOINT_FILE
    part = tmp_path / "t.csv.incomplete" / "part-00000000.csv"
    content = part.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileSink, "_delete_parts", lambda *_: None)
        patch.setattr(type(sink._checkpoint_file), "delete", lambda _: None)
        sink.finish()
    sink.close()
    assert checkpoint.is_file()
    assert part.read_bytes() == content
    again = sink_of(tmp_path / "t.csv")
    again.start(SCHEMA, resume=True)
    again.finish()
    assert names(tmp_path) == ["t.csv"]
    assert [int(number) for number in ids(read_rows(tmp_path / "t.csv"))] == list(range(10))


@pytest.mark.parametrize("name", ["t.csv.bz2", "t.csv.zst", "t.parquet.gz", "t.tar"])
def test_unknown_formats_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError) as error:
        sink_of(tmp_path / name)
    assert error.value.code == "unknown-format"


def test_pipes_are_no_sinks(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(OptionError) as error:
        sink_of(tmp_path / "t.csv")
    assert error.value.code == "bad-location"


def test_a_run_that_was_killed_right_after_its_file_appeared_can_be_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = sink_of(tmp_path / "t.csv")
    sink.start(SCHEMA, resume=False)
    write_parts(sink, range(2))
    replace_file = atomic.replace_file

    def kill(temporary: Path, path: Path) -> None:
        replace_file(temporary, path)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "replace_file", kill)
        with pytest.raises(KeyboardInterrupt):
            sink.finish()
    sink.close()
    assert names(tmp_path) == ["t.csv", "t.csv.incomplete"]
    again = sink_of(tmp_path / "t.csv")
    again.start(SCHEMA, resume=True)
    again.finish()
    assert names(tmp_path) == ["t.csv"]
    assert list(map(int, ids(read_rows(tmp_path / "t.csv")))) == list(range(10))
