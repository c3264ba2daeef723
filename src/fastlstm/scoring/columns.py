"""Predictions as columns of Arrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fastlstm.errors import OptionError
from fastlstm.inference.columns import ColumnPredictions

if TYPE_CHECKING:
    import pyarrow

LABEL, PROBABILITY = "label", "probability"
DEFAULT_PREFIX = "predicted_"


def column_names(labels: Sequence[str], prefix: str, *, probabilities: bool) -> dict[str, str | int]:
    """Return the columns that predictions add to a table.

    Returns:
        Name -> `LABEL`, `PROBABILITY` (that of the label), or the index of the class whose probability it is.
    """
    names: dict[str, str | int] = {f"{prefix}{LABEL}": LABEL, f"{prefix}{PROBABILITY}": PROBABILITY}
    if probabilities:
        names |= {f"{prefix}{PROBABILITY}_{label}": index for index, label in enumerate(labels)}
    return names


def require_new_column(name: str, present: Sequence[str], source: str) -> None:
    """Raise `OptionError` if a source has a column with the name of a new one."""
    if name in present:
        raise OptionError(
            f"{source} has a column {name!r} already; pass another `prefix`, or leave out this column",
            code="column-exists",
            column=name,
        )


def prediction_arrays(predictions: ColumnPredictions, names: Mapping[str, str | int]) -> dict[str, pyarrow.Array]:
    """Return the columns of `column_names`: strings, and float32 with null where there is no probability."""
    import pyarrow

    arrays = {}
    for name, content in names.items():
        if content == LABEL:
            arrays[name] = pyarrow.array(predictions.labels, pyarrow.string())
        elif isinstance(content, int):
            arrays[name] = pyarrow.array(predictions.probabilities[:, content], from_pandas=True)
        else:
            arrays[name] = pyarrow.array(predictions.label_probabilities, from_pandas=True)
    return arrays


def prediction_structs(
    predictions: ColumnPredictions, more: Mapping[str, pyarrow.Array] | None = None
) -> pyarrow.StructArray:
    """Return structs [n] of label, probability (float32) and more fields; null for a missing text."""
    import pyarrow

    fields = {
        LABEL: pyarrow.array(predictions.labels, pyarrow.string()),
        PROBABILITY: pyarrow.array(predictions.label_probabilities, from_pandas=True),
        **(more or {}),
    }
    return pyarrow.StructArray.from_arrays(
        list(fields.values()), list(fields), mask=pyarrow.array(~predictions.is_text)
    )
