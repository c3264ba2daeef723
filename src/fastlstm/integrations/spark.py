"""Classify texts in Apache Spark: a vectorized function of a string column, for DataFrames, SQL and streams."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlstm.errors import DataError, MissingDependencyError
from fastlstm.inference.classifier import Classifier, as_classifier
from fastlstm.inference.columns import predict_column
from fastlstm.kernel.loader import limit_threads
from fastlstm.scoring.columns import prediction_structs

if TYPE_CHECKING:
    import pyarrow
    from pyspark import Broadcast
    from pyspark.sql import SparkSession
    from pyspark.sql._typing import UserDefinedFunctionLike

MAX_MODELS = 4
"""Models that a Python worker keeps. The least recently used one is dropped first."""
MIN_PYSPARK = "PySpark 4.1 or later"
_PURPOSE = "fastlstm.integrations.spark"
_RESULT = "label string, probability float"
_PROBABILITIES = "probabilities map<string, float>"

_models: OrderedDict[str, Classifier] = OrderedDict()
"""The models of this Python worker by digest, the most recently used one last."""


def classify(
    model: Classifier | str | os.PathLike[str] | None = None,
    *,
    threshold: float | None = None,
    probabilities: bool = False,
) -> UserDefinedFunctionLike:
    """Return an Arrow UDF that classifies the texts of a string column.

    Its result is `struct<label: string, probability: float>`: the label of a text as `Classifier.predict` returns
    it, and the probability of this label. The struct of a null text is null. A text without any known token has a
    struct whose `label` and `probability` are null. Bytes that are not UTF-8 are read as U+FFFD.

    The model is broadcast once per executor if there is a `SparkContext` already; otherwise, as with Spark Connect,
    each query contains it. Each Python worker prepares it once and computes on `spark.task.cpus` threads.

    Args:
        model: A classifier, a model folder on the driver, or the name of a bundled model. Default: as `fastlstm.load`.
        threshold: For two classes: predict the second one if its probability is at least this. Default: the saved
            threshold.
        probabilities: Add the field `probabilities`, a `map<string, float>` from each label to its probability.

    Raises:
        MissingDependencyError: PySpark 4.1 or later, or pyarrow, is not installed.
        OptionError: `threshold` is not in 0..1 or there are more than two classes.
        ModelNotFoundError, NotAModelError, CorruptModelError, ModelTooNewError: The model cannot be loaded.

    Queries fail with `DataError` (code "not-a-text") if the column does not contain strings.
    """
    return _make_udf(_active_session(), model, threshold, probabilities)


def register(
    spark: SparkSession,
    name: str = "sentiment",
    model: Classifier | str | os.PathLike[str] | None = None,
    *,
    threshold: float | None = None,
    probabilities: bool = False,
) -> UserDefinedFunctionLike:
    """Register the function for SQL, `SELECT sentiment(text).label FROM reviews`, and return it.

    A function of the same name is replaced. Other arguments and errors as in `classify`.
    """
    udf: UserDefinedFunctionLike = spark.udf.register(name, _make_udf(spark, model, threshold, probabilities))
    return udf


def _make_udf(
    session: SparkSession | None,
    model: Classifier | str | os.PathLike[str] | None,
    threshold: float | None,
    probabilities: bool,
) -> UserDefinedFunctionLike:
    arrow_udf = _import_arrow_udf()
    classifier = as_classifier(model)
    classifier.check_threshold(threshold)
    pickled = pickle.dumps(classifier, pickle.HIGHEST_PROTOCOL)
    digest = hashlib.sha256(pickled).hexdigest()
    # Spark Connect has no SparkContext: reading the attribute raises AttributeError.
    context = getattr(session, "sparkContext", None)
    source: bytes | Broadcast[Classifier] = pickled if context is None else context.broadcast(classifier)

    # Spark would evaluate annotations, which name modules that this one does not import. Without them, the function
    # maps arrays to arrays.
    def predict(texts):  # type: ignore[no-untyped-def]
        return predictions(texts, prepared_model(digest, source), threshold, probabilities)

    result = f"{_RESULT}, {_PROBABILITIES}" if probabilities else _RESULT
    udf: UserDefinedFunctionLike = arrow_udf(predict, f"struct<{result}>")
    return udf


def _import_arrow_udf() -> Any:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise MissingDependencyError(_PURPOSE, "pyarrow", "spark") from None
    try:
        from pyspark.sql.functions import arrow_udf
    except ImportError:
        raise MissingDependencyError(_PURPOSE, MIN_PYSPARK, "spark") from None
    return arrow_udf


def _active_session() -> SparkSession | None:
    """Return the session of this thread, or the default one; None if no session exists."""
    _import_arrow_udf()
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    try:
        return SparkSession.active()
    except PySparkRuntimeError:
        return None


def prepared_model(digest: str, source: bytes | Broadcast[Classifier]) -> Classifier:
    """Return the model of this process with a digest. If it is not there, read and prepare it.

    Args:
        digest: SHA-256 of the pickled model.
        source: The pickled model, or its broadcast.
    """
    from pyspark import TaskContext

    if digest not in _models:
        task = TaskContext.get()
        if task is not None:
            limit_threads(task.cpus())
        _models[digest] = pickle.loads(source) if isinstance(source, bytes) else source.value
        if len(_models) > MAX_MODELS:
            _models.popitem(last=False)
    _models.move_to_end(digest)
    return _models[digest]


def predictions(
    texts: pyarrow.Array, model: Classifier, threshold: float | None, probabilities: bool
) -> pyarrow.StructArray:
    """Return the result of `classify` for a batch of n texts: structs [n]. Errors as described there."""
    import pyarrow as pa

    column = predict_column(model, _strings(texts), threshold=threshold)
    if not probabilities:
        return prediction_structs(column)
    rows, classes = column.probabilities.shape
    by_label = pa.MapArray.from_arrays(
        pa.array(np.arange(rows + 1, dtype=np.int32) * np.int32(classes)),
        pa.array(list(model.labels) * rows, pa.string()),
        pa.array(column.probabilities.ravel()),
    )
    return prediction_structs(column, {"probabilities": by_label})


def _strings(texts: pyarrow.Array) -> list[str | None]:
    import pyarrow as pa

    is_string = pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)
    if not is_string and not pa.types.is_null(texts.type):
        raise DataError(
            f"the column has type {texts.type}; expected strings; check its name, or cast it to a string",
            code="not-a-text",
            type=str(texts.type),
        )
    try:
        strings: list[str | None] = texts.to_pylist()
    except UnicodeDecodeError:
        values = texts.cast(pa.large_binary()).to_pylist()
        return [None if value is None else value.decode("utf-8", "replace") for value in values]
    return strings
