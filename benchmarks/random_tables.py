"""Random tables of texts and labels, and writers of delimited files in many dialects."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

TEXT = (
    "the film was good and I would not see it again because its plot has a hole, but great acting saves it: 10/10 "
    "don't he's it's café größer 素晴らしい 很好看 😀 O'Brien rock'n'roll e.g. U.S. 3.5 1984 <br /> #1 @home ..."
)
WORDS = TEXT.split()
LABELS: Sequence[Sequence[str]] = (
    ("pos", "neg"),
    ("positive", "negative", "neutral"),
    ("0", "1"),
    ("1", "2", "3", "4", "5"),
    ("true", "false"),
    ("spam", "ham"),
    ("World", "Sports", "Business", "Sci/Tech"),
    ("very good", "so so", "very bad"),
    ("très bien", "pas bien"),
)
"""Label columns of a few data sets."""
SPECIAL = {
    "quote": ('"', '"great" movie', 'the "best" one', '""', 'a 5" disc', '"', 'it was "fine"', '"quoted"'),
    "apostrophe": ("'", "'great' movie", "the 'best' one", "''", "'tis", "the boys' room", "'quoted'"),
    "backslash": ("\\", "C:\\new", "\\\\server", '\\"', "\\n", "¯\\_(ツ)_/¯", "a\\", "\\,"),
    "break": ("\n", "\r\n", "\n\n", "first\nsecond", "\n ", "\r"),
    "delimiter": (",", "; ", "\t", " | ", "a,b", "a;b", "a\tb", "a|b", ":", "^", "~", "1,5"),
    "space": (" ", "  ", "\u00a0", "\u2028"),
}
"""Kinds of parts that files in some dialects cannot contain as they are."""
MAX_ROWS = 40


@dataclass(frozen=True)
class File:
    """A written table.

    Attributes:
        name: The file name.
        content: Its bytes.
        rows: The text and label of each row as written.
        writer: How it was written, in one line.
    """

    name: str
    content: bytes
    rows: Sequence[tuple[str, str]]
    writer: str


def random_rows(generator: random.Random) -> list[tuple[str, str]]:
    """Return 1 to 40 rows of a text and a label. Small tables are as frequent as large ones."""
    count = round(MAX_ROWS ** generator.random())
    probabilities = {kind: generator.choice((0, 0, 0, 0.02, 0.1, 0.4)) for kind in SPECIAL}
    names = generator.choice(LABELS)
    blank = generator.choice((0, 0, 0, 0.02))
    return [
        ("" if generator.random() < blank else random_text(generator, probabilities), generator.choice(names))
        for _ in range(count)
    ]


def random_text(generator: random.Random, probabilities: dict[str, float]) -> str:
    """Return a text of words and of special parts with these probabilities."""
    parts = []
    for _ in range(round(20 ** generator.random())):
        kind = next((kind for kind, share in probabilities.items() if generator.random() < share), None)
        parts.append(generator.choice(WORDS if kind is None else SPECIAL[kind]))
    text = generator.choice(("", " ", " ")).join(parts)
    return text if text.strip() else generator.choice(WORDS)


def write_random(generator: random.Random, rows: list[tuple[str, str]]) -> File | None:
    """Return the rows as a file of a random writer and dialect; None if they cannot be written in it."""
    writer = generator.choices((python_csv, plain_lines, pandas_csv, polars_csv, excel_csv), (50, 15, 15, 12, 8))[0]
    try:
        return writer(generator, rows)
    except csv.Error:  # a cell needs an escape and there is none
        return None


def python_csv(generator: random.Random, rows: list[tuple[str, str]]) -> File:
    """Write with Python's csv module."""
    names = ["QUOTE_MINIMAL", "QUOTE_ALL", "QUOTE_NONNUMERIC", "QUOTE_NONE", "QUOTE_STRINGS", "QUOTE_NOTNULL"]
    quoting = generator.choice([name for name in names if hasattr(csv, name)])
    options: dict[str, Any] = {
        "delimiter": random_delimiter(generator),
        "quotechar": generator.choice('""""\''),
        "doublequote": generator.random() < 0.7,
        "lineterminator": generator.choice(("\r\n", "\n")),
        "escapechar": None,
    }
    if any("\r" in text.replace("\r\n", "") for text, _ in rows):
        options["lineterminator"] = "\r\n"  # so that Python quotes a lone carriage return
    if not options["doublequote"] or quoting == "QUOTE_NONE" or generator.random() < 0.1:
        options["escapechar"] = "\\"
    header, table = columns_of(generator, rows)
    file = io.StringIO(newline="")
    output = csv.writer(file, quoting=getattr(csv, quoting), **options)
    output.writerow(header)
    output.writerows(table)
    return finish(generator, file.getvalue(), options["delimiter"], rows, f"csv {quoting} {options}")


