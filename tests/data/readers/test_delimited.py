"""CSV and TSV files in the dialects that programs and people write."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from tests.helpers.files import WriteFile

from fastlstm.data import Dataset, read_dataset, read_texts
from fastlstm.data.options import Quoting, ReadOptions
from fastlstm.errors import DataError

ROWS = [
    ("a good film", "pos"),
    ('the "best", they said', "pos"),
    ("first line\nsecond line", "neg"),
    ("semicolons; commas, tabs\tand | bars", "neg"),
    ("it's fine", "pos"),
    ("C:\\new", "neg"),
]
GOOD = [("fine", "x"), ("good", "y")] * 10
"""Rows that make one bad row a small share."""


def to_text(rows: list[tuple[str, str]], **options: Any) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, **options).writerows([("text", "label"), *rows])
    return file.getvalue()


def codes(dataset: Dataset) -> list[str]:
    return [note.code for note in dataset.notes]


def contents(dataset: Dataset) -> list[tuple[str, str]]:
    return list(zip(dataset.texts, dataset.labels, strict=True))


@pytest.mark.parametrize("extension", [".csv", ".tsv"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "options",
    [
        {"quoting": csv.QUOTE_MINIMAL},
        {"quoting": csv.QUOTE_ALL},
        {"quoting": csv.QUOTE_ALL, "lineterminator": "\n"},
        {"quoting": csv.QUOTE_ALL, "quotechar": "'"},
        {"quoting": csv.QUOTE_MINIMAL, "quotechar": "'"},
        {"quoting": csv.QUOTE_ALL, "doublequote": False, "escapechar": "\\"},
        {"quoting": csv.QUOTE_ALL, "doublequote": False, "escapechar": "\\", "quotechar": "'"},
        {"quoting": csv.QUOTE_NONE, "escapechar": "\\"},
    ],
)
def test_dialects_of_the_csv_module_are_detected(
    write: WriteFile, extension: str, delimiter: str, options: dict[str, Any]
) -> None:
    dataset = read_dataset(write(f"a{extension}", to_text(ROWS, delimiter=delimiter, **options)))
    assert contents(dataset) == ROWS
    usual = delimiter == {".csv": ",", ".tsv": "\t"}[extension] and options.get("quotechar") is None
    if not usual or "escapechar" in options:
        assert "dialect" in codes(dataset)


def test_usual_files_have_no_notes(write: WriteFile) -> None:
    assert codes(read_dataset(write("a.csv", to_text(ROWS)))) == []
    assert codes(read_dataset(write("a.tsv", "text\tlabel\nfine\tx\ndon't\ty\n"))) == []


def test_file_of_excel_is_read(write: WriteFile) -> None:
    content = "\ufeff" + to_text(ROWS, delimiter=";")
    dataset = read_dataset(write("a.csv", content))
    assert (contents(dataset), codes(dataset)) == (ROWS, ["dialect"])
    declared = read_dataset(write("b.csv", "\ufeffsep=;\r\n" + to_text(ROWS, delimiter=";")))
    assert contents(declared) == ROWS
    assert declared.location(0) == 3


def test_declared_delimiter_may_be_any_character(write: WriteFile) -> None:
    dataset = read_dataset(write("a.csv", "sep=#\ntext#label\na, b; c#x\n"))
    assert contents(dataset) == [("a, b; c", "x")]


def test_unquoted_tsv_keeps_stray_and_unclosed_quotes(write: WriteFile) -> None:
    rows = [*GOOD, ('"open', "x"), ('close"', "y"), ('"great" film', "x"), ('a 5" disc', "y"), ('"quoted"', "x")]
    path = write("a.tsv", "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    dataset = read_dataset(path)
    assert contents(dataset) == rows
    assert codes(dataset) == ["dialect"]
    assert dataset.locations == list(range(2, len(rows) + 2))


def test_tsv_with_two_stray_quotes_loses_no_row(write: WriteFile) -> None:
    rows = [('"open', "x"), *GOOD, ('"', "y"), ("fine", "x")]
    path = write("a.tsv", "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    dataset = read_dataset(path)
    assert contents(dataset) == rows
    assert codes(dataset) == ["dialect", "doubtful-quoting"]


def test_unlabelled_tsv_with_stray_quotes_loses_no_row(write: WriteFile) -> None:
    texts = ['"open', *["fine"] * 10, '"', "good"]
    path = write("a.tsv", "id\ttext\n" + "".join(f"{number}\t{text}\n" for number, text in enumerate(texts)))
    assert read_texts(path).texts == texts


def test_quoted_tsv_is_read(write: WriteFile) -> None:
    dataset = read_dataset(write("a.tsv", to_text(ROWS, delimiter="\t")))
    assert contents(dataset) == ROWS


@pytest.mark.parametrize("text", ['"great" movie', 'a "great" movie', '"great', 'great"', '"'])
def test_stray_quotes_of_a_csv_file_are_text(write: WriteFile, text: str) -> None:
    unquoted = read_dataset(write("a.csv", f"text,label\n{text},x\n" + "fine,y\n" * 10))
    assert contents(unquoted)[0] == (text, "x")
    quoted = read_dataset(write("b.csv", f'text,label\n"a, b",z\n{text},x\n' + "fine,y\n" * 10))
    assert contents(quoted)[:2] == [("a, b", "z"), (text, "x")]
    assert len(quoted) == 12


def test_stray_quotes_in_quoted_files_are_noted(write: WriteFile) -> None:
    rows = '"fine","x"\n' * 10 + '"the "best" film","y"\n'
    dataset = read_dataset(write("a.csv", f'"text","label"\n{rows}'))
    assert contents(dataset) == [("fine", "x")] * 10 + [('the "best" film', "y")]
    assert "stray-quotes" in codes(dataset)


def test_row_that_neither_reading_fits_is_reported(write: WriteFile) -> None:
    dataset = read_dataset(write("a.csv", to_text([("a, b", "x")] * 20) + '"a "b", c",x\n'))
    assert len(dataset) == 20
    assert [(row.location, row.code) for row in dataset.bad_rows] == [(22, "bad-csv-quoting")]


def test_backslash_escapes_are_detected_and_noted(write: WriteFile) -> None:
    path = write("a.csv", 'text,label\n"the \\"best\\", they said",x\n"a\\\\b",y\n')
    dataset = read_dataset(path)
    assert contents(dataset) == [('the "best", they said', "x"), ("a\\b", "y")]
    assert codes(dataset) == ["dialect", "doubtful-quoting"]


def test_backslashes_of_a_file_that_fits_without_escapes_are_text(write: WriteFile) -> None:
    rows = [("\\\\server, too", "x"), ("fine", "y")]
    dataset = read_dataset(write("a.csv", to_text(rows)))
    assert contents(dataset) == rows
    assert codes(dataset) == ["doubtful-quoting"]


def test_literal_backslashes_are_text(write: WriteFile) -> None:
    rows = [("C:\\new", "x"), ("a\\", "y"), ("¯\\_(ツ)_/¯", "x"), ('"\\"', "y")]
    assert contents(read_dataset(write("a.csv", to_text(rows)))) == rows


@pytest.mark.parametrize(
    ("quoting", "line", "row"),
    [
        ("double", "\"a\",'b'\n", ("a", "'b'")),
        ("none", "\"a\",'b'\n", ('"a"', "'b'")),
        ("single", "\"a\",'b'\n", ('"a"', "b")),
        ("backslash", '"a\\"",b\n', ('a"', "b")),
        ("single-backslash", "'a\\'',b\n", ("a'", "b")),
    ],
)
def test_quoting_is_an_option(write: WriteFile, quoting: Quoting, line: str, row: tuple[str, str]) -> None:
    dataset = read_dataset(write("a.csv", "text,label\n" + line), quoting=quoting)
    assert contents(dataset) == [row]
    assert "doubtful-quoting" not in codes(dataset)


def test_delimiter_is_an_option(write: WriteFile) -> None:
    for name, delimiter in (("a.csv", "#"), ("a.tsv", "space"), ("b.csv", "tab")):
        character = {"space": " ", "tab": "\t"}.get(delimiter, delimiter)
        path = write(name, f"text{character}label\nfine{character}x\n")
        assert contents(read_dataset(path, delimiter=delimiter)) == [("fine", "x")]


def test_spaces_after_delimiters_are_not_part_of_cells(write: WriteFile) -> None:
    dataset = read_dataset(write("a.csv", 'text, label\n"a, b", x\n"c", y\n'))
    assert contents(dataset) == [("a, b", "x"), ("c", "y")]


def test_column_names_are_trimmed(write: WriteFile) -> None:
    assert contents(read_dataset(write("a.csv", " text ,label \nfine, x \n"))) == [("fine", "x")]


def test_repeated_header_is_reported(write: WriteFile) -> None:
    dataset = read_dataset(write("a.csv", to_text(GOOD) + to_text(GOOD)))
    assert contents(dataset) == GOOD * 2
    assert [(row.location, row.code) for row in dataset.bad_rows] == [(22, "repeated-header")]


def test_blank_and_empty_lines_are_skipped(write: WriteFile) -> None:
    dataset = read_dataset(write("a.csv", "\n\ntext,label,id\n\nfine,x,1\n,,\n  \n , ,\n,\ngood,y,2\n\n"))
    assert contents(dataset) == [("fine", "x"), ("good", "y")]
    assert dataset.locations == [5, 10]
    assert dataset.bad_rows == ()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_in_any_way(write: WriteFile, end: str) -> None:
    dataset = read_dataset(write("a.csv", end.join(["text,label", "fine,x", '"a, b",y', ""])))
    assert contents(dataset) == [("fine", "x"), ("a, b", "y")]
    assert dataset.locations == [2, 3]


def test_last_line_may_lack_its_end(write: WriteFile) -> None:
    assert contents(read_dataset(write("a.csv", 'text,label\n"a, b",x'))) == [("a, b", "x")]


def test_nul_characters_stop_nothing(write: WriteFile) -> None:
    dataset = read_dataset(write("a.csv", to_text(GOOD) + "a\0b,x\n"))
    assert contents(dataset)[:20] == GOOD
    assert len(dataset) + len(dataset.bad_rows) == 21


def test_compressed_files_are_read(write: WriteFile) -> None:
    dataset = read_dataset(write("a.csv.gz", "sep=;\n" + to_text(ROWS, delimiter=";")))
    assert contents(dataset) == ROWS


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_file_may_have_one_column(write: WriteFile, name: str) -> None:
    texts = ["a, b; c", "plain", 'the "best"', "two\nlines"]
    assert read_texts(write(name, 'text\n"a, b; c"\nplain\n"the ""best"""\n"two\nlines"\n')).texts == texts
    assert read_texts(write(name, "text\na, b; c\na\tb\n")).texts == ["a, b; c", "a\tb"]


