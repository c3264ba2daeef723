"""Parsing rows, and the quoting that the evidence of a parse speaks for."""

from __future__ import annotations

import csv

import pytest

from fastlstm.data.options import Quoting
from fastlstm.data.readers.dialects import Dialect, Evidence, InvalidRecord, Lines, parse, plausible_quotings

WIDTH = 2


def parse_text(text: str, quoting: Quoting = "double") -> tuple[list[object], Evidence]:
    """Return the cells of each row, or the line of an invalid row, and the evidence."""
    evidence = Evidence()
    lines = Lines(iter(text.splitlines(keepends=True)))
    records = list(parse(lines, Dialect(",", quoting), WIDTH, evidence))
    return [record.line if isinstance(record, InvalidRecord) else record[1] for record in records], evidence


def choose(text: str, quoting: Quoting = "double", extension: str = ".csv") -> tuple[Quoting, bool]:
    """Return the most plausible quoting, and whether it is doubtful."""
    rows, evidence = parse_text(text, quoting)
    faults = sum(not isinstance(row, list) or len(row) != WIDTH for row in rows) + evidence.invalid
    quotings, is_doubtful = plausible_quotings(Dialect(",", quoting), evidence, extension, faults)
    return quotings[0], is_doubtful


def test_rows_have_the_number_of_their_first_line() -> None:
    text = 'a,b\n"c\nd",e\n\n"f" g,h\ni,j\n'
    records = list(parse(Lines(iter(text.splitlines(keepends=True)), 10), Dialect(), WIDTH, Evidence()))
    assert [record[0] for record in records] == [11, 12, 15, 16]


def test_row_with_stray_quotes_is_read_as_a_line() -> None:
    rows, evidence = parse_text('a,b\n"c" d,e\nf,g\n')
    assert rows == [["a", "b"], ['"c" d', "e"], ["f", "g"]]
    assert evidence.invalid == 1


def test_unclosed_quote_ends_at_its_line() -> None:
    rows, evidence = parse_text('a,b\n"c,d\ne,f\ng,h\n')
    assert rows == [["a", "b"], ['"c', "d"], ["e", "f"], ["g", "h"]]
    assert evidence.invalid == 1


def test_row_that_no_reading_fits_is_invalid() -> None:
    rows, _ = parse_text('a,b\n"c" d\ne,f\n')
    assert rows == [["a", "b"], 2, ["e", "f"]]


def test_many_unclosed_quotes_take_little_time_and_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastlstm.data.readers.dialects.MAX_RETURNED_LINES", 10_000)
    rows, evidence = parse_text('"a,b\n' * 3000 + '"c",d\n')
    assert rows == [['"a', "b"]] * 3000 + [["c", "d"]]
    assert evidence.invalid == 3000


@pytest.mark.parametrize(
    ("quoting", "line", "cells"),
    [
        ("double", '"a ""b"", c",d\n', ['a "b", c', "d"]),
        ("backslash", '"a \\"b\\", c",d\n', ['a "b", c', "d"]),
        ("backslash", "a\\, c,d\n", ["a, c", "d"]),
        ("single", "'it''s, c',d\n", ["it's, c", "d"]),
        ("single-backslash", "'it\\'s, c',d\n", ["it's, c", "d"]),
        ("none", '"a,"b"\n', ['"a', '"b"']),
    ],
)
def test_quoting_splits_cells(quoting: Quoting, line: str, cells: list[str]) -> None:
    assert next(iter(Dialect(",", quoting).reader([line]))) == cells


def test_invalid_quoting_raises_csv_error() -> None:
    with pytest.raises(csv.Error):
        list(Dialect().reader(['"a" b,c\n']))


@pytest.mark.parametrize(
    ("text", "extension", "expected"),
    [
        ("a,b\nc,d\n", ".csv", ("double", False)),
        ('"a, b",c\n"d",e\n', ".csv", ("double", False)),
        ('"a","b"\n"c","d"\n', ".csv", ("double", False)),
        ('"a",b\n', ".csv", ("double", True)),
        ('"a",b\nc,d\n', ".csv", ("double", True)),
        ('"a",b\nc,d\n', ".tsv", ("none", False)),
        ('"great" a,b\nc,d\n', ".csv", ("none", False)),
        ('a "great" b,c\n', ".csv", ("none", False)),
        ('"a,b\nc",d\n', ".tsv", ("none", False)),
        ('"a,b\nc",d\n', ".csv", ("double", True)),
        ('"a \\"b\\"",c\n', ".csv", ("backslash", False)),
        ("a\\, b,c\n", ".csv", ("backslash", False)),
        ('"a ""b"" c\\\\d",e\n', ".csv", ("double", True)),
        ("C:\\new,a\n", ".csv", ("double", False)),
        ('"a","b"\n' * 9 + '"c "d" e","f"\n', ".csv", ("double", True)),
    ],
)
def test_quoting_follows_from_the_whole_file(text: str, extension: str, expected: tuple[Quoting, bool]) -> None:
    assert choose(text, extension=extension) == expected


def test_dialect_is_described_in_words() -> None:
    assert Dialect(";", "backslash").describe() != Dialect(";", "double").describe()
    assert "'^'" in Dialect("^").describe()
