"""Records: labelled texts in memory, and how a part of them is held out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from fastlstm.errors import DataError, OptionError, suggest

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")


@dataclass(frozen=True)
class Dataset:
    """Texts and their labels, one label a text.

    `source` says in one line, for people, where they come from: "reviews.csv". `places` are the numbers of their
    rows or lines there, or the names of their files; None: they are counted from 1.
    Raises `DataError` where there are not as many labels, or places, as texts.
    """

    texts: list[str] = field(repr=False)
    labels: list[str] = field(repr=False)
    source: str = "records"
    places: list[int | str] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.labels):
            raise DataError(
                f"{len(self.texts)} texts and {len(self.labels)} labels came; expected one label a text"
            )
        if self.places is not None and len(self.places) != len(self.texts):
            raise DataError(
                f"{len(self.texts)} texts and {len(self.places)} places came; expected one place a text, or none"
            )

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def class_names(self) -> list[str]:
        """The distinct labels, sorted; by value where all of them are whole numbers."""
        names = sorted(set(self.labels))
        if all(_INTEGER.fullmatch(name) for name in names):
            names.sort(key=int)
        return names

    def place(self, index: SupportsIndex) -> int | str:
        """Where the record at `index` stands in its source; it keeps that when a part is taken."""
        return int(index) + 1 if self.places is None else self.places[index]

    def label_indices(self, labels: Sequence[str]) -> npt.NDArray[np.int64]:
        """[n] the position of each record's label among `labels`.

        Raises `DataError` for a label that is not among them.
        """
        position = {label: k for k, label in enumerate(labels)}
        for index, label in enumerate(self.labels):
            if label not in position:
                raise DataError(
                    f"text {self.place(index)} of {self.source} has the label {label!r}, "
                    f"which was never seen in training; {suggest(label, labels)}; correct the label, or train with it"
                )
        return np.fromiter((position[label] for label in self.labels), np.int64, len(self))

    def take(self, indices: Iterable[SupportsIndex], source: str | None = None) -> Dataset:
        """The records at `indices`, in that order; `source` is kept unless another is given."""
        chosen = list(indices)
        return Dataset(
            [self.texts[index] for index in chosen],
            [self.labels[index] for index in chosen],
            self.source if source is None else source,
            [self.place(index) for index in chosen],
        )


def split_dataset(records: Dataset, fraction: float, seed: int) -> tuple[Dataset, Dataset]:
    """The rest of `records`, and a random part of about `fraction` that is held out.

    The part is stratified: of a class with n rows it holds round(n * fraction), at least 1 and
    at most n - 1; a class with a single row stays wholly in the rest. Both keep the original
    order, and the same records, fraction and seed always give the same two parts.
    Raises `OptionError` for a fraction outside (0, 1), `DataError` where nothing can be held out.
    """
    if not 0 < fraction < 1:
        raise OptionError(f"the fraction to hold out is {fraction}; expected a number between 0 and 1, such as 0.2")
    rows_of: dict[str, list[int]] = {}
    for row, label in enumerate(records.labels):
        rows_of.setdefault(label, []).append(row)

    generator = np.random.default_rng(seed)
    held_out = np.zeros(len(records), dtype=bool)
    for name in records.class_names:
        rows = np.array(rows_of[name])
        if len(rows) > 1:
            count = min(max(round(len(rows) * fraction), 1), len(rows) - 1)
            held_out[generator.permutation(rows)[:count]] = True
    if not held_out.any():
        raise DataError(
            f"nothing of {records.source} can be held out: no class has two rows; "
            "expected one that has; add rows, or give the held-out part as a file of its own. Where each row has a "
            "label of its own, the label column is perhaps another"
        )
    return (
        records.take(np.flatnonzero(~held_out), f"{records.source} (the rest)"),
        records.take(np.flatnonzero(held_out), f"{records.source} (held out)"),
    )