def test_unlabelled_texts_have_the_same_dialects(write: WriteFile) -> None:
    texts = [text for text, _ in ROWS]
    read = read_texts(write("a.csv", to_text(ROWS, delimiter=";", quoting=csv.QUOTE_ALL)))
    assert (read.texts, [note.code for note in read.notes]) == (texts, ["dialect"])
    path = write("b.csv", "text#label\nfine#x\n")
    assert read_texts(path, ReadOptions(delimiter="#")).texts == ["fine"]


def test_rows_of_several_lines_stay_whole(write: WriteFile) -> None:
    rows = [("one, two\nthree, four", "pos"), ("fine", "neg"), ("a\n\nb,", "pos"), ("good, really", "neg")]
    dataset = read_dataset(write("a.csv", to_text(rows)))
    assert contents(dataset) == rows
    assert dataset.locations == [2, 4, 5, 8]


def test_lines_after_an_unclosed_quote_are_rows(write: WriteFile) -> None:
    rows = "".join(f"{text},{label}\n" for text, label in GOOD)
    path = write("a.csv", f'text,label\n"a, b",x\n{rows}"open,x\n{rows}close",y\n{rows}')
    dataset = read_dataset(path)
    assert contents(dataset) == [("a, b", "x"), *GOOD, ('"open', "x"), *GOOD, ('close"', "y"), *GOOD]
    assert "stray-quotes" in codes(dataset)


