"""Each way a file can be wrong has its own words: what came, what was expected, what to do."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fastlstm.data.readers.labelled import read_dataset
from fastlstm.errors import DataError, MissingDependencyError, OptionError

Write = Callable[[str, str | bytes], Path]

TEXT_COLUMN = "; pass --text-column to choose another column"
LABEL_COLUMN = "; pass --label-column to choose another column"


def complaint(path: Path, **columns: str) -> str:
    with pytest.raises(DataError) as caught:
        read_dataset(path, **columns)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ("123,x", f"row 2 of reviews.csv: the text is a number ('123'); expected words{TEXT_COLUMN}"),
        (
            '" -1.5e+3 ",x',
            f"row 2 of reviews.csv: the text is a number ('-1.5e+3'); expected words{TEXT_COLUMN}",
        ),
        (
            '"1,234.5",x',
            f"row 2 of reviews.csv: the text is a number ('1,234.5'); expected words{TEXT_COLUMN}",
        ),
        (".5,x", f"row 2 of reviews.csv: the text is a number ('.5'); expected words{TEXT_COLUMN}"),
        (",x", "row 2 of reviews.csv: the text is empty; expected words"),
        ('" \n\t",x', "row 2 of reviews.csv: the text is empty; expected words"),
        ("words, ", "row 2 of reviews.csv: the label is empty; expected a class name"),
        (
            "a,b,c",
            "line 4 of reviews.csv: 3 cells came, expected 2 (text, label); "
            "quote cells that hold the delimiter or a line break",
        ),
        (
            "words",
            "line 4 of reviews.csv: 1 cells came, expected 2 (text, label); "
            "quote cells that hold the delimiter or a line break",
        ),
        (
            '"a" b,x',
            "line 4 of reviews.csv: ',' expected after '\"'; "
            "expected every quote closed, and doubled inside a quoted cell",
        ),
        (
            '"a,x\nwords,y\n',
            "line 4 of reviews.csv: unexpected end of data; "
            "expected every quote closed, and doubled inside a quoted cell",
        ),
        ("a\0b,x", "line 4 of reviews.csv holds a NUL character; expected text saved as UTF-8"),
    ],
)
def test_a_bad_row_of_a_table_is_named(write: Write, cells: str, expected: str) -> None:
    path = write("reviews.csv", f'text,label\n"good\nwords",y\n{cells}\n')
    assert complaint(path) == expected


def test_text_that_is_not_utf8_is_named_by_its_row(write: Write) -> None:
    expected = "row 2 of reviews.csv: the text is not valid UTF-8; expected words; save it as UTF-8"
    assert complaint(write("reviews.csv", b"text,label\nwords,x\ncaf\xe9,x\n")) == expected


def test_a_label_that_is_not_utf8_is_named_by_its_row(write: Write) -> None:
    expected = "row 1 of reviews.csv: the label is not valid UTF-8; expected a class name; save it as UTF-8"
    assert complaint(write("reviews.csv", b"text,label\nwords,\xe9\n")) == expected


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_a_table_in_another_encoding_is_refused(write: Write, encoding: str) -> None:
    message = complaint(write("reviews.csv", "text,label,größe\nwords,x,y\n".encode(encoding)))
    assert message.startswith("line 1 of reviews.csv")
    assert message.endswith("UTF-8")


@pytest.mark.parametrize(
    ("name", "content", "columns", "expected"),
    [
        (
            "reviews.csv",
            "text,label\nwords,x\n",
            {"text_column": "txt"},
            "column 'txt' not found in reviews.csv; it has: text, label; pass --text-column",
        ),
        (
            "reviews.tsv",
            "text\tstars\nwords\tx\n",
            {},
            "column 'label' not found in reviews.tsv; it has: text, stars; pass --label-column",
        ),
        (
            "reviews.csv",
            "text, label\nwords,x\n",
            {},
            "column 'label' not found in reviews.csv; it has: text, ' label'; pass --label-column",
        ),
        (
            "reviews.csv",
            '"no\nheader",' + "x" * 100 + ",y" * 20 + "\n",
            {},
            f"column 'text' not found in reviews.csv; it has: 'no\\nheader', {'x' * 37}..., "
            + "y, " * 10
            + "...; pass --text-column",
        ),
        (
            "reviews.csv",
            "text,label,text\na,b,c\n",
            {},
            "column 'text' is in reviews.csv 2 times; expected once; rename one, or pass --text-column",
        ),
        (
            "reviews.jsonl",
            '{"text": "words", "label": "x"}\n{"body": "words", "label": "x"}\n',
            {},
            "column 'text' not found in line 2 of reviews.jsonl; it has: body, label; pass --text-column",
        ),
        (
            "reviews.csv",
            "text;label\nfine;good\n",
            {},
            "column 'text' not found in reviews.csv; it has: text;label; the columns are parted by ';'; "
            "expected commas in .csv, tabs in .tsv: save it so",
        ),
        (
            "reviews.csv",
            "the first review is no name for a column,good\nfine,bad\n",
            {},
            "column 'text' not found in reviews.csv; it has: the first review is no name for a column, good; "
            "the first line looks like a row, and not like a header; put the columns' names above it",
        ),
    ],
)
def test_a_missing_column_is_named_with_those_there_are(
    write: Write, name: str, content: str, columns: dict[str, str], expected: str
) -> None:
    assert complaint(write(name, content), **columns) == expected


def test_text_and_label_are_two_columns(write: Write) -> None:
    with pytest.raises(OptionError, match=r"both 'text'; expected two different columns"):
        read_dataset(write("reviews.csv", "text,label\n"), label_column="text")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ('{"text": 12, "label": "x"}', f"the text is a number (12); expected words{TEXT_COLUMN}"),
        ('{"text": true, "label": "x"}', f"the text is of type bool; expected words{TEXT_COLUMN}"),
        ('{"text": ["a"], "label": "x"}', f"the text is of type list; expected words{TEXT_COLUMN}"),
        ('{"text": null, "label": "x"}', "the text is missing; expected words"),
        ('{"text": NaN, "label": "x"}', "the text is missing; expected words"),
        (
            '{"text": "\\ud800", "label": "x"}',
            "the text is not valid UTF-8; expected words; save it as UTF-8",
        ),
        ('{"text": "a", "label": null}', "the label is missing; expected a class name"),
        ('{"text": "a", "label": NaN}', "the label is missing; expected a class name"),
        (
            '{"text": "a", "label": 1.5}',
            f"the label is 1.5; expected a class name or a whole number{LABEL_COLUMN}",
        ),
        (
            '{"text": "a", "label": Infinity}',
            f"the label is inf; expected a class name or a whole number{LABEL_COLUMN}",
        ),
        (
            '{"text": "a", "label": ["x"]}',
            f"the label is of type list; expected a class name or a whole number{LABEL_COLUMN}",
        ),
        (
            '{"text": "a", "label": "x"',
            "invalid JSON (Expecting ',' delimiter, character 27); expected one object a line",
        ),
        ('["a", "x"]', "list came; expected one JSON object a line"),
    ],
)
def test_a_bad_json_line_is_named(write: Write, values: str, expected: str) -> None:
    path = write("reviews.jsonl", '{"text": "words", "label": "x"}\n\n' + values)
    assert complaint(path) == f"line 3 of reviews.jsonl: {expected}"


@pytest.mark.parametrize("line", ["[" * 200_000, '{"text": "a", "label": ' + "1" * 5000 + "}"])
def test_json_that_python_cannot_take_is_invalid(write: Write, line: str) -> None:
    message = complaint(write("reviews.jsonl", line))
    assert message.startswith("line 1 of reviews.jsonl: invalid JSON (")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("no label", ": no __label__ at its beginning; expected '__label__name text'"),
        ("text first __label__x", ": no __label__ at its beginning; expected '__label__name text'"),
        (
            "__label__a __label__b words",
            ": more than one __label__ came, expected one; several labels a text are not supported",
        ),
        (
            "__label__a words __label__b",
            ": more than one __label__ came, expected one; several labels a text are not supported",
        ),
        ("__label__ words", ": the label is empty; expected a class name"),
        ("__label__x", ": the text is empty; expected words"),
        ("__label__x 12.5", ": the text is a number ('12.5'); expected words"),
    ],
)
def test_a_bad_fasttext_line_is_named(write: Write, line: str, expected: str) -> None:
    assert complaint(write("reviews.txt", f"__label__x words\n{line}\n")) == f"line 2 of reviews.txt{expected}"


def test_a_label_mark_inside_a_word_is_text(write: Write) -> None:
    path = write("reviews.txt", "__label__x the mark is called my__label__\n")
    assert read_dataset(path).texts == ["the mark is called my__label__"]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.ndjson", "a.txt", "a.csv.gz", "a.txt.gz"])
def test_an_empty_file_is_refused(write: Write, name: str) -> None:
    expected = f"{name} is empty; expected one or more texts, each with its label"
    assert complaint(write(name, "")) == expected


@pytest.mark.parametrize(("name", "content"), [("a.csv", "text,label\n"), ("a.txt", "\n \n"), ("a.jsonl", "\n")])
def test_a_file_without_rows_is_empty(write: Write, name: str, content: str) -> None:
    assert complaint(write(name, content)).startswith(f"{name} is empty; expected one or more texts")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    message = complaint(path)
    assert message.startswith(f"there is no file or folder {str(path)!r}; expected .csv, .tsv, ")
    assert message.endswith("; check the path")


@pytest.mark.parametrize("name", ["reviews.xlsx", "reviews", "reviews.json", "reviews.gz", "reviews.parquet.gz"])
def test_an_unknown_ending_is_told_with_the_known_ones(write: Write, name: str) -> None:
    assert complaint(write(name, "text")) == (
        f"{name} has no known ending; expected .csv, .tsv, .jsonl, .ndjson, .txt (fastText), each also with "
        ".gz, .parquet, or a folder with one sub-folder a class; rename or convert it"
    )


@pytest.mark.parametrize("content", [b"text,label\na,b\n", gzip.compress(b"text,label\n" * 99)[:-20], b""])
def test_a_damaged_gzip_file_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "reviews.csv.gz"
    path.write_bytes(content)
    message = complaint(path)
    assert message.startswith("reviews.csv.gz is ")
    assert content == b"" or "not an intact gzip file (" in message


def test_a_gzip_file_with_damage_inside_is_told(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(b"text,label\nsome words,x\n" * 50))
    content[12:20] = b"\xff" * 8
    path = tmp_path / "reviews.csv.gz"
    path.write_bytes(content)
    assert "not an intact gzip file (" in complaint(path)


def test_a_folder_without_sub_folders_is_refused(write: Write) -> None:
    path = write("reviews/a.txt", "words").parent
    assert complaint(path) == ("reviews has no sub-folder; expected one sub-folder a class, holding .txt files")


def test_a_class_folder_without_texts_is_refused(write: Write) -> None:
    write("reviews/good/a.txt", "words")
    path = write("reviews/images/a.png", "").parent.parent
    assert complaint(path) == "folder images of reviews holds no .txt file; expected one text file a text"


def test_a_folder_above_the_one_with_the_classes_is_refused(write: Write) -> None:
    write("reviews/train/urls.txt", "words")
    write("reviews/train/good/a.txt", "words")
    assert complaint(write("reviews/train/bad/a.txt", "words").parents[2]) == (
        "folder train of reviews has a sub-folder of its own (bad); expected .txt files; "
        "pass the folder whose sub-folders are the classes"
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b" \n", "file good/b.txt of reviews: the text is empty; expected words"),
        (b"12", "file good/b.txt of reviews: the text is a number ('12'); expected words"),
        (
            b"caf\xe9",
            "file good/b.txt of reviews: the text is not valid UTF-8; expected words; save it as UTF-8",
        ),
    ],
)
def test_a_bad_file_of_a_folder_is_named(write: Write, content: bytes, expected: str) -> None:
    write("reviews/good/a.txt", "words")
    assert complaint(write("reviews/good/b.txt", content).parents[1]) == expected


def test_a_damaged_gzip_file_of_a_folder_is_named(write: Write) -> None:
    path = write("reviews/good/a.txt", "words")
    path.rename(path.with_name("a.txt.gz"))
    assert complaint(path.parents[1]).startswith("file good/a.txt.gz of reviews is not an intact gzip file (")


def test_what_the_system_refuses_to_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "reviews.csv"
    path.touch()

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    assert complaint(path) == "reviews.csv can't be read: Permission denied; expected a readable file"


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
def test_a_file_that_leads_nowhere_is_told(write: Write) -> None:
    path = write("reviews/good/a.txt", "words")
    path.with_name("b.txt").symlink_to("nowhere.txt")
    expected = "file good/b.txt of reviews can't be read: No such file or directory; expected a readable file"
    assert complaint(path.parents[1]) == expected


@pytest.mark.parametrize("damage", ["not parquet", "cut", "inside"])
def test_a_damaged_parquet_file_is_told(tmp_path: Path, damage: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "reviews.parquet"
    parquet.write_table(pyarrow.table({"text": ["some words"] * 100, "label": ["x"] * 100}), path)
    content = path.read_bytes()
    damaged = {"not parquet": b"text,label\n" * 9, "cut": content[:-50], "inside": b"PAR1" + b"\xff" * 60}
    path.write_bytes(damaged[damage] + content[len(damaged[damage]) :] if damage == "inside" else damaged[damage])
    assert complaint(path).startswith("reviews.parquet is not an intact Parquet file (")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            {"text": [12, 13], "label": ["x", "y"]},
            f"row 1 of reviews.parquet: the text is a number (12); expected words{TEXT_COLUMN}",
        ),
        (
            {"text": ["a", None], "label": ["x", "y"]},
            "row 2 of reviews.parquet: the text is missing; expected words",
        ),
        (
            {"text": ["a", "b"], "label": [1.0, 1.5]},
            "row 2 of reviews.parquet: the label is 1.5; expected a class name or a whole number" + LABEL_COLUMN,
        ),
        (
            {"text": ["a", "b"], "stars": [1, 2]},
            "column 'label' not found in reviews.parquet; it has: text, stars; pass --label-column",
        ),
        (
            {"text": [], "label": []},
            "reviews.parquet is empty; expected one or more texts, each with its label",
        ),
    ],
)
def test_a_bad_row_of_a_parquet_file_is_named(
    tmp_path: Path, columns: dict[str, list[object]], expected: str
) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "reviews.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    assert complaint(path) == expected


def test_parquet_text_that_is_not_utf8_is_named_by_its_row(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    encoded = pyarrow.array([b"words", b"caf\xe9"])
    texts = pyarrow.Array.from_buffers(pyarrow.string(), 2, encoded.buffers())
    path = tmp_path / "reviews.parquet"
    parquet.write_table(pyarrow.table({"text": texts, "label": ["x", "y"]}), path)
    assert complaint(path).startswith("row 2 of reviews.parquet: the text is not valid UTF-8")


def test_parquet_without_pyarrow_tells_what_to_install(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"reading a\.parquet needs pyarrow.*'fastlstm\[parquet\]'"):
        read_dataset(write("a.parquet", ""))
