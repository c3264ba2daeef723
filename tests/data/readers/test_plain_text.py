"""Texts without labels from files and folders of every format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.helpers.files import WriteFile

from fastlstm.data import UnlabelledTexts, read_texts
from fastlstm.data.options import ReadOptions
from fastlstm.data.readers.plain_text import check_unlabelled_texts
from fastlstm.errors import DataError

TEXTS = ["a good film", "ein schöner Film", "很好看的电影"]


def write_texts(write: WriteFile, name: str, texts: list[str], column: str = "text") -> Path:
    """Write texts in the format of the file's extension."""
    plain_name = name.removesuffix(".gz")
    if plain_name.endswith(".parquet"):
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        path = write(name, b"")
        parquet.write_table(pyarrow.table({column: texts, "stars": [1] * len(texts)}), path)
        return path
    if plain_name.endswith(".txt"):
        return write(name, "\n".join([*texts, "", "  "]))
    if plain_name.endswith(".jsonl"):
        return write(name, "\n".join(json.dumps({column: text, "stars": 1}) for text in texts))
    delimiter = "\t" if plain_name.endswith(".tsv") else ","
    return write(name, "\n".join([f"stars{delimiter}{column}", *(f"1{delimiter}{text}" for text in texts)]))


@pytest.mark.parametrize("name", ["t.txt", "t.txt.gz", "t.csv", "t.csv.gz", "t.tsv", "t.jsonl", "t.parquet"])
def test_texts_of_every_format_are_read(write: WriteFile, name: str) -> None:
    texts = read_texts(write_texts(write, name, TEXTS))
    assert texts.texts == TEXTS
    assert texts.source == name
    assert len(texts) == 3


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_another_column_is_selected_by_name(write: WriteFile, name: str) -> None:
    path = write_texts(write, name, TEXTS, column="body")
    assert read_texts(path, ReadOptions(text_column="body")).texts == TEXTS
    with pytest.raises(DataError) as raised:
        read_texts(path)
    assert raised.value.code == "missing-column"


def test_text_files_of_a_folder_are_read_at_any_depth(write: WriteFile, tmp_path: Path) -> None:
    for name in ("b.txt", "a/x.txt", "a/deep/y.txt", "a/notes.md"):
        write(f"texts/{name}", f"text of {name}\nand more")
    assert [text.splitlines()[0] for text in read_texts(tmp_path / "texts").texts] == [
        "text of a/deep/y.txt",
        "text of a/x.txt",
        "text of b.txt",
    ]


def test_fasttext_labels_are_dropped(write: WriteFile) -> None:
    path = write("t.txt", "__label__good __label__long a film\n__label__x\nplain\n")
    assert read_texts(path).texts == ["a film", "plain"]


@pytest.mark.parametrize(
    ("name", "content", "code", "location"),
    [
        ("empty.txt", b"\n \n", "empty-dataset", None),
        ("t.docx", b"PK", "unknown-format", None),
        ("t.txt", b"fine\n\xff\xfe\n", "not-utf8", 2),
        ("t.csv", b"text\n3\n12\n", "numeric-text", None),
        ("t.csv", b"id,text\n1,fine\n2\n", "bad-csv-row", 3),
        ("t.jsonl", b'{"text": "fine"}\n{"text": []}\n', "not-a-text", 2),
        ("t.parquet", b"no", "bad-parquet-file", None),
    ],
)
def test_invalid_file_raises_data_error(
    write: WriteFile, name: str, content: bytes, code: str, location: int | None
) -> None:
    with pytest.raises(DataError) as raised:
        read_texts(write(name, content))
    assert (raised.value.code, raised.value.source) == (code, name)
    assert raised.value.values.get("location") == location


def test_several_paths_are_joined_in_order(write: WriteFile) -> None:
    paths = [write(f"{name}.txt", f"a text of {name}\n") for name in "abcd"]
    assert read_texts(paths[:3]) == UnlabelledTexts(
        ["a text of a", "a text of b", "a text of c"], "a.txt, b.txt, c.txt"
    )
    assert read_texts([str(path) for path in paths]).source == "a.txt, b.txt and 2 more"


def test_missing_file_raises_data_error(write: WriteFile, tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        read_texts([write("a.txt", "a text\n"), tmp_path / "e.txt"])
    assert (raised.value.code, raised.value.path) == ("file-not-found", tmp_path / "e.txt")


def test_no_paths_raise_data_error() -> None:
    with pytest.raises(DataError) as raised:
        read_texts([])
    assert raised.value.code == "no-paths"


def test_line_or_file_may_be_a_number(write: WriteFile, tmp_path: Path) -> None:
    assert read_texts(write("t.txt", "the year was\n1984\n")).texts == ["the year was", "1984"]
    assert read_texts(tmp_path).texts == ["the year was\n1984\n"]
    assert check_unlabelled_texts(["12"], "mine").texts == ["12"]


def test_hidden_files_and_folders_are_ignored(write: WriteFile, tmp_path: Path) -> None:
    for name in (".git/x.txt", ".y.txt", "folder.txt/z.txt", "w.TXT"):
        write(name, f"text of {name}")
    assert read_texts(tmp_path).texts == ["text of folder.txt/z.txt", "text of w.TXT"]


def test_bad_file_of_a_folder_raises_data_error_with_its_name(write: WriteFile, tmp_path: Path) -> None:
    write("texts/deep/a\nb.txt", b"\xff")
    with pytest.raises(DataError) as raised:
        read_texts(tmp_path / "texts")
    assert (raised.value.code, raised.value.source) == ("not-utf8", "texts")
    assert raised.value.location == r"'deep/a\nb.txt'"
    assert "\n" not in str(raised.value)


def test_damaged_gzip_file_of_a_folder_raises_data_error(tmp_path: Path) -> None:
    (tmp_path / "0.txt.gz").write_bytes(b"plain")
    with pytest.raises(DataError) as raised:
        read_texts(tmp_path)
    assert raised.value.code == "bad-gzip-file"
    assert "0.txt.gz" in raised.value.source


def test_folder_without_texts_raises_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        read_texts(tmp_path)
    assert (raised.value.code, raised.value.source) == ("no-text-files", tmp_path.name)


def test_texts_in_memory_are_validated() -> None:
    assert check_unlabelled_texts(["a", " ", "b"], "mine") == UnlabelledTexts(["a", "b"], "mine")
    with pytest.raises(DataError) as raised:
        check_unlabelled_texts(["a", ["b"]], "mine")
    assert raised.value.code == "not-a-text"
    assert (raised.value.source, raised.value.location) == ("mine", 2)
