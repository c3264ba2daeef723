"""Rows of CSV and TSV files: the dialect, and rows that do not fit it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TextIO, cast

from fastlstm.data.options import BadRow, ReadOptions
from fastlstm.data.readers.columns import column_list
from fastlstm.data.readers.dialects import (
    ESCAPED,
    NO_DELIMITER,
    QUOTING,
    Dialect,
    Evidence,
    InvalidRecord,
    Lines,
    Record,
    parse,
    plausible_quotings,
    split_line,
)
from fastlstm.data.readers.encodings import RemoteFile, marked_encoding, open_text
from fastlstm.data.readers.headers import DEFAULT_DELIMITERS, HeaderReader, Layout
from fastlstm.data.validation import LabelledRow, Rows, excerpt
from fastlstm.errors import DataError
from fastlstm.notes import Note

SAMPLE_LINES = 2000
"""Lines of which the dialect is guessed before the whole file is parsed."""
MAX_LINES_SHOWN = 5


Row = tuple[int, list[str]]
"""The number of the first line of a row, and its cells."""


@dataclass(frozen=True)
class RowStream:
    """The rows of a file, one at a time.

    Attributes:
        header: The column names.
        notes: How the file is read.
        rows: Yields rows, and bad rows. Closing it closes the file.
    """

    header: list[str]
    notes: tuple[Note, ...]
    rows: Generator[Row | BadRow, None, None]


@dataclass(frozen=True)
class LongRow:
    """A row of several lines, two or more of which have the cells of a row: they may be rows with stray quotes."""

    line: int
    cells: list[str]
    lines: Sequence[str]


@dataclass
class Table:
    """The rows of a file, parsed in one dialect.

    Attributes:
        dialect: The dialect.
        rows: Rows, bad rows, and rows of several lines that may be separate rows.
        evidence: What the parse found about quoting.
        malformed: The number of rows that do not fit the dialect.
        recovered: The numbers of the lines with invalid quoting that are read without quoting.
        doubtful: The numbers of the first lines of rows that contain lines which look like rows.
        has_long_rows: Whether `rows` contains a `LongRow`.
    """

    dialect: Dialect
    rows: list[LabelledRow | BadRow | LongRow] = field(default_factory=list)
    evidence: Evidence = field(default_factory=Evidence)
    malformed: int = 0
    recovered: list[int] = field(default_factory=list)
    doubtful: list[int] = field(default_factory=list)
    has_long_rows: bool = False

    @property
    def faults(self) -> int:
        """The number of rows that do not fit the dialect or have invalid quoting."""
        return self.malformed + len(self.recovered)


class DelimitedFile:
    """A CSV or TSV file.

    Args:
        path: The file.
        source: Its name in messages.
        extension: ".csv" or ".tsv".
        options: Columns, and the parts of the dialect that are not detected.
        labelled: Whether to read the label column.
    """

    def __init__(
        self, path: Path | RemoteFile, source: str, extension: str, options: ReadOptions, *, labelled: bool
    ) -> None:
        self._path, self._source, self._extension, self._options = path, source, extension, options
        self._maybe_quoted = ""
        """The quote character that may surround cells although it is read as part of the texts."""
        self._header = HeaderReader(source, extension, options, labelled=labelled)
        self._has_labels = labelled and bool(set(options.label_columns) - set(options.optional_columns))

    def rows(self) -> Rows:
        """Yield the rows below the header, located by line number. Blank lines are skipped. Return notes.

        Raises:
            DataError: A column is missing, or the header is not valid.
        """
        layout = self._layout()
        if layout is None:
            return ()
        table = self._best_table(layout)
        yield from self._resolved(table, layout)
        return tuple(self._notes(table))

    def stream(self) -> RowStream | None:
        """Return the header, and an iterator over the rows that keeps none of them in memory; None for an empty file.

        The dialect is that of the first lines of the file. Rows are located by line number. Blank lines are skipped.

        Raises:
            DataError: The text column is missing, or the header is not valid.
        """
        layout = self._layout()
        if layout is None:
            return None
        dialect = Dialect(layout.delimiter, self._options.quoting or "double", layout.skip_initial_space)
        if self._options.quoting is None:
            dialect = self._guess(layout, dialect)
        with self._open() as file:
            sample = islice(file, layout.first_line, layout.first_line + SAMPLE_LINES)
            notes = self._notes(self._parse_lines(sample, layout, dialect, layout.first_line))
            return RowStream(list(layout.header), tuple(notes), self._stream_rows(layout, dialect))

    def _stream_rows(self, layout: Layout, dialect: Dialect) -> Generator[Row | BadRow, None, None]:
        with self._open() as file:
            lines = Lines(islice(file, layout.first_line, None), layout.first_line)
            for record in parse(lines, dialect, len(layout.header), Evidence()):
                bad_row = self._bad_row(record, layout)
                if bad_row is not None:
                    yield bad_row
                elif not isinstance(record, InvalidRecord) and not _is_blank(record[1], layout):
                    yield record[0], record[1]

    def _open(self) -> TextIO:
        return open_text(self._path, "", self._options.encoding)

    def _layout(self) -> Layout | None:
        with self._open() as file:
            beginning = list(islice(file, SAMPLE_LINES))
        return self._header.read(beginning)

    def _best_table(self, layout: Layout) -> Table:
        """Return the rows in the dialect that fits the whole file best."""
        dialect = Dialect(layout.delimiter, self._options.quoting or "double", layout.skip_initial_space)
        if self._options.quoting is not None:
            return self._parse(layout, dialect)
        guess = self._guess(layout, dialect)
        return self._select(guess, lambda dialect: self._parse(layout, dialect))

    def _guess(self, layout: Layout, dialect: Dialect) -> Dialect:
        """Return the dialect that fits the first lines best."""
        with self._open() as file:
            sample = list(islice(file, layout.first_line, layout.first_line + SAMPLE_LINES))

        def parse_sample(dialect: Dialect) -> Table:
            return self._parse_lines(iter(sample), layout, dialect, layout.first_line)

        double = self._select(dialect, parse_sample)
        if double.dialect.quoting == "none" and parse_sample(dialect).evidence.is_consistent:
            self._maybe_quoted = '"'
        evidence = double.evidence
        is_double = not double.faults and (evidence.needed + evidence.unneeded > 0 or not evidence.lines_fit)
        if layout.quote != "'" and (is_double or not any("'" in line for line in sample)):
            return double.dialect
        single = self._select(replace(dialect, quoting="single"), parse_sample)
        is_single = single.dialect.quoting != "none" and not single.faults
        is_single = is_single and single.evidence.is_consistent
        if layout.quote == "'" or (is_single and single.evidence.is_certain):
            return single.dialect
        if is_single and single.evidence.has_quotes:
            self._maybe_quoted = "'"
        return double.dialect

    def _select(self, dialect: Dialect, parse: Callable[[Dialect], Table]) -> Table:
        """Return the rows in the quoting that their evidence speaks for, or if none fits, with the fewest faults.

        Args:
            dialect: The dialect to begin with.
            parse: Returns the rows in a dialect.
        """
        table = parse(dialect)
        tables = {dialect.quoting: table}
        if dialect.quoting not in ESCAPED and table.faults:  # the sample was not like the rest of the file
            dialect = replace(dialect, quoting="single" if dialect.quoting == "single-backslash" else "double")
            table = tables[dialect.quoting] = parse(dialect)
        for quoting in plausible_quotings(dialect, table.evidence, self._extension, table.faults)[0]:
            if quoting not in tables:
                tables[quoting] = parse(replace(dialect, quoting=quoting))
            if not tables[quoting].faults:
                return tables[quoting]
        return min(tables.values(), key=lambda table: table.faults)

    def _parse(self, layout: Layout, dialect: Dialect) -> Table:
        with self._open() as file:
            return self._parse_lines(islice(file, layout.first_line, None), layout, dialect, layout.first_line)

    def _parse_lines(self, lines: Iterator[str], layout: Layout, dialect: Dialect, first_line: int = 0) -> Table:
        table = Table(dialect)
        width, text, label = len(layout.header), layout.text, layout.label
        rows = table.rows
        recovered: list[int] = []
        for record in parse(Lines(lines, first_line), dialect, width, table.evidence):
            bad_row = self._bad_row(record, layout)
            if bad_row is not None:
                table.malformed += bad_row.code != "repeated-header"
                rows.append(bad_row)
                continue
            assert not isinstance(record, InvalidRecord), "an invalid record is a bad row"
            line, cells, lines_of_row, is_recovered = record
            if _is_blank(cells, layout):
                continue
            if lines_of_row and width > 1 and self._may_be_lines(lines_of_row, layout):
                rows.append(LongRow(line, cells, lines_of_row))
                table.has_long_rows = True
            else:
                if is_recovered:
                    table.recovered.append(line)
                    recovered.append(len(rows))
                if layout.probabilities:
                    rows.append((line, cells[text], self._with_probabilities(cells, layout)))
                else:
                    rows.append((line, cells[text], None if label is None else cells[label]))
        if recovered and table.evidence.has_quoted_column:
            quoted, quote = table.evidence.always_quoted, QUOTING[dialect.quoting][0]
            for index in recovered:
                line, text_cell, label_cell = cast("tuple[int, str, object]", rows[index])
                if quoted[text]:
                    text_cell = _unquoted(text_cell, quote)
                if label is not None and isinstance(label_cell, str) and quoted[label]:
                    label_cell = _unquoted(label_cell, quote)
                rows[index] = (line, text_cell, label_cell)
        return table

    def _bad_row(self, record: Record | InvalidRecord, layout: Layout) -> BadRow | None:
        """Return why a row does not fit the header; None if it does, or is blank."""
        if isinstance(record, InvalidRecord):
            return BadRow(self._source, record.line, "bad-csv-quoting", record.reason)
        line, cells, header = record[0], record[1], layout.header
        if len(cells) != len(header):
            if _is_blank(cells, layout):
                return None
            reason = (
                f"{len(cells)} cells; expected {len(header)} ({column_list(header)}); quote cells with delimiters"
            )
            return BadRow(self._source, line, "bad-csv-row", reason, excerpt(" ".join(cells)))
        if len(cells[layout.text]) <= layout.longest_name and _is_header(cells, header):
            self._require_order(cells, header, line)
            return BadRow(self._source, line, "repeated-header", "the header is repeated")
        return None

    def _with_probabilities(self, cells: Sequence[str], layout: Layout) -> object:
        row: dict[str, str | None] = {column: cells[index] for column, index in layout.probabilities}
        if layout.label is not None:
            row[self._options.label_column] = cells[layout.label] or None
        return self._options.label_of(row)

    def _require_order(self, cells: Sequence[str], header: Sequence[str], line: int) -> None:
        """Raise `DataError` if a repeated header has the columns in another order."""
        if [_plain_name(cell) for cell in cells] != [_plain_name(name) for name in header]:
            raise DataError(
                f"line {line} of {self._source} is another header ({column_list(cells)}), with the columns in another "
                f"order than the first ({column_list(header)}); split the file there",
                code="another-header",
                source=self._source,
                location=line,
                columns=list(cells),
            )

    def _may_be_lines(self, lines: Sequence[str], layout: Layout) -> bool:
        """Return whether two lines or more of a row of several lines have the cells of a row."""
        if layout.label is None or layout.probabilities or self._options.quoting is not None:
            return False
        commas = len(layout.header) - 1
        return sum(line.count(layout.delimiter) == commas for line in lines) > 1

    def _resolved(self, table: Table, layout: Layout) -> Iterator[LabelledRow | BadRow]:
        """Yield the rows. A row of several lines is several rows if the label of each line is one of other rows."""
        label = layout.label
        if not table.has_long_rows:
            yield from cast("list[LabelledRow | BadRow]", table.rows)
            return
        known = {row[2] for row in table.rows if isinstance(row, tuple)} if label is not None else set()
        for row in table.rows:
            if not isinstance(row, LongRow):
                yield row
                continue
            assert label is not None, "only labelled rows are ambiguous"
            lines = [split_line(line, layout.delimiter) for line in row.lines]
            fitting = [cells for cells in lines if len(cells) == len(layout.header)]
            named = [cells for cells in fitting if cells[label] in known]
            if len(named) == len(lines):
                for offset, cells in enumerate(lines):
                    table.recovered.append(row.line + offset)
                    yield row.line + offset, cells[layout.text], cells[label]
            else:
                if len(named) > 1 or len(fitting) == len(lines):
                    table.doubtful.append(row.line)
                yield row.line, row.cells[layout.text], row.cells[label]

    def _notes(self, table: Table) -> Iterator[Note]:
        dialect, evidence = table.dialect, table.evidence
        usual = Dialect(DEFAULT_DELIMITERS[self._extension])
        encoding = self._options.encoding or marked_encoding(self._path)
        unusual = dialect.delimiter not in (usual.delimiter, NO_DELIMITER) or dialect.quoting != "double"
        if unusual or (self._extension == ".tsv" and evidence.has_quotes) or encoding not in (None, "utf-8-sig"):
            named = f", {encoding}" if encoding else ""
            yield Note(f"{self._source}: read with {dialect.describe()}{named}", "dialect")
        if self._options.quoting is None:
            doubt = self._doubt(table)
            if doubt:
                yield Note(f"{self._source}: {doubt}", "doubtful-quoting")
        if table.doubtful:
            yield Note(
                f"{self._source}: quoted cells contain lines that look like rows, in the rows of lines "
                f"{_some_lines(table.doubtful)}; if these are rows, correct the quotes or pass `quoting='none'`",
                "doubtful-quoting",
            )
        if table.recovered:
            yield Note(
                f"{self._source}: quotes are read as part of the text in lines with stray quotes: "
                f"{_some_lines(table.recovered)}",
                "stray-quotes",
            )

    def _doubt(self, table: Table) -> str:
        """Return what may be wrong about the quoting of a file; "" if it is certain."""
        quoting, evidence = table.dialect.quoting, table.evidence
        if quoting.endswith("backslash"):
            literal = quoting.removesuffix("backslash").removesuffix("-") or "double"
            return (
                f"a backslash is read as an escape of the next character; pass `quoting`={literal} if backslashes "
                "belong to the texts"
            )
        if evidence.escapes and not evidence.literal_backslashes:
            return "backslashes are read as part of the texts; pass `quoting`=backslash if they escape characters"
        if (quoting == "none" and self._maybe_quoted) or (quoting == "double" and self._maybe_quoted == "'"):
            name = "single" if self._maybe_quoted == "'" else "double"
            return f"{name} quotes around cells are read as part of the texts; pass `quoting`={name} to drop them"
        is_doubtful = plausible_quotings(table.dialect, evidence, self._extension)[1]
        if quoting != "none" and (is_doubtful or (evidence.ambiguous and not self._has_labels)):
            return "quotes around cells are read as quoting and dropped; pass `quoting`=none to keep them"
        return ""


def _some_lines(lines: Sequence[int]) -> str:
    """Return line numbers for a message; of many, the first."""
    shown = ", ".join(map(str, sorted(lines)[:MAX_LINES_SHOWN]))
    return shown if len(lines) <= MAX_LINES_SHOWN else f"{shown} and {len(lines) - MAX_LINES_SHOWN:,} more"


def _unquoted(cell: str, quote: str) -> str:
    """Return a cell without the quotes around it."""
    return cell[1:-1].replace(2 * quote, quote) if len(cell) > 1 and cell[0] == cell[-1] == quote else cell


def _plain_name(cell: str) -> str:
    """Return a column name without byte order mark, quotes, white space and case."""
    return cell.strip("\ufeff \t\"'").casefold()


def _is_blank(cells: Sequence[str], layout: Layout) -> bool:
    """Return whether all cells of a row are blank. A file of one column has rows with blank texts."""
    if len(cells) == len(layout.header) and (len(cells) == 1 or cells[layout.text].strip()):
        return False
    return not "".join(cells).strip()


def _is_header(cells: Sequence[str], header: Sequence[str]) -> bool:
    """Return whether the cells of a row are the column names, in any order."""
    return sorted(map(_plain_name, cells)) == sorted(map(_plain_name, header))
