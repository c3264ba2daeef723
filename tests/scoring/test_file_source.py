"""Rows of Parquet, CSV, TSV and JSON Lines files, from any position."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet
from tests.helpers.scoring import file_source, make_table, write_table

from fastlstm.errors import DataError, OptionError, ResumeError
from fastlstm.scoring import file_readers
from fastlstm.scoring.file_source import FileSource
from fastlstm.scoring.interfaces import Chunk, Position
from fastlstm.scoring.locations import locate

FILES = ["t.parquet", "t.csv", "t.tsv", "t.jsonl", "t.ndjson", "t.csv.gz", "t.jsonl.gz"]


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_readers, "ROWS_PER_CHUNK", 7)


def rows_of(source: FileSource, position: Position = None) -> list[dict[str, Any]]:
    return [row for chunk in source.chunks(position) for row in chunk.batch.to_pylist()]


def as_numbers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with ids and stars as numbers: those of CSV are strings."""
    return [{**row, "id": int(row["id"]), "stars": float(row["stars"])} for row in rows]


@pytest.mark.parametrize("name", FILES)
def test_rows_of_every_format_are_equal(tmp_path: Path, name: str) -> None:
    table = make_table(25)
    rows = rows_of(file_source(write_table(tmp_path / name, table)))
    assert as_numbers(rows) == table.to_pylist()


@pytest.mark.parametrize("name", FILES)
def test_reading_continues_after_every_chunk(tmp_path: Path, name: str) -> None:
    source = file_source(write_table(tmp_path / name, make_table(25)))
    chunks = list(source.chunks(None))
    assert len(chunks) > 2
    everything = rows_of(source)
    seen = 0
    for chunk in chunks:
        seen += chunk.batch.num_rows
        position = json.loads(json.dumps(chunk.position))
        assert rows_of(source, position) == everything[seen:]


def test_fractions_increase_up_to_one(tmp_path: Path) -> None:
    for name in ("t.parquet", "t.csv", "t.jsonl.gz"):
        source = file_source(write_table(tmp_path / name, make_table(25)))
        fractions = [chunk.fraction for chunk in source.chunks(None)]
        assert all(fraction is not None and 0 < fraction <= 1 for fraction in fractions)
        assert fractions == sorted(fractions, key=lambda fraction: fraction or 0)


def test_folders_are_read_in_the_order_of_names_without_hidden_files(tmp_path: Path) -> None:
    write_table(tmp_path / "b.parquet", make_table(5, first=5))
    write_table(tmp_path / "a.parquet", make_table(5))
    write_table(tmp_path / "_c.parquet", make_table(5, first=100))
    write_table(tmp_path / ".d" / "d.parquet", make_table(5, first=100))
    (tmp_path / "_SUCCESS").touch()
    assert rows_of(file_source(tmp_path)) == make_table(10).to_pylist()


@pytest.mark.parametrize("extension", ["parquet", "csv", "jsonl"])
def test_folder_names_are_columns_and_reading_continues_in_a_later_file(tmp_path: Path, extension: str) -> None:
    for part, folder in enumerate(("year=2023/kind=a%20b", "year=2024/kind=__HIVE_DEFAULT_PARTITION__")):
        write_table(tmp_path / folder / f"x.{extension}", make_table(10, first=10 * part))
    source = file_source(tmp_path)
    assert source.schema.names == ["id", "text", "stars", "year", "kind"]
    rows = rows_of(source)
    assert [(row["year"], row["kind"]) for row in rows] == [("2023", "a b")] * 10 + [("2024", None)] * 10
    chunks = list(source.chunks(None))
    assert rows_of(source, chunks[-2].position) == rows[-chunks[-1].batch.num_rows :]


def test_only_wanted_columns_are_read(tmp_path: Path) -> None:
    for name in ("t.parquet", "t.csv", "t.jsonl"):
        source = file_source(write_table(tmp_path / name, make_table(3)), columns=["stars"])
        assert source.schema.names == ["stars", "text"]
        assert list(rows_of(source)[0]) == ["stars", "text"]


def test_cells_of_csv_files_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,code\ngood,007\nbad,\n,1e3\n")
    assert [row["code"] for row in rows_of(file_source(tmp_path / "t.csv"))] == ["007", "", "1e3"]


