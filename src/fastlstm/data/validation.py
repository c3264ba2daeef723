"""Validation of rows: which texts and labels can be used, and when unusable rows stop the run."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import re
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from itertools import compress
from typing import Any

import numpy as np

from fastlstm.data.dataset import Dataset, sorted_names
from fastlstm.data.labels import (
    MISSING_LABELS,
    is_missing,
    look_alikes,
    merged_names,
    normalize_label,
    require_unicode,
)
from fastlstm.data.options import BadRow, LabelCells, ReadOptions
from fastlstm.data.soft_labels import SoftLabels, collect_soft_labels, parse_probabilities
from fastlstm.errors import DataError, OptionError
from fastlstm.notes import Note

LabelledRow = tuple[int | str, object, object]
"""The location of a row (its line number, row number or file name), its text and its label."""
Rows = Generator[LabelledRow | BadRow, None, Sequence[Note] | None]
"""The rows of an open file. Closing the generator closes the file. It returns notes about how the file was read."""

MAX_EXCERPT_LENGTH = 40
"""Characters of a value that a message quotes."""
MAX_ROWS_SHOWN = 5
"""Skipped rows that a note lists."""
MIN_ROWS_TO_STOP_EARLY = 1000
"""Bad rows after which reading stops if most rows are bad, rather than at the end of the file."""
NUMERIC_SHARE = 0.9
"""Fraction of numbers among the texts from which the column is not one of texts."""
MIN_TEXTS_TO_JUDGE = 10
"""Fewer texts are never judged by their share of numbers, unless all are numbers."""

_NUMBER = re.compile(r"[-+]?[.,]*\d[\d.,]*(?:e[-+]?\d+)?", re.IGNORECASE)
_DIGITS = re.compile(r"\d[\d.,]*")
_NUMBER_BEGINNING = frozenset("+-.,0123456789 ")


class RowCollector:
    """Collects usable rows, and the unusable ones with the reason.

    Args:
        source: Where the rows come from, in one line.
        unit: The word before a location in messages: "row", "line" or "file".
        options: Whether bad rows are skipped.
        labelled: Whether rows have labels. Without them, blank texts are dropped and not reported.
        has_columns: Whether the caller can choose another column; messages then suggest it.
    """

    def __init__(
        self, source: str, unit: str, options: ReadOptions, *, labelled: bool = True, has_columns: bool = False
    ) -> None:
        self.source, self.unit, self.options = source, unit, options
        self.texts: list[str] = []
        self.labels: list[str] = []
        self.locations: list[int | str] = []
        self.bad_rows: list[BadRow] = []
        self.notes: tuple[Note, ...] = ()
        self._labelled, self._has_columns = labelled, has_columns
        self._numbers = 0
        self._soft: list[dict[str, float] | None] = []
        self._soft_classes: tuple[str, ...] = ()
        self._own_label: list[bool] = []
        self._names: dict[tuple[type, Any], str] = {}

    def collect(self, rows: Iterable[LabelledRow | BadRow]) -> None:
        """Read all rows. A generator is closed at the end; its return value are notes.

        Raises:
            DataError: There are no usable rows, too many bad rows, or with `on_bad_rows="stop"` one bad row; or the
                texts are numbers.
        """
        iterator = iter(rows)
        try:
            while True:
                try:
                    row = next(iterator)
                except StopIteration as stop:
                    self.notes = tuple(stop.value or ())
                    break
                if isinstance(row, tuple):
                    self._add(*row)
                else:
                    self._reject(row)
        finally:
            if isinstance(iterator, Generator):
                iterator.close()  # closes the file if a row stops the run
        self._finish()

    def _add(self, location: int | str, text: object, label: object) -> None:
        try:
            checked = normalize_text(text)
            if self._labelled:
                self._add_label(label)
        except DataError as error:
            blank = error.code == "empty-text" and not self._labelled
            if not blank:
                content = text if isinstance(text, str) else "" if is_missing(text) else str(text)
                self._reject(
                    BadRow(
                        self.source, location, error.code, str(error), excerpt(content) if content.strip() else ""
                    )
                )
            return
        self.texts.append(checked)
        self.locations.append(location)
        if checked[0] in _NUMBER_BEGINNING and _NUMBER.fullmatch(checked.strip()):
            self._numbers += 1

    def _add_label(self, label: object) -> None:
        if not isinstance(label, LabelCells):
            self.labels.append(self._class_name(label))
            self._soft.append(None)
            self._own_label.append(True)
            return
        soft = parse_probabilities(label.probabilities, dict(self.options.probability_columns))
        own = not self._has_no_label(label.label, soft)
        if not own and soft is None:
            raise DataError("neither a label nor probabilities; expected one of them", code="missing-label")
        name = self._class_name(label.label) if own else _most_probable(soft or {})
        if soft is not None and name not in soft:
            raise _unknown_label(name, soft)
        self.labels.append(name)
        self._soft.append(soft)
        self._own_label.append(own)

    def _has_no_label(self, label: object, soft: Mapping[str, float] | None) -> bool:
        """Return whether a row has no label. In a row with probabilities, words such as NA mean that, too."""
        if is_missing(label) or label == "":
            return True
        name = label.strip() if isinstance(label, str) else None
        return soft is not None and name in MISSING_LABELS and name not in soft and not self.options.keep_missing

    def _reject_other_classes(self) -> None:
        """Reject rows with other classes than most rows with probabilities have; only now are these known."""
        counts = Counter(tuple(sorted_names(soft)) for soft in self._soft if soft is not None)
        if not counts:
            return
        self._soft_classes = max(counts, key=counts.__getitem__)
        keep = []
        for row, (label, soft) in enumerate(zip(self.labels, self._soft, strict=True)):
            error = _class_error(label, soft, self._soft_classes)
            keep.append(error is None)
            if error is not None:
                content = excerpt(self.texts[row])
                self._reject(BadRow(self.source, self.locations[row], error.code, str(error), content))
        if not all(keep):
            self.texts, self.labels = list(compress(self.texts, keep)), list(compress(self.labels, keep))
            self.locations, self._soft = list(compress(self.locations, keep)), list(compress(self._soft, keep))
            self._own_label = list(compress(self._own_label, keep))

    def soft_labels(self) -> SoftLabels | None:
        """Return the probabilities of the rows; None if the rows have none."""
        if not self._soft_classes:
            return None
        return collect_soft_labels(self._soft_classes, self._soft, self._own_label)

    def _class_name(self, label: object) -> str:
        key = (type(label), label)
        try:
            name = self._names.get(key)
        except TypeError:  # not hashable
            return normalize_label(label)
        if name is None:
            is_class = isinstance(label, str) and label.strip() in self.options.class_names
            keep_missing = self.options.keep_missing or is_class
            name = self._names[key] = normalize_label(label, keep_missing=keep_missing)
        return name

    def _reject(self, row: BadRow) -> None:
        self.bad_rows.append(row)
        if self.options.on_bad_rows == "stop":
            self._write_bad_rows()
            raise self._error(row, f"{self.unit} {row.location} of {self.source}: {row.reason}")
        bad = len(self.bad_rows)
        if bad >= MIN_ROWS_TO_STOP_EARLY and bad > len(self.texts) and self.options.max_bad_share < 0.5:
            self._write_bad_rows()
            raise self._too_many("the first ")

    def _finish(self) -> None:
        self._reject_other_classes()
        self._write_bad_rows()
        rows = len(self.texts) + len(self.bad_rows)
        if self.bad_rows and (not self.texts or len(self.bad_rows) > self.options.max_bad_share * rows):
            raise self._too_many()
        if not self.texts:
            expected = "labelled texts" if self._labelled else "texts"
            found = "has no rows" if self._has_columns else "is empty"
            raise DataError(
                f"{self.source} {found}; expected one or more {expected}", code="empty-dataset", source=self.source
            )
        self._require_words()

    def _require_words(self) -> None:
        """Raise `DataError` if the column consists of numbers."""
        texts = len(self.texts)
        is_numeric = self._numbers >= NUMERIC_SHARE * texts and texts >= MIN_TEXTS_TO_JUDGE
        if self._has_columns and (is_numeric or self._numbers == texts):
            column = self.options.text_column
            example = next(text.strip() for text in self.texts if _NUMBER.fullmatch(text.strip()))
            raise DataError(
                f"column {column!r} of {self.source} contains numbers ({self._numbers:,} of {texts:,} rows, such as "
                f"{excerpt(example)}); expected texts; pass `text_column` to choose another column",
                code="numeric-text",
                source=self.source,
                column=column,
                numbers=self._numbers,
                texts=texts,
            )

    def _write_bad_rows(self) -> None:
        if self.options.bad_rows is not None:
            self.options.bad_rows.write(self.bad_rows)

    def _too_many(self, first_rows: str = "") -> DataError:
        rows = len(self.texts) + len(self.bad_rows)
        codes = {row.code for row in self.bad_rows}
        share = "" if not self.texts else f" (more than {self.options.max_bad_share:.0%})"
        hint = "" if self.options.bad_rows else "; pass `bad_rows` for a list of all of them"
        if len(self.bad_rows) == 1:
            row = self.bad_rows[0]
            return self._error(row, f"{self.unit} {row.location} of {self.source}: {row.reason}")
        first = self.bad_rows[0]
        return DataError(
            f"{len(self.bad_rows):,} of {first_rows}{rows:,} rows of {self.source} cannot be used{share}: "
            f"{self._list()}{hint}",
            code=first.code if len(codes) == 1 else "too-many-bad-rows",
            source=self.source,
            location=first.location,
            rows=rows,
            bad_rows=tuple(self.bad_rows),
        )

    def _error(self, row: BadRow, message: str) -> DataError:
        return DataError(
            message, code=row.code, source=self.source, location=row.location, bad_rows=tuple(self.bad_rows)
        )

    def all_notes(self) -> tuple[Note, ...]:
        """Return the notes of the reader, and those about labels with several spellings and skipped rows."""
        notes = (*self.notes, *self._spelling_notes())
        if not self.bad_rows:
            return notes
        rows = len(self.texts) + len(self.bad_rows)
        all_listed = self.options.bad_rows is not None or len(self.bad_rows) <= MAX_ROWS_SHOWN
        hint = "" if all_listed else "; pass `bad_rows` for a list of all of them"
        note = Note(
            f"{self.source}: {len(self.bad_rows):,} of {rows:,} rows cannot be used and are skipped: "
            f"{self._list()}{hint}",
            "rows-skipped",
        )
        return (*notes, note)

    def _spelling_notes(self) -> Iterator[Note]:
        """Yield a note if labels such as 1 and 1.0 are one class."""
        spellings: dict[str, set[str]] = {}
        for (_, label), name in self._names.items():
            spellings.setdefault(name, set()).add(str(label).strip())
        several = {name: sorted(values) for name, values in spellings.items() if len(values) > 1}
        if several:
            shown = "; ".join(f"{', '.join(values)}: {name}" for name, values in several.items())
            yield Note(f"{self.source}: labels with several spellings are one class ({shown})", "labels-normalized")

    def _list(self) -> str:
        """Return the locations of the bad rows by cause, the most frequent cause first.

        Reasons that differ only in a number are one cause; that of its first row is shown.
        """
        causes: dict[str, list[BadRow]] = {}
        for row in self.bad_rows:
            causes.setdefault(_DIGITS.sub("0", row.reason), []).append(row)
        parts = []
        for rows in sorted(causes.values(), key=len, reverse=True)[:MAX_ROWS_SHOWN]:
            locations = ", ".join(str(row.location) for row in rows[:MAX_ROWS_SHOWN])
            more = "" if len(rows) <= MAX_ROWS_SHOWN else f" and {len(rows) - MAX_ROWS_SHOWN:,} more"
            plural = "s" if len(rows) > 1 else ""
            parts.append(f"{self.unit}{plural} {locations}{more}: {rows[0].reason}")
        more = "; ..." if len(causes) > MAX_ROWS_SHOWN else ""
        return "; ".join(parts) + more


def collect_dataset(
    rows: Iterable[LabelledRow | BadRow],
    source: str,
    options: ReadOptions | None = None,
    *,
    unit: str = "row",
    has_columns: bool = False,
) -> Dataset:
    """Validate rows and return the usable ones as a dataset.

    Args:
        rows: The location, text and label of each row, or a bad row. Closed at the end.
        source: Where the rows come from, in one line.
        options: How bad rows, missing labels and labels that look alike are treated.
        unit: The word before a location in messages: "row", "line" or "file".
        has_columns: Whether the caller can choose another column; messages then suggest it.

    Raises:
        DataError: There are no usable rows, too many bad rows, or with `on_bad_rows="stop"` one bad row; or the texts
            are numbers.
    """
    options = options or ReadOptions()
    collector = RowCollector(source, unit, options, has_columns=has_columns)
    collector.collect(rows)
    dataset = Dataset(
        collector.texts,
        collector.labels,
        source,
        collector.locations,
        collector.all_notes(),
        tuple(collector.bad_rows),
        keep_missing=True,  # the labels are normalized
        soft_labels=collector.soft_labels(),
    )
    return _with_one_spelling(dataset, options)


def _with_one_spelling(dataset: Dataset, options: ReadOptions) -> Dataset:
    """Return the dataset with labels that look alike merged, or with a note about them."""
    notes = list(dataset.notes)
    labels = dataset.labels
    if options.merge_labels and dataset.soft_labels is not None:
        raise OptionError(
            "`merge_labels` cannot be set together with probabilities, which name the classes; remove it",
            code="conflicting-options",
            options=("merge_labels", "probability_columns"),
        )
    if options.merge_labels:
        merged = merged_names(labels, options.class_names)
        changed = sorted(f"{old!r} to {new!r}" for old, new in merged.items() if old != new)
        if changed:
            labels = [merged[label] for label in labels]
            notes.append(Note(f"{dataset.source}: labels merged: {', '.join(changed)}", "labels-merged"))
    else:
        for group in look_alikes(labels):
            shown = ", ".join(ascii(name) if not name.isascii() else repr(name) for name in group)
            notes.append(
                Note(
                    f"{dataset.source}: the labels {shown} look alike but are {len(group)} classes; pass "
                    "`merge_labels` to make them one",
                    "look-alike-labels",
                )
            )
    if len(notes) == len(dataset.notes):
        return dataset
    return dataclasses.replace(dataset, labels=labels, notes=tuple(notes), keep_missing=True)


def normalize_text(text: object) -> str:
    """Return a text of a row. Numbers, booleans and dates are texts, as Python writes them.

    Raises:
        DataError: It is empty, missing or of another type. The message has no location.
    """
    if type(text) is not str:
        text = _as_string(text)
    is_ascii = text.isascii()
    if not is_ascii:
        text = text.lstrip("\ufeff")  # of a file that was appended to another
    if not text or text.isspace():
        raise DataError("the text is empty; expected words", code="empty-text")
    if not is_ascii:
        require_unicode(text, "text")
    return text


def require_classes(dataset: Dataset) -> None:
    """Raise `DataError` unless the dataset has two classes or more."""
    names = dataset.class_names
    if len(names) < 2:
        classes = f"only one class ({excerpt(repr(names[0]))})" if names else "no class"
        skipped = (
            f" ({len(dataset.bad_rows):,} rows are skipped: {dataset.bad_rows[0].reason})"
            if dataset.bad_rows
            else ""
        )
        raise DataError(
            f"{dataset.source} has {classes}{skipped}; expected two or more; check the labels",
            code="one-class",
            source=dataset.source,
            classes=names,
        )


def excerpt(text: str) -> str:
    """Return `text` as one line of at most `MAX_EXCERPT_LENGTH` characters, for use in a message."""
    text = text[: 10 * MAX_EXCERPT_LENGTH]
    if not text.isprintable() or text != text.strip() or not text:
        text = repr(text)
    return text if len(text) <= MAX_EXCERPT_LENGTH else text[: MAX_EXCERPT_LENGTH - 3] + "..."


def _as_string(text: object) -> str:
    """Return a text that is not exactly a `str` as one."""
    if isinstance(text, np.generic):
        text = text.item()
    if isinstance(text, str):
        return str(text)
    if is_missing(text):
        raise DataError("the text is missing; expected words", code="empty-text")
    if isinstance(text, bool | int | float | decimal.Decimal | datetime.date | datetime.time):
        return str(text)
    kind = type(text).__name__
    raise DataError(f"the text has type {kind}; expected words", code="not-a-text", type=kind)


def _class_error(label: str, soft: Mapping[str, float] | None, classes: Sequence[str]) -> DataError | None:
    """Return what is wrong with the classes of a row, if the probabilities have these classes; None if nothing is."""
    if soft is None:
        return None if label in classes else _unknown_label(label, classes)
    if soft.keys() == set(classes):
        return None
    return DataError(
        f"the probabilities are of the classes {', '.join(soft)}; expected {', '.join(classes)}",
        code="bad-probabilities",
        classes=tuple(soft),
        expected=tuple(classes),
    )


def _unknown_label(name: str, classes: Iterable[str]) -> DataError:
    return DataError(
        f"the label {name!r} is not a class of the probabilities; expected {', '.join(classes)}",
        code="unknown-label",
        label=name,
        labels=list(classes),
    )


def _most_probable(probabilities: Mapping[str, float]) -> str:
    """Return the class that a model with these probabilities predicts: of two classes, the second from one half on."""
    names = sorted_names(probabilities)
    if len(names) == 2:
        return names[int(probabilities[names[1]] >= 0.5)]
    return max(names, key=probabilities.__getitem__)
