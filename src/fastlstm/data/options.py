"""Options of reading data, shared by every reader, command and Python function."""

from __future__ import annotations

import codecs
import csv
import dataclasses
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from fastlstm.errors import OptionError, WriteError, suggest

Quoting = Literal["double", "backslash", "single", "single-backslash", "none"]
OnBadRows = Literal["skip", "stop"]

MAX_BAD_ROW_SHARE = 0.1
"""Fraction of rows that may be skipped. More of them stop the run: the file is probably read in the wrong way."""
NAMED_DELIMITERS = {"comma": ",", "tab": "\t", "\\t": "\t", "semicolon": ";", "pipe": "|", "space": " "}
"""Names of delimiters that are hard to type in a shell."""


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used.

    Attributes:
        source: The file or data that contains it.
        location: Its line number as an editor shows it, its row number, or its file name.
        code: The cause, one of the codes in docs/errors.md.
        reason: The cause in words.
        content: The beginning of its text, if it has one.
    """

    source: str
    location: int | str
    code: str
    reason: str
    content: str = ""


@dataclass(frozen=True)
class LabelCells:
    """The cells of a row that has probabilities.

    Attributes:
        label: The cell of the label; None if there is none.
        probabilities: The cell of each class, or one cell that contains a mapping.
    """

    label: object
    probabilities: object


BAD_ROW_COLUMNS = [field.name for field in dataclasses.fields(BadRow)]


def bad_rows_csv(rows: Iterable[Sequence[object]]) -> bytes:
    """Return rows of a CSV file in UTF-8. Unpaired surrogates become "?"."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode(errors="replace")


