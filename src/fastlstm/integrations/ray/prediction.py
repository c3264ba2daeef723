"""Predictions for `ray.data.Dataset.map_batches`, and workers of `score` on a cluster."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, cast

from fastlstm.errors import OptionError
from fastlstm.inference import Classifier
from fastlstm.inference.classifier import as_classifier
from fastlstm.inference.columns import ColumnPredictions, predict_column
from fastlstm.integrations.ray.cluster import connect, cores
from fastlstm.kernel import limit_threads
from fastlstm.scoring.columns import DEFAULT_PREFIX, column_names, prediction_arrays
from fastlstm.scoring.workers import CHUNKS_PER_WORKER

if TYPE_CHECKING:
    import pyarrow


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
        self._text_column, self._threshold = text_column, threshold
        self._names = column_names(self._model.labels, prefix, probabilities=probabilities)

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        """Return the rows with the columns of `column_names`."""
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
        OptionError: The cluster has fewer cores than `processes`.
    """

    def __init__(self, model: Classifier, threshold: float | None, processes: int | None) -> None:
        ray, self._starts_ray = connect("`engine`=ray")
        available = cores(ray)
        if processes is not None and processes > available:
            if self._starts_ray:
                ray.shutdown()
            raise OptionError(
                f"`processes` is {processes}, but the Ray cluster has {available} cores; pass at most {available}",
                code="bad-option-value",
                option="processes",
                value=processes,
            )
        self.processes = processes or available
        self.capacity = CHUNKS_PER_WORKER * self.processes
        actor = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=-1)(_Actor)
        reference = ray.put(model)
        self.actors = [actor.remote(reference, threshold) for _ in range(self.processes)]
        self._next = 0

    def submit(self, texts: Sequence[str | None]) -> Future[ColumnPredictions]:
        """See `Workers.submit`."""
        actor = self.actors[self._next]
        self._next = (self._next + 1) % len(self.actors)
        return cast("Future[ColumnPredictions]", actor.predict.remote(texts).future())

    def close(self) -> None:
        """Stop the actors, and Ray if this object started it."""
        import ray

        for actor in self.actors:
            ray.kill(actor)
        if self._starts_ray:
            ray.shutdown()


class _Actor:
    def __init__(self, model: Classifier, threshold: float | None) -> None:
        limit_threads(1)
        self._model, self._threshold = model, threshold

    def predict(self, texts: Sequence[str | None]) -> ColumnPredictions:
        return predict_column(self._model, texts, threshold=self._threshold)

    def process_id(self) -> int:
        return os.getpid()
