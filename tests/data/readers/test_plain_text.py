import gzip
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from fastlstm.data import UnlabelledTexts, read_texts
from fastlstm.data.readers.plain_text import check_unlabelled_texts
from fastlstm.errors import DataError

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


def test_several_paths_are_read_one_after_the_other(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.txt" for name in "abcd"]
    for path in paths:
        path.write_text(f"a text of {path.stem}\n")
    assert read_texts(paths[:3]) == UnlabelledTexts(
        ["a text of a", "a text of b", "a text of c"], "a.txt, b.txt, c.txt"
    )
    assert read_texts([str(path) for path in paths]).source == "a.txt, b.txt and 2 more"
    with pytest.raises(DataError, match=r"there is no file or folder .*e\.txt"):
        read_texts([*paths, tmp_path / "e.txt"])
    with pytest.raises(DataError, match="no file or folder was named"):
        read_texts([])


def test_a_line_or_a_file_may_be_a_number(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("the year was\n1984\n")
    assert read_texts(tmp_path / "t.txt").texts == ["the year was", "1984"]
    assert read_texts(tmp_path).texts == ["the year was\n1984\n"]
    assert check_unlabelled_texts(["12"], "mine").texts == ["12"]


def test_hidden_files_and_folders_named_like_texts_are_passed_over(tmp_path: Path) -> None:
    for place in (".git/x.txt", ".y.txt", "folder.txt/z.txt", "w.TXT"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(f"text of {place}")
    assert read_texts(tmp_path).texts == ["text of folder.txt/z.txt", "text of w.TXT"]


def test_a_bad_file_of_a_folder_is_named_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "texts" / "deep").mkdir(parents=True)
    (tmp_path / "texts" / "deep" / "a\nb.txt").write_bytes(b"\xff")
    with pytest.raises(DataError) as caught:
        read_texts(tmp_path / "texts")
    assert str(caught.value).startswith(r"file 'deep/a\nb.txt' of texts: the text is not valid UTF-8")
    assert "\n" not in str(caught.value)
    (tmp_path / "texts" / "deep" / "0.txt.gz").write_bytes(b"plain")
    with pytest.raises(DataError, match=r"file deep/0\.txt\.gz of texts is not an intact gzip file"):
        read_texts(tmp_path / "texts")


def test_a_folder_without_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no \.txt file"):
        read_texts(tmp_path)


def test_texts_of_a_caller_are_checked_too() -> None:
    assert check_unlabelled_texts(["a", " ", "b"], "mine") == UnlabelledTexts(["a", "b"], "mine")
    with pytest.raises(DataError, match="text 2 of mine: the text is of type list"):
        check_unlabelled_texts(["a", ["b"]], "mine")
