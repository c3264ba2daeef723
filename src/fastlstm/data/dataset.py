"""Labelled texts in memory, and stratified splits of them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, SupportsIndex

import numpy as np

from fastlstm._typing import IndexArray
from fastlstm.data.labels import appearance, normalize_label
from fastlstm.data.options import BadRow
from fastlstm.data.soft_labels import SoftLabels
from fastlstm.errors import DataError, OptionError, suggest
from fastlstm.notes import Note

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")


@dataclass(frozen=True)
class Dataset:
    """Texts with one label each.

    Labels are normalized as by `fastlstm.data.labels.normalize_label`: 1, 1.0 and "1" are the class "1".

    Args:
        texts: The texts: a list, or another sequence or one-dimensional array of strings.
        labels: The label of each text: strings, integers, floats, booleans or dates.
        source: Where the texts come from, in one line: "reviews.csv". Messages contain it.
        locations: The row number, line number or file name of each text in `source`. None: 1, 2, 3, ...
        notes: Notes about how the texts were read.
        bad_rows: The rows that were skipped.
        keep_missing: Whether spellings of missing values, such as "NA", are class names.
        soft_labels: The probabilities of the classes, if the texts have any: what another model says about them.

    Raises:
        DataError: The lengths of `texts`, `labels`, `locations` and `soft_labels` differ, a text is not a string, or a
            label is missing or not a class name.
    """

    texts: list[str] = field(repr=False)
    labels: list[str] = field(repr=False)
    source: str = "dataset"
    locations: list[int | str] | None = field(default=None, repr=False, compare=False)
    notes: tuple[Note, ...] = field(default=(), repr=False, compare=False)
    bad_rows: tuple[BadRow, ...] = field(default=(), repr=False, compare=False)
    keep_missing: bool = field(default=False, repr=False, compare=False)
    soft_labels: SoftLabels | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        texts, labels = column_values(self.texts, "texts"), column_values(self.labels, "labels")
        soft_labels = None if self.soft_labels is None else self.soft_labels.is_labelled
        for name, values in (("labels", labels), ("locations", self.locations), ("soft_labels", soft_labels)):
            if values is not None and len(values) != len(texts):
                raise DataError(
                    f"{self.source} has {len(texts)} texts and {len(values)} {name}; expected equal numbers",
                    code="length-mismatch",
                    source=self.source,
                    texts=len(texts),
                    **{name: len(values)},
                )
        for index, text in enumerate(texts):
            if not isinstance(text, str):
                raise DataError(
                    f"text {self.location(index)} of {self.source} is {type(text).__name__}; expected str",
                    code="not-a-text",
                    source=self.source,
                    location=self.location(index),
                    type=type(text).__name__,
                )
        object.__setattr__(self, "texts", texts)
        object.__setattr__(self, "labels", self._normalized(labels))

    def _normalized(self, labels: list[Any]) -> list[str]:
        if all(type(label) is str for label in labels):
            distinct = set(labels)
            with contextlib.suppress(DataError):  # found again below, with its location
                changed = {label: normalize_label(label, keep_missing=self.keep_missing) for label in distinct}
                if all(label == name for label, name in changed.items()):
                    return labels
                return [changed[label] for label in labels]
        names: dict[tuple[type, Any], str] = {}
        result = []
        for index, label in enumerate(labels):
            try:
                name = names.get((type(label), label))
                if name is None:
                    name = names[type(label), label] = normalize_label(label, keep_missing=self.keep_missing)
            except TypeError:  # not hashable
                name = None
            except DataError as error:
                raise self._label_error(error, index) from None
            if name is None:
                try:
                    name = normalize_label(label, keep_missing=self.keep_missing)
                except DataError as error:
                    raise self._label_error(error, index) from None
            result.append(name)
        return result

    def _label_error(self, error: DataError, index: int) -> DataError:
        location = self.location(index)
        values = {**error.values, "source": self.source, "location": location}
        return DataError(f"label {location} of {self.source}: {error}", code=error.code, **values)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def class_names(self) -> list[str]:
        """The distinct labels, and the classes of the soft labels, in the order of `sorted_names`."""
        soft = () if self.soft_labels is None else self.soft_labels.classes
        return sorted_names({*self.labels, *soft})

    def location(self, index: SupportsIndex) -> int | str:
        """Return the location of text `index` in the source. Subsets keep the original locations."""
        return int(index) + 1 if self.locations is None else self.locations[index]

    def label_indices(self, labels: Sequence[str]) -> IndexArray:
        """Return the index of each text's label in `labels`: [n]. Labels that are equal once normalized match.

        Raises:
            DataError: A label is not in `labels`.
        """
        class_index: dict[str, int] = {}
        for k, label in enumerate(labels):
            with contextlib.suppress(DataError):  # a model may have a class that no dataset has, such as ""
                class_index.setdefault(normalize_label(label, keep_missing=True), k)
        class_index |= {label: k for k, label in enumerate(labels)}
        for index, label in enumerate(self.labels):
            if label not in class_index:
                similar = any(appearance(label) == appearance(name) for name in labels)
                remedy = "pass `merge_labels=True` to make them one" if similar else "correct the label"
                raise DataError(
                    f"text {self.location(index)} of {self.source} has the label {label!r}, which is not a class; "
                    f"{suggest(label, labels)}; {remedy}",
                    code="unknown-label",
                    source=self.source,
                    location=self.location(index),
                    label=label,
                    labels=list(labels),
                )
        return np.fromiter((class_index[label] for label in self.labels), np.int64, len(self))

    def take(self, indices: Iterable[SupportsIndex], source: str | None = None) -> Dataset:
        """Return the subset at `indices`, in that order, with this source or a new `source`. It has no notes."""
        rows = list(indices)
        return Dataset(
            [self.texts[row] for row in rows],
            [self.labels[row] for row in rows],
            self.source if source is None else source,
            [self.location(row) for row in rows],
            keep_missing=True,  # the labels are normalized
            soft_labels=None if self.soft_labels is None else self.soft_labels.take(rows),
        )


def sorted_names(names: Iterable[str]) -> list[str]:
    """Return class names in their order: by value if all are integers, else as strings."""
    result = sorted(names)
    if all(_INTEGER.fullmatch(name) for name in result):
        result.sort(key=int)
    return result


def column_values(values: Any, name: str) -> list[Any]:
    """Return the values of a column as a list.

    Args:
        values: A list, tuple, iterator, NumPy array of shape [n] or [n, 1], or a column of pandas, Polars or PyArrow.
        name: What they are, for messages: "texts" or "labels".

    Raises:
        DataError: It is a string, a mapping, a set, a table, or an array of another shape.
    """
    if type(values) is list:
        return values
    shape = getattr(values, "shape", None)
    if shape is not None and len(shape) == 2 and shape[1] == 1 and hasattr(values, "ravel"):
        values = values.ravel()
        shape = values.shape
    is_column = isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping | set | frozenset)
    if not is_column or (shape is not None and len(shape) != 1) or hasattr(values, "columns"):
        kind = type(values).__name__
        size = f" of shape {tuple(shape)}" if shape is not None else ""
        raise DataError(
            f"the {name} are {kind}{size}; expected a list, or a one-dimensional array or column",
            code="not-a-column",
            name=name,
            type=kind,
        )
    dtype = str(getattr(values, "dtype", "")).lower()
    if dtype.startswith("datetime64"):
        values = np.asarray(values, "datetime64[us]")
    elif dtype in ("float16", "float32"):
        return [float(str(number)) for number in np.asarray(values, dtype)]  # 0.1, not 0.10000000149
    for method in ("to_pylist", "tolist", "to_list"):
        if hasattr(values, method):
            return list(getattr(values, method)())
    return list(values)


def cannot_split(source: str) -> DataError:
    """Return the error of texts of which none can be held out."""
    return DataError(
        f"cannot split {source}: no class has two texts; add texts, pass a separate file, or check the label column if "
        "every label is unique",
        code="cannot-split",
        source=source,
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
    for name in sorted_names(rows_by_class):
        rows = np.array(rows_by_class[name])
        if len(rows) > 1:
            count = min(max(round(len(rows) * fraction), 1), len(rows) - 1)
            held_out[generator.permutation(rows)[:count]] = True
    if not held_out.any():
        raise cannot_split(dataset.source)
    return (
        dataset.take(np.flatnonzero(~held_out), f"{dataset.source} (the rest)"),
        dataset.take(np.flatnonzero(held_out), f"{dataset.source} (held out)"),
    )
