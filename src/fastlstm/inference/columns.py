"""Predictions for a column of a table, in which texts may be missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastlstm._typing import FloatArray
from fastlstm.inference.classifier import Classifier


@dataclass(frozen=True)
class ColumnPredictions:
    """Predictions for n texts, some of which may be missing.

    Attributes:
        labels: The label of each text. None for a missing text and for a text without any known token, as
            `Classifier.predict`.
        label_probabilities: The probability of each label, float32 [n]. NaN where there is no label.
        probabilities: The class probabilities, float32 [n, classes]. NaN for a missing text.
        is_text: Whether each text is present, bool [n].
    """

    labels: list[str | None]
    label_probabilities: FloatArray
    probabilities: FloatArray
    is_text: npt.NDArray[np.bool_]


def predict_column(
    model: Classifier, texts: Sequence[str | None], *, threshold: float | None = None
) -> ColumnPredictions:
    """Return the predictions for the texts of a column; None is a missing text.

    The prediction of a text does not depend on the other texts. Errors as in `Classifier.predict`.
    """
    is_text = np.array([text is not None for text in texts], dtype=bool)
    present = [text for text in texts if text is not None]
    probabilities = np.full((len(texts), len(model.labels)), np.nan, np.float32)
    label_probabilities = np.full(len(texts), np.nan, np.float32)
    labels: list[str | None] = [None] * len(texts)
    tokenized = model.tokenize(present)
    rows = model.predict_proba(tokenized)
    classes = model.choose(rows, threshold=threshold)
    probabilities[is_text] = rows
    for row, index, label_probability, known in zip(
        np.flatnonzero(is_text), classes, rows[np.arange(len(classes)), classes], tokenized.known, strict=True
    ):
        if known:
            labels[row] = model.labels[index]
            label_probabilities[row] = label_probability
    return ColumnPredictions(labels, label_probabilities, probabilities, is_text)
