"""Headers of CSV and TSV files: the delimiter, and the columns of texts and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from fastlstm.data.labels import is_unicode
from fastlstm.data.options import ReadOptions
from fastlstm.data.readers.columns import column_index, label_column_indices
from fastlstm.data.readers.dialects import (
    DELIMITERS,
    NO_DELIMITER,
    Dialect,
    Evidence,
    InvalidRecord,
    Lines,
    parse,
    split_line,
)
from fastlstm.errors import DataError

DEFAULT_DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Layout:
    """Where the texts and labels of a file are.

    Attributes:
        delimiter: The delimiter.
        header: The column names.
        quote: The quote character of the header, if it is quoted.
        first_line: The number of lines up to the header, inclusive.
        text, label: The indices of the columns. `label` is None if there is none.
        probabilities: The name and index of each column with probabilities.
        skip_initial_space: Whether a space follows each delimiter.
    """

    delimiter: str
    header: Sequence[str]
    quote: str
    first_line: int
    text: int
    label: int | None
    skip_initial_space: bool
    probabilities: tuple[tuple[str, int], ...] = ()

    @cached_property
    def longest_name(self) -> int:
        """The length of the longest column name, with white space, quotes and a byte order mark."""
        return max(map(len, self.header)) + 10


class HeaderReader:
    """Reads the header of a file.

    Args:
        source: The name of the file in messages.
        extension: ".csv" or ".tsv".
        options: Columns, and the parts of the dialect that are not detected.
        labelled: Whether the label columns are needed.
    """

    def __init__(self, source: str, extension: str, options: ReadOptions, *, labelled: bool) -> None:
        self._source, self._extension, self._options, self._labelled = source, extension, options, labelled
        required = [name for name in options.label_columns if name not in options.optional_columns]
        self._wanted = (options.text_column, *(required if labelled else ()))

    def read(self, beginning: Sequence[str]) -> Layout | None:
        """Return the columns and the delimiter, given the first lines of the file; None for an empty file.

        Raises:
            DataError: A column is missing, or the header is not valid.
        """
        skipped = 0
        while skipped < len(beginning) and not beginning[skipped].strip():
            skipped += 1
        if skipped == len(beginning):
            return None
        delimiters = self._candidates(beginning[skipped])
        if _declared_delimiter(beginning[skipped]) is not None:
            skipped += 1
        if skipped == len(beginning):
            return None
        best: Layout | None = None
        for quote in ('"', "'"):
            for delimiter in delimiters:
                layout = self._try_header(beginning[skipped:], skipped, delimiter, quote)
                if layout is None:
                    continue
                names = layout.header
                if all(name in names for name in self._wanted):
                    return self._with_columns(layout)
                if best is None or len(names) > len(best.header):
                    best = layout
        assert best is not None, "a line without quoting is always a header"
        return self._with_columns(best)

    def _candidates(self, first_line: str) -> Sequence[str]:
        default = DEFAULT_DELIMITERS[self._extension]
        given = self._options.delimiter or _declared_delimiter(first_line)
        return [given] if given else [default, *(mark for mark in DELIMITERS if mark != default)]

    def _try_header(self, lines: Sequence[str], skipped: int, delimiter: str, quote: str) -> Layout | None:
        quoting = self._options.quoting or ("double" if quote == '"' else "single")
        record = next(parse(Lines(iter(lines)), Dialect(delimiter, quoting), -1, Evidence()), None)
        if record is None or isinstance(record, InvalidRecord):
            cells, count = split_line(lines[0], delimiter), 1
        else:
            cells, count = record[1], max(len(record[2]), 1)
        spaced = len(cells) > 1 and all(cell.startswith(" ") for cell in cells[1:])
        if spaced:  # quotes after a space are quotes
            reader = Dialect(delimiter, quoting, skip_initial_space=True).reader(lines[:count])
            cells = next(reader)
        names = [cell.strip() for cell in cells]
        is_quoted = lines[0].lstrip()[:1] == quote
        if quote == "'" and not is_quoted:
            return None
        only_column = len(names) == 1 and delimiter != self._options.delimiter
        return Layout(
            NO_DELIMITER if only_column else delimiter,
            names,
            quote if is_quoted else "",
            skipped + count,
            -1,
            None,
            spaced,
        )

    def _with_columns(self, layout: Layout) -> Layout:
        if not all(is_unicode(name) for name in layout.header):
            raise DataError(
                f"line {layout.first_line} of {self._source}: the header is not valid UTF-8; save the file as UTF-8, "
                "or pass `encoding`",
                code="not-utf8",
                source=self._source,
                location=layout.first_line,
            )
        header = list(layout.header)
        text = column_index(self._wanted[0], header, self._source, "text_column")
        indices = label_column_indices(header, self._source, self._options) if self._labelled else {}
        label = indices.pop(self._options.label_column, None)
        return replace(layout, text=text, label=label, probabilities=tuple(indices.items()))


def _declared_delimiter(line: str) -> str | None:
    """Return the delimiter that a first line such as "sep=;" declares for Excel; None for another line."""
    declaration = line.strip('\r\n"')
    if declaration[:4].lower() == "sep=" and len(declaration) == 5:
        return declaration[4]
    return None
