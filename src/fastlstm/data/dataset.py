"""Labelled texts in memory, and stratified splits of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import SupportsIndex

import numpy as np

from fastlstm._typing import IndexArray
from fastlstm.errors import DataError, OptionError, suggest

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")


@dataclass(frozen=True)
class Dataset:
    """Texts with one label each.

    Args:
        texts: The texts.
        labels: The class name of each text.
        source: Where the texts come from, in one line: "reviews.csv". Messages contain it.
        locations: The row number, line number or file name of each text in `source`. None: 1, 2, 3, ...

    Raises:
        DataError: The lengths of `texts`, `labels` and `locations` differ.
    """

    texts: list[str] = field(repr=False)
    labels: list[str] = field(repr=False)
    source: str = "dataset"
    locations: list[int | str] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, values in (("labels", self.labels), ("locations", self.locations)):
            if values is not None and len(values) != len(self.texts):
                raise DataError(
                    f"{self.source} has {len(self.texts)} texts and {len(values)} {name}; expected equal numbers",
                    code="length-mismatch",
                    source=self.source,
                    texts=len(self.texts),
                    **{name: len(values)},
                )

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def class_names(self) -> list[str]:
        """The distinct labels, sorted: by value if all are integers, else as strings."""
        names = sorted(set(self.labels))
        if all(_INTEGER.fullmatch(name) for name in names):
            names.sort(key=int)
        return names

    def location(self, index: SupportsIndex) -> int | str:
        """Return the location of text `index` in the source. Subsets keep the original locations."""
        return int(index) + 1 if self.locations is None else self.locations[index]

    def label_indices(self, labels: Sequence[str]) -> IndexArray:
        """Return the index of each text's label in `labels`: [n].

        Raises:
            DataError: A label is not in `labels`.
        """
        class_index = {label: k for k, label in enumerate(labels)}
        for index, label in enumerate(self.labels):
            if label not in class_index:
                raise DataError(
                    f"text {self.location(index)} of {self.source} has the label {label!r}, which no training text "
                    f"has; {suggest(label, labels)}; correct the label or add training texts with it",
                    code="unknown-label",
                    source=self.source,
                    location=self.location(index),
                    label=label,
                    labels=list(labels),
                )
        return np.fromiter((class_index[label] for label in self.labels), np.int64, len(self))

    def take(self, indices: Iterable[SupportsIndex], source: str | None = None) -> Dataset:
        """Return the subset at `indices`, in that order, with this source or a new `source`."""
        rows = list(indices)
        return Dataset(
            [self.texts[row] for row in rows],
            [self.labels[row] for row in rows],
            self.source if source is None else source,
            [self.location(row) for row in rows],
        )


def split_dataset(dataset: Dataset, fraction: float, seed: int) -> tuple[Dataset, Dataset]:
    """Split off a random, stratified part of about `fraction` of the texts.

    A class with n texts gives round(n * fraction) of them to the part, at least 1 and at most n - 1. A class with
    one text gives none. Both results keep the original order. Equal arguments give equal results.

    Returns:
        The remaining texts and the held-out part.

    Raises:
        OptionError: `fraction` is not between 0 and 1.
        DataError: No class has two texts.
    """
    if not 0 < fraction < 1:
        raise OptionError(
            f"the held-out fraction is {fraction}; expected a number between 0 and 1, such as 0.2",
            code="bad-fraction",
            fraction=fraction,
        )
    rows_by_class: dict[str, list[int]] = {}
    for row, label in enumerate(dataset.labels):
        rows_by_class.setdefault(label, []).append(row)

    generator = np.random.default_rng(seed)
    held_out = np.zeros(len(dataset), dtype=bool)
    for name in dataset.class_names:
        rows = np.array(rows_by_class[name])
        if len(rows) > 1:
            count = min(max(round(len(rows) * fraction), 1), len(rows) - 1)
            held_out[generator.permutation(rows)[:count]] = True
    if not held_out.any():
        raise DataError(
            f"cannot split {dataset.source}: no class has two texts; add texts, pass a separate file, "
            "or check the label column if every label is unique",
            code="cannot-split",
            source=dataset.source,
        )
    return (
        dataset.take(np.flatnonzero(~held_out), f"{dataset.source} (the rest)"),
        dataset.take(np.flatnonzero(held_out), f"{dataset.source} (held out)"),
    )
