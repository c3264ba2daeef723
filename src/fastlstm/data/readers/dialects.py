"""Dialects of CSV and TSV files: delimiter and quoting, chosen so that no row merges with another or disappears.

A file is parsed in the most plausible dialect. The parse collects evidence on the whole file for and against quoting
and escapes, and the dialect is accepted only if the evidence agrees with it. docs/reading-data.md describes the rules.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from fastlstm.data.options import Quoting

DELIMITERS = (",", "\t", ";", "|", ":", "^", "~")
"""Delimiters that are detected; any other must be passed."""
NO_DELIMITER = "\x1f"
"""Stands for no delimiter, in a file with one column. Texts do not contain it."""
QUOTING: dict[Quoting, tuple[str, str]] = {
    "double": ('"', ""),
    "backslash": ('"', "\\"),
    "single": ("'", ""),
    "single-backslash": ("'", "\\"),
    "none": ("", ""),
}
"""Quoting -> quote and escape character."""
ESCAPED: dict[Quoting, Quoting] = {"double": "backslash", "single": "single-backslash"}
"""Quoting -> the same with backslash escapes."""
MAX_CELL_LENGTH = 1 << 24
"""Characters. A longer quoted cell is an unclosed quote."""
MIN_QUOTED_CELLS = 4
"""Quoted cells that are hardly texts that someone put in quotes. Cells with quotes in them count twice."""
MIN_ESCAPED_QUOTES = 3
"""Escaped quotes, without any that are not escaped, that are hardly texts with backslashes."""
MAX_RETURNED_LINES = 1_000_000
"""Lines after rows with invalid quoting that are parsed again. After more of them, every row is one line."""


@dataclass(frozen=True)
class Dialect:
    """The dialect of a file. `skip_initial_space`: spaces after a delimiter are not part of the cell."""

    delimiter: str = ","
    quoting: Quoting = "double"
    skip_initial_space: bool = False

    def reader(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """Return the rows of `lines`. Invalid quoting raises `csv.Error`."""
        quote, escape = QUOTING[self.quoting]
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=quote or None,
            quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
            escapechar=escape or None,
            skipinitialspace=self.skip_initial_space,
            strict=True,
        )

    def describe(self) -> str:
        """Return the dialect in words."""
        names = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars", NO_DELIMITER: "one column"}
        quotes = {
            "double": "cells in double quotes",
            "backslash": "cells in double quotes with backslash escapes",
            "single": "cells in single quotes",
            "single-backslash": "cells in single quotes with backslash escapes",
            "none": "no quoting",
        }
        return f"{names.get(self.delimiter, f'delimiter {self.delimiter!r}')}, {quotes[self.quoting]}"


@dataclass
class Evidence:
    """What a parse with quotes found, on the lines of the file below the header.

    Attributes:
        needed: Quoted cells with quotes or line breaks in them, which a writer must quote.
        unneeded: Quoted cells that a writer need not quote.
        bare: Cells that are not quoted but contain a quote, which a writer would quote.
        invalid: Rows with invalid quoting.
        ambiguous: Rows of several lines that also fit the header if quotes have no meaning.
        lines_fit: Whether every line has the number of cells of the header if quotes have no meaning.
        always_quoted: Column by column, whether every cell is quoted.
        escapes: Backslashes that escape a quote, a delimiter, a backslash or a line break.
        escaped_quotes: Those of a quote or an apostrophe.
        unescaped_quotes: Lines that contain the same kind of quote inside cells with and without a backslash.
        literal_backslashes: Backslashes that escape nothing.
    """

    needed: int = 0
    unneeded: int = 0
    bare: int = 0
    invalid: int = 0
    ambiguous: int = 0
    lines_fit: bool = True
    always_quoted: list[bool] = field(default_factory=list)
    escapes: int = 0
    escaped_quotes: int = 0
    unescaped_quotes: int = 0
    literal_backslashes: int = 0

    @property
    def has_quotes(self) -> bool:
        """Whether there are quotes that show whether fields are quoted."""
        return self.needed + self.unneeded + self.bare + self.invalid + self.ambiguous > 0

    @property
    def has_quoted_column(self) -> bool:
        """Whether all cells of a column are quoted."""
        return self.unneeded > 0 and any(self.always_quoted)

    @property
    def is_consistent(self) -> bool:
        """Whether a writer that quotes would have written the quotes as they are."""
        return not (self.invalid or self.bare) and (self.unneeded == 0 or self.has_quoted_column)

    @property
    def is_certain(self) -> bool:
        """Whether there are so many quoted cells that they are hardly texts in quotes."""
        return not self.lines_fit or 2 * self.needed + self.unneeded >= MIN_QUOTED_CELLS


Record = tuple[int, list[str], tuple[str, ...], bool]
"""A row of a file: the number of its first line; its cells; its lines, if it has several; whether its quoting is
invalid, so that its quotes are read as part of the cells."""


class InvalidRecord(NamedTuple):
    """A row that cannot be parsed: the number of its first line, and why."""

    line: int
    reason: str


class Lines:
    """The lines of a file, from which a parser takes one row at a time and to which it can give lines back."""

    def __init__(self, lines: Iterator[str], number: int = 0) -> None:
        self._lines = lines
        self._returned: deque[str] = deque()
        self.number = number
        """The number of lines before the present row."""
        self.record: list[str] = []
        """The lines of the present row."""

    def __iter__(self) -> Iterator[str]:
        record, returned, lines = self.record, self._returned, self._lines
        while True:
            for line in lines if not returned else ():
                record.append(line)
                yield line
                if returned:
                    break
            if not returned:
                return
            while returned:
                line = returned.popleft()
                record.append(line)
                yield line

    def give_back(self, lines: Sequence[str]) -> None:
        """Return lines of the present row, which are taken again as further rows."""
        self._returned.extendleft(reversed(lines))
        del self.record[len(self.record) - len(lines) :]


def parse(lines: Lines, dialect: Dialect, width: int, evidence: Evidence) -> Iterator[Record | InvalidRecord]:
    """Yield the rows of a file below the header, and collect evidence about quoting.

    A row with invalid quoting is read as one line without quoting if it then has `width` cells, and is an
    `InvalidRecord` otherwise. The lines after it are parsed again, within a limit.

    Args:
        lines: The lines below the header.
        dialect: How to split rows into cells.
        width: The number of cells of the header.
        evidence: Updated with every row.
    """
    csv.field_size_limit(MAX_CELL_LENGTH)
    delimiter = dialect.delimiter
    observer = _Observer(dialect, width, evidence)
    observe = observer.observe
    record = lines.record
    returned = 0
    single_lines: Iterator[str] | None = None
    reader = dialect.reader(lines)
    while True:
        number = lines.number + len(record) + 1
        lines.number = number - 1
        record.clear()
        if single_lines is not None:
            reader = dialect.reader(list(islice(single_lines, 1)))
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            evidence.invalid += 1
            returned += len(record) - 1
            lines.give_back(record[1:])
            line = record[0]
            observer.count_escapes(line)
            evidence.lines_fit = evidence.lines_fit and line.count(delimiter) + 1 == width
            cells = split_line(line, delimiter)
            if len(cells) == width:
                yield number, cells, (), True
            else:
                yield InvalidRecord(number, _quoting_reason(error))
            if returned > MAX_RETURNED_LINES and single_lines is None:
                single_lines = iter(lines)
            reader = dialect.reader(lines)
            continue
        if not cells:
            continue
        if len(record) > 1:
            observe(record, cells)
            yield number, cells, tuple(record), False
        else:
            line = record[0]
            if evidence.lines_fit or "\\" in line:
                observe(record, cells)
            yield number, cells, (), False


class _Observer:
    """Collects evidence about quoting and escapes from the lines and cells of rows."""

    def __init__(self, dialect: Dialect, width: int, evidence: Evidence) -> None:
        self._quote, self._delimiter = QUOTING[dialect.quoting][0], dialect.delimiter
        self._width, self._evidence = width, evidence
        evidence.always_quoted = [bool(self._quote)] * width
        mark = re.escape(self._delimiter)
        self._inner_quote = re.compile(rf'[^{mark}\r\n]"[^{mark}\r\n]')
        self._escape = re.compile(rf'\\(?:(["\'\\{re.escape(self._delimiter)}\r\n])|.?)', re.DOTALL)

    def observe(self, record: Sequence[str], cells: list[str]) -> None:
        """Update the evidence with one row."""
        evidence = self._evidence
        for line in record:
            if "\\" in line:
                self.count_escapes(line)
        fits = all(line.count(self._delimiter) + 1 == self._width for line in record)
        if fits and self._quote and len(record) > 1:
            evidence.ambiguous += 1
        evidence.lines_fit = evidence.lines_fit and fits
        if self._quote and evidence.lines_fit and len(record) == 1 and len(cells) == self._width:
            self._count_quoted_cells(split_line(record[0], self._delimiter), cells)

    def count_escapes(self, line: str) -> None:
        """Count the backslashes of a line that escape something, and the others."""
        evidence = self._evidence
        for match in self._escape.finditer(line):
            if match[1]:
                evidence.escapes += 1
                evidence.escaped_quotes += match[1] in "'\""
            else:
                evidence.literal_backslashes += 1
        rest = self._escape.sub("", line)
        if ("'" in rest and "\\'" in line) or ('\\"' in line and self._inner_quote.search(rest)):
            evidence.unescaped_quotes += 1

    def _count_quoted_cells(self, raw: list[str], cells: list[str]) -> None:
        evidence, quote = self._evidence, self._quote
        for column, (before, after) in enumerate(zip(raw, cells, strict=True)):
            before = before.strip(" ")
            if before[:1] == quote and len(before) > 1 and before[-1] == quote:
                if not after:  # some writers quote empty strings, to distinguish them from missing values
                    continue
                if quote in after or (self._delimiter == NO_DELIMITER and any(d in after for d in DELIMITERS)):
                    evidence.needed += 1
                else:
                    evidence.unneeded += 1
            else:
                if column < len(evidence.always_quoted):
                    evidence.always_quoted[column] = False
                if quote in before:
                    evidence.bare += 1


def plausible_quotings(
    dialect: Dialect, evidence: Evidence, extension: str, faults: int = 0
) -> tuple[Sequence[Quoting], bool]:
    """Return the quotings that the evidence of a parse speaks for, the most plausible first.

    The second value is whether another quoting is nearly as plausible as that of the parse.

    Args:
        dialect: The dialect of the parse.
        evidence: The evidence of the parse.
        extension: ".csv" or ".tsv". TSV files are not quoted unless they are quoted consistently.
        faults: The number of rows that the parse does not fit. Without any, backslashes are part of the texts, unless
            they escape every quote inside a cell.
    """
    quoting = dialect.quoting
    if quoting not in ESCAPED:
        return (quoting,), quoting != "none" and not evidence.invalid
    quotings: list[Quoting] = []
    has_only_escapes = evidence.escapes > 0 and not evidence.literal_backslashes
    has_escaped_quotes = has_only_escapes and evidence.escaped_quotes >= MIN_ESCAPED_QUOTES
    has_escaped_quotes = has_escaped_quotes and not evidence.unescaped_quotes
    if has_escaped_quotes or (faults and (has_only_escapes or (evidence.escapes and evidence.invalid))):
        quotings.append(ESCAPED[quoting])
    if not evidence.has_quotes or not evidence.lines_fit:
        return [*quotings, quoting], False
    is_tsv = extension == ".tsv"
    has_quoted_cells = evidence.needed + evidence.unneeded > 0
    if evidence.is_consistent and (has_quoted_cells or not is_tsv):
        return [*quotings, quoting], not evidence.is_certain
    if evidence.has_quoted_column and evidence.is_certain:
        return [*quotings, quoting], True
    if is_tsv or evidence.invalid or evidence.bare:
        return [*quotings, "none", quoting], False
    return [*quotings, quoting], True


def split_line(line: str, delimiter: str) -> list[str]:
    """Return the cells of a line in which quotes have no meaning."""
    return line.rstrip("\r\n").split(delimiter)


def _quoting_reason(error: csv.Error) -> str:
    reason = str(error)
    if "unexpected end of data" in reason:
        return "a quote is not closed; close it, or double quotes inside a quoted cell"
    if "field larger" in reason:
        return f"a quoted cell has more than {MAX_CELL_LENGTH:,} characters; close the quote"
    return f"invalid quoting ({reason}); double quotes inside a quoted cell"