def test_dialect_and_encoding_are_those_of_other_commands(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("text;code\n'很好; 看';1\n'it''s';2\n'a';3\n".encode("gb18030"))
    source = file_source(tmp_path / "t.csv", encoding="gb18030")
    assert [row["text"] for row in rows_of(source)] == ["很好; 看", "it's", "a"]
    assert [note.code for note in source.notes] == ["dialect"]


BAD_FILES: list[tuple[str, bytes, list[tuple[int | str, str]]]] = [
    ("t.csv", b"id,text,stars\n1,good,2\n2,bad\n3,a,b,c\nid,text,stars\n4,\xff,1\n5,fine,1\n",
     [(3, "bad-csv-row"), (4, "bad-csv-row"), (5, "repeated-header"), (6, "not-utf8")]),
    ("t.jsonl", b'{"id": 1, "text": "good"}\n{"id": 2\n[3]\n{"id": 4, "text": "\xff"}\n{"id": 5, "text": "fine"}\n',
     [(2, "bad-json-line"), (3, "bad-json-line"), (4, "not-utf8")]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "expected"), BAD_FILES)
def test_rows_that_cannot_be_read_are_located(
    tmp_path: Path, name: str, content: bytes, expected: list[tuple[int | str, str]]
) -> None:
    (tmp_path / name).write_bytes(content)
    chunks = list(file_source(tmp_path / name).chunks(None))
    assert [(row.location, row.code) for chunk in chunks for row in chunk.bad_rows] == expected
    assert [int(row["id"]) for chunk in chunks for row in chunk.batch.to_pylist()] == [1, 5]


def test_strings_of_parquet_files_that_are_not_utf8_are_bad_rows(tmp_path: Path) -> None:
    texts = pyarrow.StringArray.from_buffers(
        3, pyarrow.array(["a", "bb", "c"]).buffers()[1], pyarrow.py_buffer(b"a\xff\xffc")
    )
    parquet.write_table(pyarrow.table({"id": [1, 2, 3], "text": texts}), tmp_path / "t.parquet")
    (chunk,) = file_source(tmp_path / "t.parquet").chunks(None)
    assert chunk.batch.column("id").to_pylist() == [1, 3]
    assert [(row.location, row.code) for row in chunk.bad_rows] == [(2, "not-utf8")]


def test_encodings_are_proposed_for_rows_that_are_not_utf8(tmp_path: Path) -> None:
    text = "".join(f"{n},这部电影非常好看，我很喜欢\n" for n in range(20))
    (tmp_path / "t.csv").write_bytes(("id,text\n" + text).encode("gb18030"))
    source = file_source(tmp_path / "t.csv")
    assert sum(len(chunk.bad_rows) for chunk in source.chunks(None)) == 20
    assert [note.code for note in source.notes] == ["encoding-proposed"]


def test_json_values_of_several_types_become_strings(tmp_path: Path) -> None:
    rows = [{"text": "a", "x": 1, "y": {"z": 1}}, {"text": "b", "x": "one", "y": [2]}, {"text": 5}]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert rows_of(file_source(tmp_path / "t.jsonl")) == [
        {"text": "a", "x": "1", "y": '{"z": 1}'},
        {"text": "b", "x": "one", "y": "[2]"},
        {"text": "5", "x": None, "y": None},
    ]


def test_later_json_rows_with_other_keys_or_types_are_bad_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_readers, "SCHEMA_ROWS", 2)
    rows = [{"text": "a", "x": 1}, {"text": "b"}, {"text": "c", "new": 1}, {"text": "d", "x": "no"}, {"text": "e"}]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    chunks = list(file_source(path).chunks(None))
    assert [(row.location, row.code) for chunk in chunks for row in chunk.bad_rows] == [
        (3, "unknown-key"),
        (4, "wrong-type"),
    ]
    assert [row["text"] for row in rows_of(file_source(path))] == ["a", "b", "e"]
    assert [row["text"] for row in rows_of(file_source(path, columns=[]))] == ["a", "b", "c", "d", "e"]


def test_long_rows_are_read_in_small_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_readers, "MAX_CHUNK_BYTES", 1000)
    table = pyarrow.table({"text": [f"{n} " + "long " * 150 for n in range(5)]})
    for name in ("t.parquet", "t.csv", "t.jsonl"):
        chunks: list[Chunk] = list(file_source(write_table(tmp_path / name, table)).chunks(None))
        assert max(chunk.batch.num_rows for chunk in chunks) <= 2
        assert [row for chunk in chunks for row in chunk.batch.to_pylist()] == table.to_pylist()


