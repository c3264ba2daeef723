"""Apache Flink: a vectorized function for SQL and tables, and texts that arrive in pieces, with keyed state.

Importing this module raises `MissingDependencyError` if PyFlink is not installed.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from fastlstm.errors import DataError, MissingDependencyError, OptionError, suggest
from fastlstm.inference.classifier import Classifier, load
from fastlstm.inference.columns import predict_column
from fastlstm.kernel import limit_threads

try:
    from pyflink.common import Row, Types
    from pyflink.common.typeinfo import RowTypeInfo, TupleTypeInfo
    from pyflink.datastream import KeyedProcessFunction
    from pyflink.datastream.state import ValueStateDescriptor
    from pyflink.table.udf import ScalarFunction, udf
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "pyflink":
        raise
    raise MissingDependencyError("fastlstm.integrations.flink", "PyFlink", "flink") from None

if TYPE_CHECKING:
    import pandas
    from pyflink.datastream import DataStream, RuntimeContext
    from pyflink.datastream.state import StateTtlConfig, ValueState
    from pyflink.table import FunctionContext, TableEnvironment
    from pyflink.table.udf import UserDefinedScalarFunctionWrapper

    from fastlstm.inference.streaming import Stream

Model = Classifier | str | os.PathLike[str] | None
RESULT_TYPE = "ROW<label STRING, probability FLOAT>"
"""SQL type of the results of `classify`."""
FAIL, RESTART = "fail", "restart"
"""Values of `on_model_change`."""
MAX_LIVE_STREAMS = 1000
"""Streams that a `PieceClassifier` keeps ready for their next piece, about 30 KB each."""

_loaded: WeakValueDictionary[str | None, Classifier] = WeakValueDictionary()
_loading = threading.Lock()


def classify(model: Model = None, *, threshold: float | None = None) -> UserDefinedScalarFunctionWrapper:
    """Return a vectorized Python UDF: STRING -> ROW<label STRING, probability FLOAT>.

    A worker process loads a model once and computes on one thread, unless FASTLSTM_THREADS is set. Label and
    probability are null for a null text and for a text without any known token. The row itself is never null.

    Args:
        model: A folder or the name of a bundled model, which each worker passes to `fastlstm.load`, or a classifier,
            which is pickled into the job.
        threshold: As in `Classifier.predict`. Errors are raised by the worker, which fails the job.
    """
    return udf(
        TextClassifier(model, threshold=threshold),
        input_types=["STRING"],
        result_type=RESULT_TYPE,
        func_type="pandas",
        name="classify",
    )


def register(
    table_env: TableEnvironment, name: str = "sentiment", model: Model = None, *, threshold: float | None = None
) -> None:
    """Register `classify` as a temporary system function, for SQL and the Table API. Arguments as in `classify`."""
    table_env.create_temporary_system_function(name, classify(model, threshold=threshold))


def classify_pieces(
    pieces: DataStream,
    model: Model = None,
    *,
    threshold: float | None = None,
    ttl: StateTtlConfig | None = None,
    on_model_change: str = FAIL,
) -> DataStream:
    """Classify texts that arrive in pieces, by key. Return a row for each piece.

    Args:
        pieces: Rows of key and piece of text, and optionally whether the piece is the last one of its text. See
            `PieceClassifier`.
        model: As in `classify`.
        threshold: As in `classify`.
        ttl: As in `PieceClassifier`.
        on_model_change: As in `PieceClassifier`.

    Returns:
        Rows of key, label STRING, probability FLOAT, tokens BIGINT and ended BOOLEAN.

    Raises:
        OptionError: `on_model_change` is unknown.
    """
    function = PieceClassifier(model, threshold=threshold, ttl=ttl, on_model_change=on_model_change)
    row_type = pieces.get_type()
    has_fields = isinstance(row_type, RowTypeInfo | TupleTypeInfo)
    key_type = row_type.get_field_types()[0] if has_fields else Types.PICKLED_BYTE_ARRAY()
    result_type = Types.ROW_NAMED(
        ["key", "label", "probability", "tokens", "ended"],
        [key_type, Types.STRING(), Types.FLOAT(), Types.LONG(), Types.BOOLEAN()],
    )
    return pieces.key_by(lambda row: row[0], key_type).process(function, result_type).name("fastlstm")


class TextClassifier(ScalarFunction):  # type: ignore[misc]  # PyFlink has no types
    """The function that `classify` wraps: a column of texts -> labels and their probabilities."""

    def __init__(self, model: Model = None, *, threshold: float | None = None) -> None:
        """See `classify`."""
        self._model, self._threshold = model, threshold

    def open(self, function_context: FunctionContext) -> None:  # noqa: ARG002
        """Load the model."""
        self._classifier = _load(self._model)

    def eval(self, texts: pandas.Series) -> pandas.DataFrame:
        """Return the columns label (str or None) and probability (float32, NaN where there is no label)."""
        import pandas

        values = [None if missing else text for text, missing in zip(texts, texts.isna(), strict=True)]
        predictions = predict_column(self._classifier, values, threshold=self._threshold)
        labels = pandas.Series(predictions.labels, dtype=object)
        return pandas.DataFrame({"label": labels, "probability": predictions.label_probabilities})


class PieceClassifier(KeyedProcessFunction):  # type: ignore[misc]  # PyFlink has no types
    """Classifies a text per key that arrives in pieces, such as a conversation; see `Stream`.

    The state of a text, `Stream.state`, is keyed state of Flink: it is part of checkpoints and savepoints. Each piece
    gives a row of key, label, probability, tokens and ended. These describe the text so far: label and probability are
    null before its first known token, `tokens` counts the complete tokens. A null piece adds nothing.

    A piece is a row of two or three fields: key, text, and whether the text ends with this piece. If it does, pending
    text is processed, the row has ended=True, and the state is removed: the next piece of this key starts another text.
    """

    def __init__(
        self,
        model: Model = None,
        *,
        threshold: float | None = None,
        ttl: StateTtlConfig | None = None,
        on_model_change: str = FAIL,
    ) -> None:
        """Create the function.

        Args:
            model: As in `classify`. Raise `OptionError` in the worker if it cannot read streams.
            threshold: As in `classify`.
            ttl: When the state of a text without further pieces is removed, without a row. Default: never.
            on_model_change: For a state of another model: "fail" raises `DataError` in the worker, which fails the job;
                "restart" drops it and starts the text again with the current piece.

        Raises:
            OptionError: `on_model_change` is unknown.
        """
        if on_model_change not in (FAIL, RESTART):
            raise OptionError(
                f"unknown on_model_change {on_model_change!r}; {suggest(str(on_model_change), (FAIL, RESTART))}",
                code="bad-option-value",
                option="on_model_change",
                value=on_model_change,
                known=(FAIL, RESTART),
            )
        self._model, self._threshold, self._ttl = model, threshold, ttl
        self._on_model_change = on_model_change

    def open(self, runtime_context: RuntimeContext) -> None:
        """Load the model and prepare the state."""
        self._classifier = _load(self._model)
        self._live: OrderedDict[bytes, Stream] = OrderedDict()
        descriptor = ValueStateDescriptor("fastlstm-stream", Types.PRIMITIVE_ARRAY(Types.BYTE()))
        if self._ttl is not None:
            descriptor.enable_time_to_live(self._ttl)
        self._state: ValueState = runtime_context.get_state(descriptor)

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:  # noqa: ARG002
        """Yield the row for a piece."""
        key, text, *end = value
        ended = bool(end and end[0])
        stream = self._resume(self._state.value())
        if text is not None:
            stream.feed(text)
        if ended:
            stream.end()
            self._state.clear()
        elif text is not None:
            self._state.update(self._keep(stream))
        yield Row(key, *self._prediction(stream), stream.token_count, ended)

    def _resume(self, state: bytes | None) -> Stream:
        """Return the stream with this state. A live stream is equal to a restored one: the state determines it."""
        if state is None:
            return self._classifier.stream()
        live = self._live.pop(state, None)
        if live is not None:
            return live
        try:
            return self._classifier.stream(state)
        except DataError as error:
            if error.code == "stream-state-mismatch" and self._on_model_change == RESTART:
                return self._classifier.stream()
            raise

    def _keep(self, stream: Stream) -> bytes:
        """Return the state of a stream, and keep the stream for the next piece."""
        state = stream.state
        self._live[state] = stream
        if len(self._live) > MAX_LIVE_STREAMS:
            self._live.popitem(last=False)
        return state

    def _prediction(self, stream: Stream) -> tuple[str | None, float | None]:
        if not stream.known:
            return None, None
        probabilities = stream.probabilities
        index = self._classifier.choose(probabilities[np.newaxis], threshold=self._threshold)[0]
        return self._classifier.labels[index], float(probabilities[index])


def _load(model: Model) -> Classifier:
    """Return the model, which computes on one thread. Functions that are open in a process share its models."""
    limit_threads(1)
    if isinstance(model, Classifier):
        return model
    name = None if model is None else os.fspath(model)
    with _loading:
        classifier = _loaded.get(name)
        if classifier is None:
            classifier = _loaded[name] = load(name)
    return classifier


english_sentiment = classify("english-sentiment")
"""For `CREATE FUNCTION ... AS 'fastlstm.integrations.flink.english_sentiment' LANGUAGE PYTHON`."""
chinese_sentiment = classify("chinese-sentiment")
"""For `CREATE FUNCTION ... AS 'fastlstm.integrations.flink.chinese_sentiment' LANGUAGE PYTHON`."""
