"""DuckDB: predictions as a scalar function of SQL."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from fastlstm.errors import MissingDependencyError, OptionError
from fastlstm.inference.classifier import Classifier
from fastlstm.inference.columns import predict_column
from fastlstm.integrations.sql_functions import prepare_function
from fastlstm.scoring.columns import prediction_structs

if TYPE_CHECKING:
    import duckdb

RESULT_TYPE = "STRUCT(label VARCHAR, probability FLOAT)"
"""Type of a prediction in SQL."""
OPTIONS: dict[str, Any] = {"type": "arrow", "null_handling": "special"}
"""The function gets columns of PyArrow, and also the texts that are NULL."""


def register(
    connection: duckdb.DuckDBPyConnection,
    name: str = "sentiment",
    model: Classifier | str | os.PathLike[str] | None = None,
    *,
    threshold: float | None = None,
) -> None:
    """Register a model as a scalar function: `name(VARCHAR) -> STRUCT(label VARCHAR, probability FLOAT)`.

    `probability` is that of `label`. The result is NULL for NULL; label and probability are NULL for a text without any
    known token. DuckDB calls the function with up to 2,048 texts at a time, in several threads.

    Args:
        connection: The connection; `duckdb.default_connection()` is that of `duckdb.sql`. Other connections to the same
            database can use the function too.
        name: The name of the function. A function that was registered under this name on the same connection is
            replaced.
        model: A classifier, or what `load` takes: a folder, a name, or None for the bundled English sentiment model.
        threshold: As in `Classifier.predict`.

    Raises:
        MissingDependencyError: DuckDB or PyArrow is not installed.
        OptionError: `name` is empty, the database has another function of this name, or `threshold` is invalid.
        InputError: The model cannot be loaded.
    """
    try:
        import duckdb
    except ImportError:
        raise MissingDependencyError("a function for DuckDB", "duckdb", "duckdb") from None
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise MissingDependencyError("a function for DuckDB", "pyarrow", "duckdb") from None
    classifier = prepare_function(name, model, threshold)

    def predict(texts: Any) -> Any:  # DuckDB evaluates the annotations, and pyarrow is no global name
        predictions = predict_column(classifier, texts.to_pylist(), threshold=threshold)
        return prediction_structs(predictions)

    with contextlib.suppress(duckdb.InvalidInputException):  # there is none
        connection.remove_function(name)
    try:
        connection.create_function(name, predict, ["VARCHAR"], RESULT_TYPE, **OPTIONS)
    except duckdb.CatalogException:
        raise OptionError(
            f"the database has another function {name!r}, built in or registered on another connection; pass another "
            "`name`, or register on that connection",
            code="function-exists",
            function=name,
        ) from None
