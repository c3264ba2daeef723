"""Validation of rows: a text contains words, and a label is a class name."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable

import numpy as np

from fastlstm.data.dataset import Dataset
from fastlstm.errors import DataError

LabelledRow = tuple[int | str, object, object]
"""The location of a row (its number or file name), its text and its label."""
LabelledRows = Generator[LabelledRow, None, None]
"""The rows of an open file. Closing the generator closes the file."""

MAX_EXCERPT_LENGTH = 40
"""Characters of a value that a message quotes."""

_NUMBER = re.compile(r"[-+]?[.,]*\d[\d.,]*(?:e[-+]?\d+)?", re.IGNORECASE)


def collect_dataset(
    rows: Iterable[LabelledRow], source: str, *, unit: str = "row", has_columns: bool = False
) -> Dataset:
    """Validate rows and return them as a dataset.

    Args:
        rows: The location, text and label of each row.
        source: Where the rows come from, in one line.
        unit: The word before a location in messages: "row", "line" or "file".
        has_columns: Whether the caller can choose another column; messages then suggest it.

    Raises:
        DataError: A row is not a labelled text, or there are no rows.
    """
    text_hint = "; pass --text-column to choose another column" if has_columns else ""
    label_hint = "; pass --label-column to choose another column" if has_columns else ""
    texts: list[str] = []
    labels: list[str] = []
    locations: list[int | str] = []
    names: dict[str, str] = {}
    for location, text, label in rows:
        try:
            texts.append(check_text(text, text_hint))
            name = check_label(label, label_hint)
        except DataError as error:
            raise row_error(error, source, location, unit) from None
        labels.append(names.setdefault(name, name))
        locations.append(location)
    if not texts:
        raise DataError(
            f"{source} is empty; expected one or more labelled texts", code="empty-dataset", source=source
        )
    return Dataset(texts, labels, source, locations)


def row_error(error: DataError, source: str, location: int | str, unit: str) -> DataError:
    """Return `error` with the location of the row in its message and attributes."""
    return DataError(
        f"{unit} {location} of {source}: {error}",
        code=error.code,
        **{**error.values, "source": source, "location": location},
    )


def check_text(text: object, hint: str = "", *, allow_numbers: bool = False) -> str:
    """Return `text` if it is a string that contains words.

    Args:
        text: The value to check.
        hint: The end of messages about a value that suggests a wrong column.
        allow_numbers: Accept a string that is a number.

    Raises:
        DataError: It is not such a string. The message has no location.
    """
    if isinstance(text, str):
        stripped = text.strip()
        if not stripped:
            raise DataError("the text is empty; expected words", code="empty-text")
        if not allow_numbers and _NUMBER.fullmatch(stripped):
            raise DataError(
                f"the text is a number ({excerpt(repr(stripped))}); expected words{hint}",
                code="numeric-text",
                text=stripped,
            )
        if not is_unicode(text):
            raise DataError("the text is not valid UTF-8; save the file as UTF-8", code="not-utf8")
        return text
    if is_missing(text):
        raise DataError("the text is missing; expected words", code="empty-text")
    if isinstance(text, int | float | np.number) and not isinstance(text, bool):
        raise DataError(f"the text is a number ({text}); expected words{hint}", code="numeric-text", text=text)
    kind = type(text).__name__
    raise DataError(f"the text has type {kind}; expected words{hint}", code="not-a-text", type=kind)


def check_label(label: object, hint: str = "") -> str:
    """Return the class name of `label`: "1" for 1 and 1.0, "true" for True.

    Raises:
        DataError: It is not a class name. The message has no location. It ends with `hint` if the column may be
            wrong.
    """
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, str):
        stripped = label.strip()
        if not stripped:
            raise DataError("the label is empty; expected a class name", code="missing-label")
        if not is_unicode(stripped):
            raise DataError("the label is not valid UTF-8; save the file as UTF-8", code="not-utf8")
        return stripped
    if isinstance(label, bool):
        return "true" if label else "false"
    if isinstance(label, int):
        return str(label)
    if is_missing(label):
        raise DataError("the label is missing; expected a class name", code="missing-label")
    if isinstance(label, float):
        if label.is_integer():
            return str(int(label))
        raise DataError(
            f"the label is {label}; expected a class name or an integer{hint}", code="bad-label", label=label
        )
    kind = type(label).__name__
    raise DataError(
        f"the label has type {kind}; expected a class name or an integer{hint}", code="bad-label", type=kind
    )


def require_classes(dataset: Dataset) -> None:
    """Raise `DataError` unless the dataset has two classes or more."""
    names = dataset.class_names
    if len(names) < 2:
        classes = f"only one class ({excerpt(repr(names[0]))})" if names else "no class"
        raise DataError(
            f"{dataset.source} has {classes}; expected two or more; check the labels",
            code="one-class",
            source=dataset.source,
            classes=names,
        )


def is_missing(value: object) -> bool:
    """Return whether `value` is None or NaN."""
    return value is None or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def is_unicode(text: str) -> bool:
    """Return whether `text` can be encoded as UTF-8, which means that it has no lone surrogates.

    Files are decoded with "surrogateescape": bytes that are not UTF-8 become lone surrogates, so that the message
    about them can name the row.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def excerpt(text: str) -> str:
    """Return `text` as one line of at most `MAX_EXCERPT_LENGTH` characters, for use in a message."""
    if not text.isprintable() or text != text.strip() or not text:
        text = repr(text)
    return text if len(text) <= MAX_EXCERPT_LENGTH else text[: MAX_EXCERPT_LENGTH - 3] + "..."