def test_files_with_other_columns_raise(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", make_table(3))
    (tmp_path / "b.csv").write_text("text,other\ngood,1\n")
    with pytest.raises(DataError) as error:
        rows_of(file_source(tmp_path))
    assert error.value.code == "other-columns"
    assert error.value.source == str(tmp_path / "b.csv")


def test_changed_files_cannot_be_resumed(tmp_path: Path) -> None:
    path = write_table(tmp_path / "data" / "a.parquet", make_table(20))
    position = next(iter(file_source(path.parent).chunks(None))).position
    write_table(tmp_path / "data" / "b.parquet", make_table(20))
    with pytest.raises(ResumeError) as error:
        rows_of(file_source(path.parent), position)
    assert error.value.code == "source-changed"


def test_files_of_equal_size_that_changed_cannot_be_resumed(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("id,text\n" + "1,good\n" * 20)
    position = next(iter(file_source(path).chunks(None))).position
    path.write_text("id,text\n" + "2,fine\n" * 20)
    os.utime(path, ns=(1, 1))
    with pytest.raises(ResumeError) as error:
        rows_of(file_source(path), position)
    assert error.value.code == "source-changed"


def _damage(path: Path) -> int:
    return path.write_bytes(path.read_bytes()[:-20])


def test_integers_of_more_than_64_bits_become_strings(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "a", "n": 1000000000000000000000}\n{"text": "b", "n": 1}\n')
    assert [row["n"] for row in rows_of(file_source(tmp_path / "t.jsonl"))] == ["1000000000000000000000", "1"]


WRONG: list[tuple[str, Callable[[Path], object], dict[str, Any], str]] = [
    ("missing.csv", lambda _: None, {}, "file-not-found"),
    ("t.csv", lambda path: write_table(path, make_table(3)), {"text_column": "review"}, "missing-column"),
    ("t.parquet", lambda path: write_table(path, make_table(3)), {"columns": ["x"]}, "missing-column"),
    ("t.parquet", lambda path: _damage(write_table(path, make_table(3))), {}, "bad-parquet-file"),
    ("t.csv", lambda path: path.write_text("text,a,a\n"), {}, "duplicate-column"),
    ("t.xlsx", lambda path: path.write_bytes(b"PK"), {}, "unknown-format"),
    ("folder", lambda path: path.mkdir(), {}, "empty-dataset"),
    ("mixed", lambda path: (write_table(path / "a.csv", make_table(1)), write_table(path / "b.jsonl", make_table(1))),
     {}, "mixed-formats"),
    ("parts", lambda path: (write_table(path / "a=1/a.csv", make_table(1)), write_table(path / "b.csv", make_table(1))),
     {}, "mixed-partitions"),
    ("t.csv", lambda path: path.write_bytes("text,größe\n".encode("latin-1")), {}, "not-utf8"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "prepare", "options", "code"), WRONG)
def test_wrong_sources_raise(
    tmp_path: Path, name: str, prepare: Callable[[Path], object], options: dict[str, Any], code: str
) -> None:
    prepare(tmp_path / name)
    with pytest.raises(DataError) as error:
        file_source(tmp_path / name, **options)
    assert error.value.code == code


def test_unknown_schemes_raise_without_credentials() -> None:
    with pytest.raises(OptionError) as error:
        locate("ftp://user:secret@host/x.csv")
    assert error.value.code == "bad-location"
    assert "secret" not in str(error.value)


def test_file_uris_are_local(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.parquet", make_table(3))
    location = locate(path.as_uri())
    assert location.is_local
    assert location.is_file


def test_a_folder_that_is_linked_into_itself_is_read_once(tmp_path: Path) -> None:
    write_table(tmp_path / "in" / "a" / "t.csv", make_table(3))
    (tmp_path / "in" / "a" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "b").symlink_to(tmp_path / "in" / "a")
    assert len(rows_of(file_source(tmp_path / "in"))) == 6  # b is another name of a, as the user wished


def test_a_source_is_the_same_from_every_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(tmp_path / "in" / "t.csv", make_table(3))
    monkeypatch.chdir(tmp_path)
    source = file_source(Path("in"))
    monkeypatch.chdir(tmp_path / "in")
    again = file_source(Path("../in"))
    assert source.identity == again.identity
    assert source.name != again.name


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('{"text": "half \\ud83d"}', "bad-json-line"),
        ('{"text": ' + "[" * 900 + "]" * 900 + "}", "bad-json-line"),
        ('{"text": ' + '{"a":' * 70 + "1" + "}" * 71, "bad-json-line"),
    ],
)
def test_json_lines_that_cannot_be_stored_are_bad_rows(tmp_path: Path, line: str, code: str) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(f'{{"text": "first \\ud83d\\ude00"}}\n{line}\n{{"text": "last"}}\n')
    chunks = list(file_source(file).chunks(None))
    assert [row["text"] for chunk in chunks for row in chunk.batch.to_pylist()] == ["first 😀", "last"]
    assert [(row.code, row.location) for chunk in chunks for row in chunk.bad_rows] == [(code, 2)]


def test_json_objects_without_keys_are_strings(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text('{"text": "a", "s": {}, "t": {"u": {}}, "tags": []}\n')
    source = file_source(file)
    assert source.schema.field("s").type == source.schema.field("t").type == pyarrow.string()
    (row,) = rows_of(source)
    assert (row["s"], row["t"], row["tags"]) == ("{}", '{"u": {}}', [])
    parquet.write_table(pyarrow.Table.from_pylist([row], source.schema), tmp_path / "t.parquet")


@pytest.mark.parametrize("name", ["t.csv.gz", "t.jsonl.gz"])
@pytest.mark.parametrize("damage", ["cut", "not gzip"])
def test_damaged_gzip_files_raise(tmp_path: Path, name: str, damage: str) -> None:
    file = write_table(tmp_path / name, make_table(500))
    content = file.read_bytes()
    file.write_bytes(content[:-20] if damage == "cut" else b"id,text\n1,a\n")
    with pytest.raises(DataError) as error:
        rows_of(file_source(file))
    assert error.value.code == "bad-gzip-file"


def test_views_of_strings_are_strings(tmp_path: Path) -> None:
    table = pyarrow.table({"text": pyarrow.array(["a", None], pyarrow.string_view())})
    parquet.write_table(table, tmp_path / "t.parquet")
    source = file_source(tmp_path / "t.parquet")
    assert source.schema.field("text").type == pyarrow.string()
    assert rows_of(source) == [{"text": "a"}, {"text": None}]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a\0b",
        "\udcff.csv",
        "postgresql:/ann:secret@host/shop?table=t",
        "postgres//ann:secret@host/shop?table=t",
        "postgresql:ann:secret@host/shop?table=t",
        "s3:/bucket/folder",
    ],
)
def test_paths_that_are_not_meant_as_paths_raise(path: str) -> None:
    with pytest.raises(OptionError) as error:
        locate(path)
    assert error.value.code == "bad-location"
    assert "secret" not in str(error.value)


