"""What makes a row a record: its text holds words, and its label is a name."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable

import numpy as np

from fastlstm.data.dataset import Dataset
from fastlstm.errors import DataError

LabelledRow = tuple[int | str, object, object]
"""What tells a row from the others (its number, or a file's name), its text and its label."""
LabelledRows = Generator[LabelledRow, None, None]
"""What a reader of files gives: closing it closes the file."""

_NUMBER = re.compile(r"[-+]?[.,]*\d[\d.,]*(?:e[-+]?\d+)?", re.IGNORECASE)
_LONGEST_SHOWN = 40


def collect_dataset(
    rows: Iterable[LabelledRow], source: str, *, unit: str = "row", has_columns: bool = False
) -> Dataset:
    """Records from rows as they were read.

    `unit` is the word before a row's number in messages. `has_columns` says that the caller
    can choose another column, which the messages then suggest.
    Raises `DataError`, with the row's number, for the first row that is not a labelled text,
    and where there is no row at all.
    """
    text_advice = "; pass --text-column to choose another column" if has_columns else ""
    label_advice = "; pass --label-column to choose another column" if has_columns else ""
    texts: list[str] = []
    labels: list[str] = []
    places: list[int | str] = []
    names: dict[str, str] = {}
    for number, text, label in rows:
        try:
            texts.append(check_text(text, text_advice))
            name = check_label(label, label_advice)
        except DataError as error:
            raise DataError(f"{unit} {number} of {source}: {error}") from None
        labels.append(names.setdefault(name, name))
        places.append(number)
    if not texts:
        raise DataError(f"{source} is empty; expected one or more texts, each with its label")
    return Dataset(texts, labels, source, places)


def check_text(text: object, advice: str = "", *, numbers: bool = False) -> str:
    """`text`, when it is a string that can be words, or with `numbers` a number too.

    Raises `DataError`, without a row number; `advice` ends it where the column may be the wrong one.
    """
    if isinstance(text, str):
        stripped = text.strip()
        if not stripped:
            raise DataError("the text is empty; expected words")
        if not numbers and _NUMBER.fullmatch(stripped):
            raise DataError(f"the text is a number ({excerpt(repr(stripped))}); expected words{advice}")
        if not is_unicode(text):
            raise DataError("the text is not valid UTF-8; expected words; save it as UTF-8")
        return text
    if is_missing(text):
        raise DataError("the text is missing; expected words")
    if isinstance(text, int | float | np.number) and not isinstance(text, bool):
        raise DataError(f"the text is a number ({text}); expected words{advice}")
    raise DataError(f"the text is of type {type(text).__name__}; expected words{advice}")


def check_label(label: object, advice: str = "") -> str:
    """The class name that `label` stands for: 1 and 1.0 are "1", True is "true".

    Raises `DataError`, without a row number; `advice` ends it where the column may be the wrong one.
    """
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, str):
        stripped = label.strip()
        if not stripped:
            raise DataError("the label is empty; expected a class name")
        if not is_unicode(stripped):
            raise DataError("the label is not valid UTF-8; expected a class name; save it as UTF-8")
        return stripped
    if isinstance(label, bool):
        return "true" if label else "false"
    if isinstance(label, int):
        return str(label)
    if is_missing(label):
        raise DataError("the label is missing; expected a class name")
    if isinstance(label, float):
        if label.is_integer():
            return str(int(label))
        raise DataError(f"the label is {label}; expected a class name or a whole number{advice}")
    kind = type(label).__name__
    raise DataError(f"the label is of type {kind}; expected a class name or a whole number{advice}")


def require_classes(records: Dataset) -> None:
    """Raises `DataError` where there are fewer than two classes to tell apart."""
    names = records.class_names
    if len(names) < 2:
        came = f"one class only ({excerpt(repr(names[0]))})" if names else "no class"
        raise DataError(f"{records.source} has {came}; expected two or more; check the labels")


def is_missing(value: object) -> bool:
    """Whether `value` is None or a NaN."""
    return value is None or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def is_unicode(text: str) -> bool:
    """Whether `text` can be written as UTF-8: no half of a surrogate pair stands alone in it.

    Files are read with "surrogateescape", so that bytes that are not UTF-8 end up as such
    halves, and the message about them can name the row.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def excerpt(text: str) -> str:
    """`text` as a message can hold it: on one line, and not long."""
    if not text.isprintable() or text != text.strip() or not text:
        text = repr(text)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."
