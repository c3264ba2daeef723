"""SQLite: predictions as scalar functions of SQL."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from fastlstm.inference.classifier import Classifier
from fastlstm.inference.columns import predict_column
from fastlstm.integrations.sql_functions import prepare_function

if TYPE_CHECKING:
    import sqlite3

CACHED_TEXTS = 64
"""Texts whose predictions are kept, so that both functions of a row need one prediction."""


def register(
    connection: sqlite3.Connection,
    name: str = "sentiment",
    model: Classifier | str | os.PathLike[str] | None = None,
    *,
    threshold: float | None = None,
) -> None:
    """Register a model as two scalar functions: `name(text)`, its label, and `name_probability(text)`, a REAL.

    The probability is that of the label. Both are NULL for NULL, for a BLOB, and for a text without any known token. An
    INTEGER or REAL is read as its decimal text. A text that is not valid UTF-8 ends the query with
    `sqlite3.OperationalError`: the module decodes arguments before a function gets them. The functions are
    deterministic: indexes and generated columns can use them.

    Args:
        connection: The connection. Functions belong to a connection and are not saved in the database.
        name: The name of the function. A function of this name is replaced.
        model: A classifier, or what `load` takes: a folder, a name, or None for the bundled English sentiment model.
        threshold: As in `Classifier.predict`.

    Raises:
        OptionError: `name` is empty, or `threshold` is invalid.
        InputError: The model cannot be loaded.
    """
    classifier = prepare_function(name, model, threshold)

    @lru_cache(CACHED_TEXTS)
    def predict(text: str) -> tuple[str | None, float | None]:
        predictions = predict_column(classifier, [text], threshold=threshold)
        label = predictions.labels[0]
        return label, None if label is None else float(predictions.label_probabilities[0])

    def label(value: str | float | bytes | None) -> str | None:
        return None if value is None or isinstance(value, bytes) else predict(str(value))[0]

    def probability(value: str | float | bytes | None) -> float | None:
        return None if value is None or isinstance(value, bytes) else predict(str(value))[1]

    connection.create_function(name, 1, label, deterministic=True)
    connection.create_function(f"{name}_probability", 1, probability, deterministic=True)