@pytest.mark.parametrize("first", ["", "a,b,c\n", '"a, b",x\n'])
def test_many_rows_with_stray_quotes_lose_no_row(write: WriteFile, first: str) -> None:
    dataset = read_dataset(write("a.csv", "text,label\n" + first + '"great" movie,x\nfine,y\n' * 3000))
    assert contents(dataset)[-6000:] == [('"great" movie', "x"), ("fine", "y")] * 3000


def test_dialect_that_changes_after_the_sample_is_noticed(write: WriteFile) -> None:
    plain = "fine,x\n" * 3000
    quoted = read_dataset(write("a.csv", "text,label\n" + plain + '"a, b",y\n' * 10))
    assert len(quoted) == 3010
    assert quoted.texts[-1] == "a, b"
    unquoted = read_dataset(write("b.tsv", "text\tlabel\n" + plain.replace(",", "\t") + '"open\ty\nclose"\tx\n'))
    assert unquoted.texts[-2:] == ['"open', 'close"']
    escaped = read_dataset(write("c.csv", "text,label\n" + plain + '"the \\"best\\", they said",y\n'))
    assert escaped.texts[-1] == 'the "best", they said'


def test_row_errors_name_lines_as_an_editor_does(write: WriteFile) -> None:
    path = write("a.csv", 'text,label\n"two\nlines",x\n\nfine\n')
    with pytest.raises(DataError) as raised:
        read_dataset(path, on_bad_rows="stop")
    assert (raised.value.code, raised.value.location) == ("bad-csv-row", 5)