class BadRowFile:
    """A CSV file that lists skipped rows. The first call of `write` replaces an existing file, later calls append."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._started = False

    def check(self) -> None:
        """Raise `OptionError` if the path is an existing file that is not a list of bad rows."""
        if not self.path.is_file():  # it does not exist, or is a pipe, which must not be read
            return
        header = ",".join(BAD_ROW_COLUMNS).encode()
        try:
            with self.path.open("rb") as file:
                beginning = file.read(len(header))
        except OSError:  # it does not exist, or `write` reports the reason
            return
        if beginning and beginning != header:
            raise OptionError(
                f"{self.path} exists and is not a list of bad rows, so it is not replaced; pass another file as "
                "`bad_rows`",
                code="bad-rows-file-exists",
                path=self.path,
            )

    def write(self, rows: Iterable[BadRow]) -> None:
        """Append rows.

        Raises:
            OptionError: As `check`.
            WriteError: The file cannot be written.
        """
        self.check()
        try:
            with self.path.open("ab" if self._started else "wb") as file:
                if not self._started:
                    file.write(bad_rows_csv([BAD_ROW_COLUMNS]))
                file.write(bad_rows_csv(map(dataclasses.astuple, rows)))
        except OSError as error:
            raise WriteError(
                f"cannot write {self.path}: {error.strerror}; pass another file as `bad_rows`",
                code="write-failed",
                path=self.path,
            ) from error
        self._started = True


LABEL_COLUMN = "label"
"""The column of labels in tables, unless another one is named."""


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How labelled and unlabelled texts are read.

    Attributes:
        text_column, label_column: The columns of tables.
        probability_columns: Class name -> column of a table with the probability of the class, as pairs. `create` also
            takes a mapping, a list of columns named as the classes, or "negative=p_neg,positive=p_pos". With
            probabilities, a text may have no label.
        probability_column: A column with a mapping of class names to probabilities, in CSV and TSV files written as
            JSON.
        delimiter: The character between the cells of a CSV or TSV file, or one of `NAMED_DELIMITERS`. None: detected.
        quoting: How a CSV or TSV file quotes cells: "double": in double quotes, with quotes inside doubled;
            "backslash": the same, and a backslash escapes the next character; "single": in single quotes, with quotes
            inside doubled; "single-backslash": the same, with backslash escapes; "none": not at all. None: detected.
        encoding: The encoding of text files, a name that Python knows, such as "gb18030". None: UTF-8, or UTF-16 or
            UTF-32 if the file begins with their byte order mark.
        on_bad_rows: "skip": rows without a usable text and label are skipped, counted and reported, up to
            `max_bad_share` of the rows; "stop": the first one is an error.
        bad_rows: The file to list skipped rows in, as CSV.
        keep_missing: Whether spellings of missing values, such as NA and None, are class names.
        merge_labels: Whether labels that look alike, such as "Pos" and "pos ", become one: the most frequent.
        max_bad_share: The fraction of rows that may be skipped.
        class_names: Names that are classes already, of a model or of the training texts: they are never missing
            values, and labels are merged into them.
    """

    text_column: str = "text"
    label_column: str = LABEL_COLUMN
    probability_columns: tuple[tuple[str, str], ...] = ()
    probability_column: str | None = None
    delimiter: str | None = None
    quoting: Quoting | None = None
    encoding: str | None = None
    on_bad_rows: OnBadRows = "skip"
    bad_rows: BadRowFile | None = field(default=None, compare=False)
    keep_missing: bool = False
    merge_labels: bool = False
    max_bad_share: float = MAX_BAD_ROW_SHARE
    class_names: tuple[str, ...] = ()

    @classmethod
    def create(cls, options: Mapping[str, Any]) -> ReadOptions:
        """Return validated options. `bad_rows` may be a path.

        Raises:
            OptionError: Unknown name or bad value.
        """
        values = dict(options)
        for name in values:
            if name not in READ_OPTIONS:
                raise OptionError(
                    f"unknown option {name!r}; {suggest(name, READ_OPTIONS)}", code="unknown-option", option=name
                )
        for name in ("text_column", "label_column"):
            if name in values and not isinstance(values[name], str):
                _reject(name, values[name], "the name of a column")
        values["probability_columns"] = _probability_columns(values.get("probability_columns"))
        if not isinstance(values.get("probability_column", ""), str | None):
            _reject("probability_column", values["probability_column"], "the name of a column")
        if values["probability_columns"] and values.get("probability_column") is not None:
            raise OptionError(
                "`probability_columns` and `probability_column` exclude each other; remove one of the two",
                code="conflicting-options",
                options=("probability_columns", "probability_column"),
            )
        if values.get("delimiter") is not None:
            if not isinstance(values["delimiter"], str):
                _reject("delimiter", values["delimiter"], f"one character, or {', '.join(NAMED_DELIMITERS)}")
            values["delimiter"] = NAMED_DELIMITERS.get(values["delimiter"], values["delimiter"])
        if values.get("bad_rows") is not None and not isinstance(values["bad_rows"], BadRowFile):
            if not isinstance(values["bad_rows"], str | os.PathLike):
                _reject("bad_rows", values["bad_rows"], "the path of a file")
            values["bad_rows"] = BadRowFile(values["bad_rows"])
            values["bad_rows"].check()
        result = cls(**values)
        if "label_column" in values:
            result.require_two_columns()
        if result.delimiter is not None and (len(result.delimiter) != 1 or result.delimiter in "\r\n\"'\\"):
            _reject("delimiter", result.delimiter, f"one character, or {', '.join(NAMED_DELIMITERS)}")
        for name, kind in (("quoting", Quoting), ("on_bad_rows", OnBadRows)):
            value = getattr(result, name)
            if value not in get_args(kind) and not (name == "quoting" and value is None):
                _reject(name, value, suggest(str(value), get_args(kind)))
        if result.encoding is not None:
            _check_encoding(result.encoding)
        return result

    @property
    def reads_probabilities(self) -> bool:
        """Whether rows have probabilities of the classes."""
        return bool(self.probability_columns) or self.probability_column is not None

    @property
    def needs_probabilities(self) -> bool:
        """Whether a source must have probabilities. Those that are read after the training texts need none."""
        return self.reads_probabilities and not self.class_names

    @property
    def optional_columns(self) -> tuple[str, ...]:
        """The columns that a table may lack.

        A table with probabilities may lack the label column, unless the caller chose another name for it.
        """
        if not self.reads_probabilities:
            return ()
        if not self.needs_probabilities:
            return self.label_columns
        return (self.label_column,) if self.label_column == LABEL_COLUMN else ()

    def label_of(self, row: Mapping[str, Any]) -> Any:
        """Return the label of a row, with its probabilities if rows have any. Absent ones are None."""
        if not self.reads_probabilities:
            return row[self.label_column]
        if self.probability_column is not None:
            probabilities = row.get(self.probability_column)
        else:
            probabilities = {name: row.get(column) for name, column in self.probability_columns}
        return LabelCells(row.get(self.label_column), probabilities)

    def labels_of(self, cells: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
        """Return the label of each row, as `label_of`, from the columns by their name."""
        if not self.reads_probabilities:
            return cells[self.label_column]
        return [self.label_of(dict(zip(cells, row, strict=True))) for row in zip(*cells.values(), strict=False)]

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns of the label and the probabilities."""
        own = () if self.probability_column is None else (self.probability_column,)
        return (self.label_column, *(column for _, column in self.probability_columns), *own)

    def require_two_columns(self) -> None:
        """Raise `OptionError` if texts and labels are the same column."""
        if self.text_column == self.label_column:
            raise OptionError(
                f"`text_column` and `label_column` are both {self.text_column!r}; pass two different columns",
                code="same-column",
                column=self.text_column,
            )


def _probability_columns(value: object) -> tuple[tuple[str, str], ...]:
    """Return (class, column) pairs from a mapping, a list of columns, or a string of the command line."""
    if value is None or value == ():
        return ()
    parts: Iterable[Any] = value.split(",") if isinstance(value, str) else ()
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = value
    pairs = []
    for part in parts:
        if isinstance(part, int):  # a class and its column may be numbers
            part = str(part)
        name, _, column = part.partition("=") if isinstance(part, str) else ("", "", "")
        pair = tuple(part) if isinstance(part, tuple) else (name.strip(), (column or name).strip())
        if len(pair) == 2 and all(isinstance(item, str | int) and str(item) for item in pair):
            pairs.append((str(pair[0]), str(pair[1])))
        else:
            pairs.clear()
            break
    names = [name for name, _ in pairs]
    if len(set(names)) < 2 or len(set(names)) < len(names):
        _reject("probability_columns", value, "two or more classes, such as negative=p_neg,positive=p_pos")
    return tuple(pairs)


READ_OPTIONS: Sequence[str] = tuple(
    f.name for f in dataclasses.fields(ReadOptions) if f.name not in ("max_bad_share", "class_names")
)
"""Options that a caller sets."""


def split_read_options(options: Mapping[str, Any]) -> tuple[ReadOptions, dict[str, Any]]:
    """Return the options of reading among `options`, validated, and the others.

    Raises:
        OptionError: A bad value.
    """
    reading = {name: value for name, value in options.items() if name in READ_OPTIONS}
    return ReadOptions.create(reading), {name: value for name, value in options.items() if name not in reading}


def _check_encoding(name: str) -> None:
    try:
        is_text = codecs.lookup(name)._is_text_encoding
    except (LookupError, TypeError):
        is_text = False
    if not is_text:
        _reject("encoding", name, "the name of an encoding, such as utf-8, gb18030, cp1252 or utf-16")


def _reject(name: str, value: object, expected: str) -> None:
    raise OptionError(
        f"`{name}` is {value!r}; expected {expected}", code="bad-option-value", option=name, value=value
    )