def plain_lines(generator: random.Random, rows: list[tuple[str, str]]) -> File:
    """Write cells as they are, without quoting. Delimiters and line breaks in texts become spaces."""
    delimiter = generator.choice("\t\t\t,;|")
    rows = [(" ".join(text.replace(delimiter, " ").splitlines()), label) for text, label in rows]
    header, table = columns_of(generator, rows)
    lines = [delimiter.join(map(str, cells)) for cells in [header, *table]]
    end = generator.choice(("\n", "\r\n"))
    return finish(generator, end.join(lines) + end, delimiter, rows, f"plain {delimiter!r}")


def pandas_csv(generator: random.Random, rows: list[tuple[str, str]]) -> File:
    """Write with pandas."""
    import pandas

    rows = without_lone_returns(rows)
    header, table = columns_of(generator, rows)
    double = generator.random() < 0.7
    quoting = generator.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC))
    options: dict[str, Any] = {
        "sep": random_delimiter(generator),
        "index": generator.random() < 0.5,
        "doublequote": double,
        "escapechar": None if double else "\\",
        "quoting": quoting,
    }
    content = pandas.DataFrame(table, columns=header).to_csv(None, **options)
    return finish(generator, content, options["sep"], rows, f"pandas {options}")


def polars_csv(generator: random.Random, rows: list[tuple[str, str]]) -> File:
    """Write with Polars."""
    import polars

    rows = without_lone_returns(rows)
    header, table = columns_of(generator, rows)
    options: dict[str, Any] = {
        "separator": random_delimiter(generator),
        "quote_style": generator.choice(("necessary", "always", "non_numeric", "never")),
        "line_terminator": generator.choice(("\n", "\r\n")),
    }
    if options["quote_style"] == "never":
        table = [
            [
                c if isinstance(c, int) else " ".join(c.replace(options["separator"], " ").splitlines())
                for c in cells
            ]
            for cells in table
        ]
        text, label = header.index("text"), header.index("label")
        rows = [(cells[text], cells[label]) for cells in table]
    content = polars.DataFrame(table, schema=header, orient="row").write_csv(None, **options)
    return finish(generator, content, options["separator"], rows, f"polars {options}")


def excel_csv(generator: random.Random, rows: list[tuple[str, str]]) -> File:
    """Write a workbook, read it, and save its cells as Excel does: with semicolons and a byte order mark."""
    import openpyxl

    header, table = columns_of(generator, rows)
    workbook = openpyxl.Workbook(write_only=True)
    sheet = workbook.create_sheet()
    for cells in [header, *table]:
        sheet.append([openpyxl.cell.WriteOnlyCell(sheet, cell) for cell in cells])
    file = io.BytesIO()
    workbook.save(file)
    stored = openpyxl.load_workbook(file).active.iter_rows(values_only=True)
    values = [["" if value is None else str(value) for value in cells] for cells in stored]
    text, label = values[0].index("text"), values[0].index("label")
    rows = [(cells[text], cells[label]) for cells in values[1:]]
    output = io.StringIO(newline="")
    delimiter = generator.choice(";;;,\t")
    csv.writer(output, delimiter=delimiter).writerows(values)
    declared = f"sep={delimiter}\r\n" if generator.random() < 0.3 else ""
    content = declared + output.getvalue()
    return File("table.csv", content.encode("utf-8-sig"), rows, f"excel {delimiter!r} {declared!r}")


def without_lone_returns(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return rows for a writer that does not quote a carriage return without a line feed."""
    return [(text.replace("\r\n", "\n").replace("\r", "\n"), label) for text, label in rows]


def columns_of(generator: random.Random, rows: list[tuple[str, str]]) -> tuple[list[str], list[list[Any]]]:
    """Return a header and the cells of rows: text and label in any order, and often a number column."""
    columns: dict[str, list[Any]] = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
    if generator.random() < 0.4:
        columns["id"] = list(range(len(rows)))
    header = generator.sample(list(columns), len(columns))
    return header, [list(cells) for cells in zip(*(columns[name] for name in header), strict=True)]


def random_delimiter(generator: random.Random) -> str:
    """Return a delimiter, most often a comma or a tab."""
    return generator.choice(",,,\t\t;;|")


def finish(
    generator: random.Random, content: str, delimiter: str, rows: Sequence[tuple[str, str]], writer: str
) -> File:
    """Return the content as a file, with or without a byte order mark."""
    extension = ".tsv" if delimiter == "\t" and generator.random() < 0.7 else ".csv"
    encoding = "utf-8-sig" if generator.random() < 0.1 else "utf-8"
    return File(f"table{extension}", content.encode(encoding), rows, writer)
