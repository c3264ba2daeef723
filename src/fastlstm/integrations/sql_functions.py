"""What functions for the SQL of DuckDB and SQLite have in common."""

from __future__ import annotations

import os

from fastlstm.errors import OptionError
from fastlstm.inference.classifier import Classifier, as_classifier


def prepare_function(
    name: str, model: Classifier | str | os.PathLike[str] | None, threshold: float | None
) -> Classifier:
    """Return the classifier of a function.

    Raises:
        OptionError: The name is empty, or the threshold is invalid.
        InputError: The model cannot be loaded.
    """
    if not name:
        raise OptionError(
            "`name` is empty; expected the name of a function, such as sentiment",
            code="bad-option-value",
            option="name",
            value=name,
        )
    classifier = as_classifier(model)
    classifier.check_threshold(threshold)
    return classifier
