"""Predictions for `ray.data.Dataset.map_batches`, and workers of `score` on a cluster."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from fastlstm.data.readers.columns import column_index
from fastlstm.errors import FastLSTMError, OptionError
from fastlstm.inference import Classifier
from fastlstm.inference.classifier import as_classifier
from fastlstm.inference.columns import ColumnPredictions, predict_column
from fastlstm.integrations.ray.cluster import connect, summary
from fastlstm.kernel import limit_threads
from fastlstm.scoring.columns import DEFAULT_PREFIX, column_names, prediction_arrays, require_new_column
from fastlstm.scoring.workers import CHUNKS_PER_WORKER

if TYPE_CHECKING:
    import pyarrow

MAX_RETRIES = 10
"""How often a chunk is predicted again after its actor died; the chunk itself may be what ends the actor."""


class TextPredictor:
    """Adds predictions to batches of a dataset.

    Ray creates one object per actor, which loads the model once:

        dataset.map_batches(
            TextPredictor, fn_constructor_kwargs={"text_column": "review"}, batch_format="pyarrow", concurrency=8
        )

    Args:
        model: A classifier, which Ray sends to each actor, or a folder or the name of a bundled model, which each actor
            loads. Default: the bundled English model.
        text_column: The column of texts. A missing text has neither label nor probability.
        threshold: As in `Classifier.predict`.
        probabilities: Whether to add the probability of each class.
        prefix: What the names of the new columns begin with.

    Raises:
        InputError: The model cannot be loaded, or the threshold is invalid.
    """

    def __init__(
        self,
        model: Classifier | str | os.PathLike[str] | None = None,
        *,
        text_column: str = "text",
        threshold: float | None = None,
        probabilities: bool = False,
        prefix: str = DEFAULT_PREFIX,
    ) -> None:
        limit_threads(1)  # an actor has one core
        self._model = as_classifier(model)
        self._model.check_threshold(threshold)
        self._text_column, self._threshold = text_column, threshold
        self._names = column_names(self._model.labels, prefix, probabilities=probabilities)

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        """Return the rows with the columns of `column_names`.

        Raises:
            OptionError: The batch is not a table of PyArrow, or has one of the new columns already.
            DataError: The batch has no column of texts.
        """
        import pyarrow

        if not isinstance(batch, pyarrow.Table):
            raise OptionError(
                f"the batch is a {type(batch).__name__}; pass batch_format='pyarrow' to `map_batches`",
                code="bad-option-value",
                option="batch_format",
                value=type(batch).__name__,
            )
        column_index(self._text_column, batch.column_names, "the dataset", "text_column")
        for name in self._names:
            require_new_column(name, batch.column_names, "the dataset")
        texts = batch.column(self._text_column).to_pylist()
        predictions = predict_column(self._model, texts, threshold=self._threshold)
        for name, array in prediction_arrays(predictions, self._names).items():
            batch = batch.append_column(name, array)
        return batch


class RayWorkers:
    """Actors of a Ray cluster, each with one core, as workers of `score`.

    An actor that dies with its machine is started again, and its chunks are predicted again. The cluster is that of
    RAY_ADDRESS; without it, Ray starts on this machine.

    Args:
        model: The model, which is sent to each machine once.
        threshold: As in `Classifier.predict`.
        processes: The number of actors. None: the cores of the cluster.

    Attributes:
        actors: Their handles.

    Raises:
        MissingDependencyError: Ray is not installed.
        OptionError: The cluster cannot be reached, or has fewer cores than `processes`.
    """

    def __init__(self, model: Classifier, threshold: float | None, processes: int | None) -> None:
        self._cluster = connect("processes", processes, purpose="`engine`=ray")
        ray = self._cluster.ray
        self.processes = processes or self._cluster.cores
        self.capacity = CHUNKS_PER_WORKER * self.processes
        self._next = 0
        self.actors: list[Any] = []
        try:
            self._model = ray.put(model)
            actor = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=MAX_RETRIES)(_Actor)
            for _ in range(self.processes):
                self.actors.append(actor.remote(threshold))
        except BaseException:
            self.close()
            raise

    def submit(self, texts: Sequence[str | None]) -> Future[ColumnPredictions]:
        """See `Workers.submit`.

        The result raises the `FastLSTMError` of the actor, or one with the code "worker-died".
        """
        actor = self.actors[self._next]
        self._next = (self._next + 1) % len(self.actors)
        predictions: Future[ColumnPredictions] = Future()
        actor.predict.remote([self._model], texts).future().add_done_callback(
            lambda done: _copy_result(done, predictions)
        )
        return predictions

    def close(self) -> None:
        """Stop the actors, and Ray if this object started it."""
        for actor in self.actors:
            self._cluster.ray.kill(actor)
        self._cluster.close()


def _copy_result(done: Future[ColumnPredictions], predictions: Future[ColumnPredictions]) -> None:
    error = done.exception()
    if error is None:
        predictions.set_result(done.result())
    else:
        predictions.set_exception(_as_fastlstm_error(error))


def _as_fastlstm_error(error: BaseException) -> FastLSTMError:
    """Return the error of fastlstm that an actor raised; for any other error of Ray, one with it as its cause."""
    cause = getattr(error, "cause", None)  # what a task raised
    if isinstance(cause, FastLSTMError):
        return cause
    died = FastLSTMError(
        f"a worker on Ray failed ({summary(cause or error)}); pass `resume` to continue", code="worker-died"
    )
    died.__cause__ = error
    return died


class _Actor:
    def __init__(self, threshold: float | None) -> None:
        limit_threads(1)
        self._threshold = threshold
        self._model: Classifier | None = None

    def predict(self, model: list[Any], texts: Sequence[str | None]) -> ColumnPredictions:
        """Return the predictions of a chunk. `model` contains a reference, which Ray does not replace by the model."""
        if self._model is None:  # the first chunk of this process
            import ray

            self._model = ray.get(model[0])
        return predict_column(self._model, texts, threshold=self._threshold)

    def process_id(self) -> int:
        return os.getpid()