def test_later_json_rows_with_other_keys_inside_are_bad_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_readers, "SCHEMA_ROWS", 2)
    rows = [{"a": 1}, {"a": 2}, {"a": 3, "b": 4}, {"a": None}]
    lists = [[{"c": 1}], [], [{"c": 1}], [{"d": 1}]]
    lines = [json.dumps({"text": "x", "m": row, "l": items}) for row, items in zip(rows, lists, strict=True)]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    chunks = list(file_source(tmp_path / "t.jsonl").chunks(None))
    assert [(row.code, row.location) for chunk in chunks for row in chunk.bad_rows] == [
        ("unknown-key", 3),
        ("unknown-key", 4),
    ]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_files_with_more_columns_than_the_first_one_raise(tmp_path: Path, name: str) -> None:
    write_table(tmp_path / "in" / f"1-{name}", make_table(3))
    more = make_table(3).append_column("more", pyarrow.array(["a"] * 3))
    write_table(tmp_path / "in" / f"2-{name}", more)
    with pytest.raises(DataError) as error:
        rows_of(file_source(tmp_path / "in"))
    assert error.value.code == "other-columns"
    assert len(rows_of(file_source(tmp_path / "in", columns=["id"]))) == 6


def test_numbers_are_never_rounded_to_the_type_of_the_first_file(tmp_path: Path) -> None:
    for number, kind in enumerate((pyarrow.float32(), pyarrow.float64())):
        table = pyarrow.table({"text": ["a"], "x": pyarrow.array([1e300 if number else 1.5], kind)})
        write_table(tmp_path / "in" / f"{number}.parquet", table)
    with pytest.raises(DataError) as error:
        rows_of(file_source(tmp_path / "in"))
    assert error.value.code == "other-columns"


def test_empty_files_have_no_header(tmp_path: Path) -> None:
    write_table(tmp_path / "in" / "2.csv", make_table(3))
    (tmp_path / "in" / "1.csv").touch()
    assert len(rows_of(file_source(tmp_path / "in"))) == 3


@pytest.mark.parametrize(("name", "option"), [("t.parquet", "encoding"), ("t.jsonl", "delimiter")])
def test_options_without_an_effect_are_refused(tmp_path: Path, name: str, option: str) -> None:
    path = write_table(tmp_path / name, make_table(3))
    with pytest.raises(OptionError) as error:
        file_source(path, **{option: "utf-8" if option == "encoding" else ";"})
    assert error.value.code == "conflicting-options"


def test_pipes_are_no_sources(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(DataError) as error:
        file_source(tmp_path / "t.csv")
    assert error.value.code == "file-not-found"


def test_names_of_files_must_be_unicode(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.csv")).write_text("text\na\n")
    with pytest.raises(DataError) as error:
        file_source(tmp_path)
    assert error.value.code == "unreadable-file"
