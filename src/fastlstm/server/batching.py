"""Dynamic batching: texts that arrive while a batch is running form the next batch."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fastlstm._typing import DoubleArray
from fastlstm.server.errors import overloaded_error

LOG = logging.getLogger("fastlstm.server")
Text = TypeVar("Text")
Predict = Callable[[Sequence[Text]], tuple[Any, DoubleArray]]
"""Texts -> the model that predicted them, and one row per text."""


@dataclass(eq=False)
class _Pending(Generic[Text]):
    texts: Sequence[Text]
    result: asyncio.Future[tuple[Any, DoubleArray]]


class Batcher(Generic[Text]):
    """The queue of one model, and the thread in which the model predicts.

    There is no timer: a single text is predicted at once, and batches grow with the load.
    """

    def __init__(
        self,
        predict: Predict[Text],
        *,
        batch_texts: int,
        queue_texts: int,
        on_batch: Callable[[int], object],
        on_waiting: Callable[[int], object],
    ) -> None:
        """Create a batcher. It starts to predict when `start` is called.

        Args:
            predict: Called with one batch at a time, in a separate thread.
            batch_texts: Maximum number of texts per batch. Requests are never split: a larger one is a batch alone.
            queue_texts: Maximum number of texts that wait or are in the current batch.
            on_batch: Called with the size of each completed batch.
            on_waiting: Called with `waiting` whenever it changes.
        """
        self._predict, self._batch_texts, self._queue_texts = predict, batch_texts, queue_texts
        self._on_batch, self._on_waiting = on_batch, on_waiting
        self._queue: deque[_Pending[Text]] = deque()
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fastlstm-predict")
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self.waiting = 0
        """Number of texts that wait or are in the current batch."""
        self.rejecting = False
        """Whether a request was rejected since the last batch. Until the next batch completes, all requests are
        rejected, which costs little: otherwise small requests would overtake larger ones."""

    def start(self) -> None:
        """Start predicting."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Finish the current batch and cancel all other requests."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
        for pending in self._queue:
            pending.result.cancel()
            self._add_waiting(-len(pending.texts))
        self._queue.clear()
        self._thread.shutdown(wait=True)

    async def submit(self, texts: Sequence[Text]) -> tuple[Any, DoubleArray]:
        """Return the model that predicted the texts, and their rows in order. Expects at least one text.

        Raise `APIError` if the queue is full, and what `predict` raised for these texts.
        """
        if self.rejecting or self.waiting + len(texts) > self._queue_texts:
            self.rejecting = True
            raise overloaded_error(
                f"the queue is full ({self.waiting} texts waiting, maximum {self._queue_texts})",
                code="queue-full",
                waiting=self.waiting,
                maximum=self._queue_texts,
            )
        pending = _Pending(texts, asyncio.get_running_loop().create_future())
        self._queue.append(pending)
        self._add_waiting(len(texts))
        self._wake.set()
        return await pending.result

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            if self._stopping:
                return
            batch = self._next_batch()
            if not batch:
                self._wake.clear()
                continue
            try:
                await self._predict_batch(batch)
            except Exception as error:  # the batcher must survive any error
                LOG.exception("batch failed")
                for pending in batch:
                    _fail(pending, error)
            finally:
                self._add_waiting(-sum(len(pending.texts) for pending in batch))

    def _add_waiting(self, change: int) -> None:
        self.waiting += change
        if change < 0:
            self.rejecting = False
        self._on_waiting(self.waiting)

    def _next_batch(self) -> list[_Pending[Text]]:
        """Take as many whole requests from the queue as fit into a batch; drop cancelled ones."""
        batch: list[_Pending[Text]] = []
        texts = 0
        while self._queue and (not batch or texts + len(self._queue[0].texts) <= self._batch_texts):
            pending = self._queue.popleft()
            if pending.result.cancelled():
                self._add_waiting(-len(pending.texts))
                continue
            batch.append(pending)
            texts += len(pending.texts)
        return batch

    async def _predict_batch(self, batch: list[_Pending[Text]]) -> None:
        """Predict a batch. If that fails, predict its requests one by one, so that only invalid requests fail."""
        loop = asyncio.get_running_loop()
        texts = [text for pending in batch for text in pending.texts]
        try:
            model, rows = await loop.run_in_executor(self._thread, self._predict, texts)
        except Exception as error:  # noqa: BLE001 -- passed on to the request that caused it
            if len(batch) == 1:
                _fail(batch[0], error)
                return
            for pending in batch:
                await self._predict_batch([pending])
            return
        start = 0
        for pending in batch:
            end = start + len(pending.texts)
            if not pending.result.done():
                pending.result.set_result((model, rows[start:end]))
            start = end
        self._on_batch(len(texts))


def _fail(pending: _Pending[Any], error: Exception) -> None:
    if not pending.result.done():
        pending.result.set_exception(error)
