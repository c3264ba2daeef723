"""Checks of the classes of a dataset: columns that hold no classes, and folders that are no class."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from fastlstm.data.dataset import Dataset
from fastlstm.errors import DataError
from fastlstm.notes import Note

MANY_CLASSES = 20
"""Number of classes from which a label column may be no column of classes."""
MIN_TEXTS_PER_CLASS = 2.0
"""Mean number of texts per class below which nearly every text has a class of its own."""
UNLABELLED_NAMES = frozenset({"unsup", "unsupervised", "unlabelled", "unlabeled"})
"""Names, in lower case, of folders that usually contain texts without labels."""

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?", re.IGNORECASE)


def require_repeated_classes(dataset: Dataset, label_column: str | None = None) -> None:
    """Raise `DataError` if nearly every text has a class of its own: the labels are measurements, dates or ids.

    Args:
        dataset: Labelled texts.
        label_column: The column of the labels, for the message; None if there is none.
    """
    names = set(dataset.labels)
    if len(names) <= MANY_CLASSES or len(dataset) >= MIN_TEXTS_PER_CLASS * len(names):
        return
    column = "the labels have" if label_column is None else f"the label column {label_column!r} has"
    kind = "numbers" if all(_NUMBER.fullmatch(name) for name in names) else "values"
    remedy = "pass class names" if label_column is None else "choose another `label_column`"
    raise DataError(
        f"{dataset.source}: {column} {len(names):,} different {kind} in {len(dataset):,} rows, so that nearly every "
        f"row has a class of its own; expected classes with several texts each: {remedy}, or group the values into "
        "a few classes",
        code="too-many-classes",
        source=dataset.source,
        column=label_column,
        classes=len(names),
        texts=len(dataset),
    )


def class_notes(counts: Mapping[str, int], source: str) -> Iterator[Note]:
    """Yield notes about classes that are probably not meant as such.

    Args:
        counts: Class name -> number of texts.
        source: Where the texts come from, in one line.
    """
    if len(counts) > MANY_CLASSES and all(_NUMBER.fullmatch(name) for name in counts):
        fractions = sum(not name.lstrip("+-").isdecimal() for name in counts)
        if fractions:
            yield Note(
                f"{source}: the labels are {len(counts):,} different numbers, {fractions:,} of them fractions; each is "
                "a class of its own. If they are measurements, group them into a few classes",
                "numeric-classes",
            )
    for name, texts in sorted(counts.items()):
        if name.casefold() in UNLABELLED_NAMES and len(counts) > 1:
            remedy = "If they have no label, take them out of the data and pass them as `unlabelled`"
            yield Note(
                f"{source}: {name} is trained as a class ({texts:,} texts). {remedy}",
                "unlabelled-class",
            )