@pytest.mark.parametrize("header", ["\ufefftext,label", '\ufeff"text","label"', " text , label ", "Text,Label"])
def test_a_header_in_the_middle_is_skipped(write: WriteFile, header: str) -> None:
    rows = [f"film number {number},pos\n" for number in range(20)]
    dataset = read_dataset(write("joined.csv", f"text,label\n{''.join(rows)}{header}\nbad film,neg\n"))
    assert dataset.class_names == ["neg", "pos"]
    assert [(row.location, row.code) for row in dataset.bad_rows] == [(22, "repeated-header")]


def test_a_header_with_other_order_raises_data_error(write: WriteFile) -> None:
    with pytest.raises(DataError) as raised:
        read_dataset(write("joined.csv", "text,label\nfine film,pos\nlabel,text\nneg,bad film\n"))
    assert (raised.value.code, raised.value.location) == ("another-header", 3)


def test_a_byte_order_mark_within_the_file_is_dropped(write: WriteFile) -> None:
    assert read_dataset(write("joined.csv", "text,label\na,x\n\ufeffb,y\n")).texts == ["a", "b"]


def test_a_quoted_declaration_of_the_delimiter_is_read(write: WriteFile) -> None:
    assert read_dataset(write("excel.csv", '"sep=;"\ntext;label\na, b;x\n')).texts == ["a, b"]


PLAIN_ROWS = "".join(f"{number},film number {number},{'pos' if number % 2 else 'neg'}\n" for number in range(40))


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("id,text,label", f'{PLAIN_ROWS}41,"I like it,pos\n42,bad, very bad,neg\n43,He said so.",neg\n'),
        ("id,text,label", f'{PLAIN_ROWS}41,"I like it,pos\n43,He said so.",mixed\n'),
    ],
)
def test_rows_that_stray_quotes_may_merge_have_a_note(write: WriteFile, header: str, rows: str) -> None:
    dataset = read_dataset(write("reviews.csv", f"{header}\n{rows}"))
    assert "doubtful-quoting" in [note.code for note in dataset.notes]


def test_lines_of_one_column_that_quotes_merge_have_a_note(write: WriteFile) -> None:
    texts = read_texts(write("texts.csv", 'text\n"I like it.\nHe said so."\nfine\n'))
    assert "doubtful-quoting" in [note.code for note in texts.notes]
