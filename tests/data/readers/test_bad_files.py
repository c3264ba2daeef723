"""Invalid files and folders of labelled texts raise errors that name the file and the row."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pytest
from tests.helpers.files import WriteFile

from fastlstm.data.readers.labelled import read_dataset
from fastlstm.errors import DataError, MissingDependencyError, OptionError


def read_error(path: Path, **options: str) -> DataError:
    """Return the error of reading `path`, whose one-line message names the file and the row."""
    with pytest.raises(DataError) as raised:
        read_dataset(path, **{"on_bad_rows": "stop", **options})
    error = raised.value
    message = str(error)
    assert "\n" not in message
    if "source" in error.values:
        assert error.source in message
    if error.values.get("location") is not None:
        assert f" {error.location} of {error.source}" in message
    return error


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        (",x", "empty-text"),
        ('" \n\t",x', "empty-text"),
        ("words, ", "missing-label"),
        ("words,NA", "missing-label"),
        ("a,b,c", "bad-csv-row"),
        ("words", "bad-csv-row"),
        ('"a" b', "bad-csv-quoting"),
        ('"words, and more,x', "bad-csv-quoting"),
        ("text,label", "repeated-header"),
    ],
)
def test_bad_table_row_raises_data_error_with_its_line(write: WriteFile, cells: str, code: str) -> None:
    error = read_error(write("reviews.csv", f'text,label\n"good\nwords",y\n{cells}\n'))
    assert (error.code, error.source, error.location) == (code, "reviews.csv", 4)
    assert [(row.location, row.code) for row in error.bad_rows] == [(4, code)]


@pytest.mark.parametrize(("row", "location"), [(b"words,x\ncaf\xe9,x\n", 3), (b"words,\xe9\n", 2)])
def test_text_or_label_that_is_not_utf8_raises_data_error(write: WriteFile, row: bytes, location: int) -> None:
    error = read_error(write("reviews.csv", b"text,label\n" + row))
    assert (error.code, error.location) == ("not-utf8", location)


def test_header_that_is_not_utf8_raises_data_error(write: WriteFile) -> None:
    error = read_error(write("reviews.csv", "text,label,größe\nwords,x,y\n".encode("latin-1")))
    assert (error.code, error.location) == ("not-utf8", 1)


@pytest.mark.parametrize(
    ("name", "content", "column", "option"),
    [
        ("reviews.csv", "text,label\nwords,x\n", "txt", "`text_column`"),
        ("reviews.tsv", "text\tstars\nwords\tx\n", "label", "`label_column`"),
    ],
)
def test_missing_column_raises_data_error_with_the_columns(
    write: WriteFile, name: str, content: str, column: str, option: str
) -> None:
    error = read_error(write(name, content), **({"text_column": "txt"} if column == "txt" else {}))
    assert error.code == "missing-column"
    assert (error.column, error.source) == (column, name)
    assert option in str(error)
    assert all(column in str(error) for column in error.columns)


def test_missing_column_message_shortens_long_columns(write: WriteFile) -> None:
    error = read_error(write("reviews.csv", '"no\nheader",' + "x" * 100 + ",y" * 20 + "\n"))
    assert error.code == "missing-column"
    assert f"'no\\nheader', {'x' * 37}..., {'y, ' * 10}..." in str(error)
    assert error.columns == ["no\nheader", "x" * 100, *["y"] * 20]


def test_two_columns_of_one_name_raise_data_error(write: WriteFile) -> None:
    error = read_error(write("reviews.csv", "text,label,text\na,b,c\n"))
    assert (error.code, error.column) == ("duplicate-column", "text")
    assert error.columns == ["text", "label", "text"]


def test_wrong_delimiter_raises_data_error(write: WriteFile) -> None:
    error = read_error(write("reviews.csv", "text;label\nfine;good\n"), delimiter="comma")
    assert (error.code, error.columns) == ("wrong-delimiter", ["text;label"])
    assert "';'" in str(error)


def test_table_without_a_header_raises_data_error(write: WriteFile) -> None:
    error = read_error(write("reviews.csv", "the first review is no name for a column,good\nfine,bad\n"))
    assert (error.code, error.column) == ("missing-header", "text")


def test_one_column_for_text_and_label_raises_option_error(write: WriteFile) -> None:
    with pytest.raises(OptionError) as raised:
        read_dataset(write("reviews.csv", "text,label\n"), label_column="text")
    assert (raised.value.code, raised.value.column) == ("same-column", "text")


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ('{"text": ["a"], "label": "x"}', "not-a-text"),
        ('{"text": null, "label": "x"}', "empty-text"),
        ('{"text": NaN, "label": "x"}', "empty-text"),
        ('{"text": "\\ud800", "label": "x"}', "invalid-unicode"),
        ('{"text": "a", "label": null}', "missing-label"),
        ('{"text": "a", "label": NaN}', "missing-label"),
        ('{"text": "a", "label": ["x"]}', "bad-label"),
        ('{"text": "a", "label": "x"', "bad-json-line"),
        ('["a", "x"]', "bad-json-line"),
        ('{"body": "a", "label": "x"}', "missing-column"),
    ],
)
def test_bad_json_line_raises_data_error_with_its_line(write: WriteFile, row: str, code: str) -> None:
    error = read_error(write("reviews.jsonl", '{"text": "words", "label": "x"}\n\n' + row))
    assert (error.code, error.source, error.location) == (code, "reviews.jsonl", 3)


@pytest.mark.parametrize("line", ["[" * 200_000, '{"text": "a", "label": ' + "1" * 5000 + "}"])
def test_json_that_python_cannot_parse_raises_data_error(write: WriteFile, line: str) -> None:
    error = read_error(write("reviews.jsonl", line))
    assert (error.code, error.location) == ("bad-json-line", 1)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("no label", "missing-label"),
        ("text first __label__x", "missing-label"),
        ("__label__a __label__b words", "several-labels"),
        ("__label__a words __label__b", "several-labels"),
        ("__label__ words", "missing-label"),
        ("__label__x", "empty-text"),
    ],
)
def test_bad_fasttext_line_raises_data_error_with_its_location(write: WriteFile, line: str, code: str) -> None:
    error = read_error(write("reviews.txt", f"__label__x words\n{line}\n"))
    assert (error.code, error.source, error.location) == (code, "reviews.txt", 2)
    assert "column" not in str(error)


def test_label_prefix_inside_a_word_is_text(write: WriteFile) -> None:
    path = write("reviews.txt", "__label__x the mark is called my__label__\n")
    assert read_dataset(path).texts == ["the mark is called my__label__"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *[(name, "") for name in ("a.csv", "a.tsv", "a.jsonl", "a.ndjson", "a.txt", "a.csv.gz", "a.txt.gz")],
        ("a.csv", "text,label\n"),
        ("a.txt", "\n \n"),
        ("a.jsonl", "\n"),
    ],
)
def test_empty_file_raises_data_error(write: WriteFile, name: str, content: str) -> None:
    error = read_error(write(name, content))
    assert (error.code, error.source) == ("empty-dataset", name)


def test_missing_file_raises_data_error(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    error = read_error(path)
    assert (error.code, error.path) == ("file-not-found", path)
    assert repr(str(path)) in str(error)


@pytest.mark.parametrize("content", [b"PK\x03\x04 and more", b"\xd0\xcf\x11\xe0", b"PAR1\x15", b"\x1f\x8b\x08"])
@pytest.mark.parametrize("name", ["reviews.csv", "reviews.tsv", "reviews.jsonl", "reviews.txt"])
def test_a_binary_file_with_an_ending_of_text_is_recognized(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content + b"\x00" * 100)
    error = read_error(path)
    assert (error.code, error.source) == ("binary-file", name)


@pytest.mark.parametrize("name", ["reviews.xlsx", "reviews", "reviews.json", "reviews.gz", "reviews.parquet.gz"])
def test_unknown_extension_raises_data_error_with_the_known_ones(write: WriteFile, name: str) -> None:
    error = read_error(write(name, "text"))
    assert (error.code, error.source) == ("unknown-format", name)
    assert all(extension in str(error) for extension in (".csv", ".tsv", ".jsonl", ".ndjson", ".txt", ".parquet"))


@pytest.mark.parametrize("damage", ["not gzipped", "truncated", "inside"])
def test_damaged_gzip_file_raises_data_error(tmp_path: Path, damage: str) -> None:
    packed = gzip.compress(b"text,label\nsome words,x\n" * 50)
    inside = packed[:12] + b"\xff" * 8 + packed[20:]
    damaged = {"not gzipped": b"text,label\na,b\n", "truncated": packed[:-20], "inside": inside}
    path = tmp_path / "reviews.csv.gz"
    path.write_bytes(damaged[damage])
    error = read_error(path)
    assert (error.code, error.source) == ("bad-gzip-file", "reviews.csv.gz")


def test_gzip_file_of_no_bytes_is_empty(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv.gz").touch()
    assert read_error(tmp_path / "reviews.csv.gz").code == "empty-dataset"


def test_folder_without_class_folders_raises_data_error(write: WriteFile) -> None:
    error = read_error(write("reviews/a.txt", "words").parent)
    assert (error.code, error.source) == ("no-class-folders", "reviews")


def test_class_folder_without_texts_raises_data_error(write: WriteFile) -> None:
    write("reviews/good/a.txt", "words")
    error = read_error(write("reviews/images/a.png", "").parent.parent)
    assert (error.code, error.source) == ("no-text-files", "folder images of reviews")


def test_folder_above_the_class_folders_raises_data_error(write: WriteFile) -> None:
    write("reviews/train/urls.txt", "words")
    write("reviews/train/good/a.txt", "words")
    error = read_error(write("reviews/train/bad/a.txt", "words").parents[2])
    assert error.code == "nested-folders"
    assert error.values == {"source": "folder train of reviews", "folder": "bad"}


@pytest.mark.parametrize(("content", "code"), [(b" \n", "empty-text"), (b"caf\xe9", "not-utf8")])
def test_bad_file_of_a_folder_raises_data_error_with_its_name(write: WriteFile, content: bytes, code: str) -> None:
    write("reviews/good/a.txt", "words")
    error = read_error(write("reviews/good/b.txt", content).parents[1])
    assert (error.code, error.source, error.location) == (code, "reviews", "good/b.txt")


def test_damaged_gzip_file_of_a_folder_raises_data_error(write: WriteFile) -> None:
    path = write("reviews/good/a.txt", "words")
    path.rename(path.with_name("a.txt.gz"))
    error = read_error(path.parents[1])
    assert (error.code, error.source) == ("bad-gzip-file", "file good/a.txt.gz of reviews")


def test_unreadable_file_raises_data_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "reviews.csv"
    path.touch()

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    error = read_error(path)
    assert error.code == "unreadable-file"
    assert error.values == {"source": "reviews.csv", "reason": "Permission denied"}


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
def test_broken_symbolic_link_raises_data_error(write: WriteFile) -> None:
    path = write("reviews/good/a.txt", "words")
    path.with_name("b.txt").symlink_to("nowhere.txt")
    error = read_error(path.parents[1])
    assert error.code == "unreadable-file"
    assert error.values == {"source": "file good/b.txt of reviews", "reason": "No such file or directory"}


@pytest.mark.parametrize("damage", ["not parquet", "truncated", "inside"])
def test_damaged_parquet_file_raises_data_error(tmp_path: Path, damage: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "reviews.parquet"
    parquet.write_table(pyarrow.table({"text": ["some words"] * 100, "label": ["x"] * 100}), path)
    content = path.read_bytes()
    start = b"PAR1" + b"\xff" * 60
    damaged = {
        "not parquet": b"text,label\n" * 9,
        "truncated": content[:-50],
        "inside": start + content[len(start) :],
    }
    path.write_bytes(damaged[damage])
    error = read_error(path)
    assert (error.code, error.source) == ("bad-parquet-file", "reviews.parquet")


@pytest.mark.parametrize(
    ("columns", "code", "location"),
    [
        ({"text": [12, 13], "label": ["x", "y"]}, "numeric-text", None),
        ({"text": ["a", None], "label": ["x", "y"]}, "empty-text", 2),
        ({"text": ["a", "b"], "label": [1.0, None]}, "missing-label", 2),
        ({"text": ["a", "b"], "label": [b"1", b"2"]}, "bad-label", 1),
        ({"text": ["a", "b"], "stars": [1, 2]}, "missing-column", None),
        ({"text": [], "label": []}, "empty-dataset", None),
    ],
)
def test_bad_parquet_file_raises_data_error(
    tmp_path: Path, columns: dict[str, list[object]], code: str, location: int | None
) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "reviews.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    error = read_error(path)
    assert (error.code, error.source, error.values.get("location")) == (code, "reviews.parquet", location)


def test_parquet_text_that_is_not_utf8_raises_data_error(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    encoded = pyarrow.array([b"words", b"caf\xe9"])
    texts = pyarrow.Array.from_buffers(pyarrow.string(), 2, encoded.buffers())
    path = tmp_path / "reviews.parquet"
    parquet.write_table(pyarrow.table({"text": texts, "label": ["x", "y"]}), path)
    error = read_error(path)
    assert (error.code, error.source, error.location) == ("not-utf8", "reviews.parquet", 2)


def test_parquet_without_pyarrow_raises_missing_dependency_error(
    write: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError) as raised:
        read_dataset(write("a.parquet", ""))
    assert (raised.value.package, raised.value.extra) == ("pyarrow", "parquet")
    assert "a.parquet" in str(raised.value)
