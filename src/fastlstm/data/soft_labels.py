"""Soft labels: the probabilities of the classes of a text, as another model wrote them."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from fastlstm._typing import BoolArray, FloatArray
from fastlstm.data.labels import MISSING_LABELS, is_missing, normalize_label
from fastlstm.errors import DataError

SUM_TOLERANCE = 0.02
"""Largest distance of the sum of probabilities from 1: three classes of 0.33 are rounded, not wrong."""
ROUNDING = 1e-6
"""A probability may be below 0 by this much, because of rounding: 1 minus a float32 number just above 1."""


@dataclass(frozen=True)
class SoftLabels:
    """The soft labels of n texts.

    Attributes:
        classes: The class names, sorted as those of a dataset.
        probabilities: float32 [n, classes], rows that sum to 1. The row of a text without probabilities is NaN.
        is_labelled: bool [n], whether a text has a label of its own. If not, its label is the most probable class.

    Raises:
        DataError: The shapes do not fit, or a row has other values than probabilities.
    """

    classes: tuple[str, ...]
    probabilities: FloatArray
    is_labelled: BoolArray

    def __post_init__(self) -> None:
        values = np.asarray(self.probabilities, np.float32)
        labelled = np.asarray(self.is_labelled, np.bool_)
        shape, expected = values.shape, (len(labelled), len(self.classes))
        if shape != expected or labelled.ndim != 1 or len(set(self.classes)) < max(len(self.classes), 2):
            raise DataError(
                f"the soft labels have the shape {shape} for {len(labelled)} texts and the classes "
                f"{', '.join(self.classes)}; expected {expected} and two or more classes",
                code="bad-probabilities",
                shape=shape,
                expected=expected,
            )
        bad = np.flatnonzero(~(np.isnan(values).all(axis=1) | are_probabilities(values)))
        if len(bad):
            raise DataError(
                f"the soft labels of text {bad[0] + 1} are {values[bad[0]].tolist()}; expected probabilities with the "
                "sum 1, or NaN for a text without",
                code="bad-probabilities",
                location=int(bad[0]) + 1,
            )
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "probabilities", normalized(values))
        object.__setattr__(self, "is_labelled", labelled)

    @property
    def is_soft(self) -> BoolArray:
        """Whether each text has probabilities: bool [n]."""
        return ~np.isnan(self.probabilities[:, 0])

    def take(self, rows: Iterable[SupportsIndex]) -> SoftLabels:
        """Return those of a subset."""
        chosen = np.fromiter((int(row) for row in rows), np.int64)
        return SoftLabels(self.classes, self.probabilities[chosen], self.is_labelled[chosen])

    def columns(self, names: Sequence[str]) -> FloatArray:
        """Return the probabilities [n, names] of these classes; 0 for a class without a column, NaN without any."""
        result = np.where(self.is_soft, 0, np.nan).astype(np.float32)[:, None].repeat(len(names), axis=1)
        for k, name in enumerate(names):
            if name in self.classes:
                result[:, k] = self.probabilities[:, self.classes.index(name)]
        return result


def are_probabilities(values: npt.NDArray[np.floating[Any]]) -> BoolArray:
    """Return whether each row [n] of `values` [n, classes] has no negative value and about the sum 1."""
    result: BoolArray = (values >= -ROUNDING).all(axis=1) & (np.abs(values.sum(axis=1) - 1) <= SUM_TOLERANCE)
    return result


def normalized(values: npt.NDArray[np.floating[Any]]) -> FloatArray:
    """Return probabilities [n, classes] in float32, at least 0, with the sum 1 in each row. NaN stays."""
    values = np.maximum(values, 0)
    result: FloatArray = (values / values.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


def parse_probabilities(cell: object, columns: Mapping[str, str] | None = None) -> dict[str, float] | None:
    """Return the probability of each class, normalized to the sum 1; None if all of them are missing.

    Args:
        cell: Mapping of class names to numbers, or to strings that are numbers; or such a mapping written as JSON.
        columns: Class name -> column with its probability, for messages.

    Raises:
        DataError: It is no mapping, has less than two classes, or a value is not a probability. The message has no
            location.
    """
    if isinstance(cell, str):
        if not cell.strip():
            return None
        with contextlib.suppress(ValueError, RecursionError):
            cell = json.loads(cell)
    if is_missing(cell):
        return None
    if isinstance(cell, list) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in cell):
        cell = dict(cell)  # a map of Arrow
    if not isinstance(cell, Mapping) or len(cell) < 2:
        raise DataError(
            f"the probabilities are {shown(cell)}; expected a mapping of two or more classes to numbers",
            code="bad-probabilities",
            value=cell,
        )
    missing = [name for name, value in cell.items() if is_missing(value) or str(value).strip() in MISSING_LABELS]
    if len(missing) == len(cell):
        return None
    _reject_percentages(cell.values())
    values = {}
    for key, value in cell.items():
        name = normalize_label(key, keep_missing=True)
        values[name] = _probability(name, value, (columns or {}).get(key))
    total = math.fsum(values.values())
    if abs(total - 1) > SUM_TOLERANCE:
        raise DataError(
            f"the probabilities of {', '.join(values)} sum to {total:.4g}; expected those of all classes, with the "
            "sum 1",
            code="bad-probabilities",
            sum=total,
        )
    return {name: value / total for name, value in values.items()}


def collect_soft_labels(
    classes: Sequence[str],
    rows: Sequence[Mapping[str, float] | None],
    labelled: Sequence[bool],
) -> SoftLabels:
    """Return the soft labels of texts.

    Args:
        classes: The class names.
        rows: The probabilities of each text; None for a text that has only a label.
        labelled: Whether each text has a label of its own.
    """
    index = {name: k for k, name in enumerate(classes)}
    probabilities = np.full((len(rows), len(classes)), np.nan, np.float32)
    for row, values in enumerate(rows):
        for name, value in (values or {}).items():
            probabilities[row, index[name]] = value
    return SoftLabels(tuple(classes), probabilities, np.array(labelled, np.bool_))


def _reject_percentages(values: Iterable[object]) -> None:
    numbers = [_number(value) for value in values]
    total = sum(numbers)  # math.fsum raises an error for infinite numbers
    if min(numbers) >= 0 and abs(total - 100) <= 100 * SUM_TOLERANCE:
        raise DataError(
            f"the probabilities sum to {total:.4g}, as percentages do; divide them by 100",
            code="bad-probabilities",
            sum=total,
        )


def _number(value: object) -> float:
    """Return the number that a cell contains; NaN if it contains something else."""
    with contextlib.suppress(ValueError):
        return math.nan if isinstance(value, bool) else float(str(value))
    return math.nan


def _probability(name: str, value: object, column: str | None) -> float:
    number = _number(value)
    if not -ROUNDING <= number <= 1 + SUM_TOLERANCE:
        where = "" if column is None else f" (column {column!r})"
        raise DataError(
            f"the probability of {name}{where} is {shown(value)}; expected a number from 0 to 1",
            code="bad-probabilities",
            class_name=name,
            column=column,
            value=value,
        )
    return max(number, 0.0)


def shown(value: object) -> str:
    """Return a value for a message: in one line, shortened."""
    text = "missing" if is_missing(value) else " ".join(repr(value).split())
    return text if len(text) <= 40 else text[:37] + "..."
