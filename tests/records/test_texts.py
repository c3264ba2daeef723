import gzip
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from fastlstm.errors import DataError
from fastlstm.records import Texts, read_texts
from fastlstm.records.texts import checked_texts

TEXTS = ["a good film", "ein schöner Film", "很好看的电影"]


def write(path: Path, texts: list[str], column: str = "text") -> Path:
    """The texts as the path's ending says."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        pyarrow.parquet.write_table(pyarrow.table({column: texts, "stars": [1] * len(texts)}), path)
        return path
    if name.endswith(".txt"):
        content = "\n".join([*texts, "", "  "])
    elif name.endswith(".jsonl"):
        content = "\n".join(json.dumps({column: text, "stars": 1}) for text in texts)
    else:
        between = "\t" if name.endswith(".tsv") else ","
        content = "\n".join([f"stars{between}{column}", *(f"1{between}{text}" for text in texts)])
    encoded = content.encode()
    path.write_bytes(gzip.compress(encoded) if path.name.endswith(".gz") else encoded)
    return path


@pytest.mark.parametrize("name", ["t.txt", "t.txt.gz", "t.csv", "t.csv.gz", "t.tsv", "t.jsonl", "t.parquet"])
def test_texts_are_read_whatever_they_are_kept_in(tmp_path: Path, name: str) -> None:
    read = read_texts(write(tmp_path / name, TEXTS))
    assert read.texts == TEXTS
    assert read.source == name
    assert len(read) == 3


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_another_column_can_be_named(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, TEXTS, column="body")
    assert read_texts(path, text_column="body").texts == TEXTS
    with pytest.raises(DataError, match=r"column 'text' not found .*; pass --text-column"):
        read_texts(path)


def test_a_folder_s_files_are_a_text_each_wherever_they_stand(tmp_path: Path) -> None:
    for place in ("b.txt", "a/x.txt", "a/deep/y.txt", "a/notes.md"):
        path = tmp_path / "texts" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {place}\nand more")
    assert [text.splitlines()[0] for text in read_texts(tmp_path / "texts").texts] == [
        "text of a/deep/y.txt",
        "text of a/x.txt",
        "text of b.txt",
    ]


def test_labels_of_fasttext_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("__label__good __label__long a film\n__label__x\nplain\n")
    assert read_texts(tmp_path / "t.txt").texts == ["a film", "plain"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.txt", None, "there is no file or folder"),
        ("empty.txt", b"\n \n", "holds no texts; expected one or more"),
        ("t.docx", b"PK", "has no known ending; expected .txt"),
        ("t.txt", b"fine\n\xff\xfe\n", "line 2 of t.txt: the text is not valid UTF-8"),
        ("t.csv", b"text\nfine\n12\n", "row 2 of t.csv: the text is a number"),
        ("t.jsonl", b'{"text": "fine"}\n{"text": null}\n', "line 2 of t.jsonl: the text is missing"),
        ("t.parquet", b"no", "is not an intact Parquet file"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message.replace(".", r"\.")):
        read_texts(tmp_path / name)


def test_a_folder_without_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no \.txt file"):
        read_texts(tmp_path)


def test_texts_of_a_caller_are_checked_too() -> None:
    assert checked_texts(["a", " ", "b"], "mine") == Texts(["a", "b"], "mine")
    with pytest.raises(DataError, match="text 2 of mine: the text is of type list"):
        checked_texts(["a", ["b"]], "mine")
