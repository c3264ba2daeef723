"""Dynamic batching: the texts of all requests are predicted in slices, see `scheduling`."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from fastlstm._typing import DoubleArray
from fastlstm.server.errors import overloaded_error
from fastlstm.server.scheduling import Job, Piece, SliceQueue

LOG = logging.getLogger("fastlstm.server")
Text = TypeVar("Text")
Predict = Callable[[Sequence[Text]], tuple[Any, DoubleArray]]
"""Texts -> the model that predicted them, and one row per text."""
RESUME_FRACTION = 0.75
"""A batcher that rejects requests accepts them again when its queue is filled up to this fraction, or less."""
FIRST_COST_PER_SECOND = 4e6
"""Estimate of the speed before the first long slice: that of the bundled model, between float32 and int8."""


@dataclass(eq=False)
class _Request(Job):
    """A request, and the rows of its texts so far, all predicted by `model`."""

    result: asyncio.Future[tuple[Any, DoubleArray]] = field(kw_only=True)
    model: Any = field(default=None, init=False)
    rows: dict[int, DoubleArray] = field(default_factory=dict, init=False)
    is_complete: bool = field(default=False, init=False)


_Completed = tuple[_Request, Any, DoubleArray]
"""A request, the model, and one row per text."""


class Batcher(Generic[Text]):
    """The queue of one model, and the threads in which the model predicts.

    There is no timer: a single text is predicted at once, and slices grow with the load. A second thread predicts
    short jobs while the first one is busy with a slice. The threads take slices themselves, so they do not wait for
    the event loop.
    """

    def __init__(
        self,
        predict: Predict[Text],
        *,
        cost: Callable[[Text], float],
        batch_texts: int,
        queue_texts: int,
        queue_seconds: float,
        on_batch: Callable[[int], object],
        on_waiting: Callable[[int], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create a batcher. It starts to predict when `start` is called.

        Args:
            predict: Called with one slice, in both threads. A text's row must not depend on the other texts.
            cost: The cost of a text, see `scheduling`.
            batch_texts: Maximum number of texts per slice. The texts of a request may be in several slices.
            queue_texts: Maximum number of texts that wait or are being predicted.
            queue_seconds: Maximum estimated time to predict the texts that wait. An empty queue accepts any request.
            on_batch: Called with the size of each completed slice.
            on_waiting: Called with `waiting` whenever it changes, in any thread.
            clock: Time in seconds.
        """
        self._predict, self._cost, self._clock = predict, cost, clock
        self._queue_texts, self._queue_seconds = queue_texts, queue_seconds
        self._on_batch, self._on_waiting = on_batch, on_waiting
        self._queue = SliceQueue(batch_texts, FIRST_COST_PER_SECOND)
        lock = threading.Lock()  # guards all that follows, and the queue
        self._has_work, self._has_short_work = threading.Condition(lock), threading.Condition(lock)
        self._lock = lock
        self._current: dict[int, Sequence[Piece]] = {}  # by thread
        self._stopping = False
        self._threads = [
            threading.Thread(target=run, name=f"fastlstm-predict-{run.__name__}", daemon=True)
            for run in (self._run, self._run_short)
        ]
        self.rejecting = False
        """Whether all requests are rejected, which costs little. Begins with a request that does not fit into the
        queue, and ends when part of the queue is free: otherwise small requests would overtake that one."""

    @property
    def waiting(self) -> int:
        """Number of texts that wait or are being predicted."""
        return self._queue.texts + sum(len(piece.texts) for pieces in self._current.values() for piece in pieces)

    @property
    def waiting_seconds(self) -> float:
        """Estimated time to predict the texts that wait, without those that are being predicted."""
        return self._queue.cost / self._queue.cost_per_second

    def start(self) -> None:
        """Start predicting. Call it in the event loop of the requests."""
        self._loop = asyncio.get_running_loop()
        for thread in self._threads:
            thread.start()

    async def stop(self) -> None:
        """Finish the current slices and cancel all requests that they do not complete."""
        with self._lock:
            self._stopping = True
            self._has_work.notify()
            self._has_short_work.notify()
        for thread in self._threads:
            if thread.is_alive():
                await asyncio.to_thread(thread.join)
        for request in self._queue.clear():
            assert isinstance(request, _Request)
            request.result.cancel()
        self._on_waiting(self.waiting)

    async def submit(self, texts: Sequence[Text]) -> tuple[Any, DoubleArray]:
        """Return the model that predicted the texts, and their rows in order. Expects at least one text.

        Raise `APIError` if the queue is full, and what `predict` raised for these texts.
        """
        costs = [self._cost(text) for text in texts]
        result: asyncio.Future[tuple[Any, DoubleArray]] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._check_space(len(texts))
            is_short = self._queue.push(_Request(texts, costs, self._clock(), result=result))
            self._on_waiting(self.waiting)
            (self._has_short_work if is_short else self._has_work).notify()
        return await result

    def _check_space(self, texts: int) -> None:
        """Raise `APIError` if the queue has no space for so many texts."""
        waiting, seconds = self.waiting, self.waiting_seconds
        if self.rejecting or waiting + texts > self._queue_texts or seconds > self._queue_seconds:
            self.rejecting = True
            raise overloaded_error(
                f"the queue is full ({waiting} texts waiting, maximum {self._queue_texts}; estimated {seconds:.1f} s, "
                f"maximum {self._queue_seconds:g} s)",
                code="queue-full",
                seconds=math.ceil(seconds),
                waiting=waiting,
                maximum=self._queue_texts,
            )

    def _run(self) -> None:
        """Predict all texts, until `stop`."""
        while pieces := self._next_slice(self._queue.take_slice, self._has_work):
            start = self._clock()
            self._predict_all(pieces)
            with self._lock:
                self._queue.measure(sum(piece.cost for piece in pieces), self._clock() - start)

    def _run_short(self) -> None:
        """Predict the texts of short jobs, until `stop`."""
        while pieces := self._next_slice(self._queue.take_short_slice, self._has_short_work):
            with self._lock:
                if self._queue.texts:
                    self._has_work.notify()
            self._predict_all(pieces)

    def _next_slice(self, take: Callable[[], list[Piece]], changed: threading.Condition) -> list[Piece]:
        """Wait for texts and take the next slice. Return an empty list when the batcher stops."""
        with self._lock:
            while not self._stopping:
                taken = take()
                if pieces := [piece for piece in taken if not self._drop_if_cancelled(piece.job)]:
                    self._current[threading.get_ident()] = pieces
                    return pieces
                self._update_waiting()
                if not taken:
                    changed.wait()
            return []

    def _drop_if_cancelled(self, request: Job) -> bool:
        """Return whether the client has disconnected. If so, remove what remains of its request."""
        assert isinstance(request, _Request)
        if request.result.cancelled():
            self._queue.discard(request)
            return True
        return False

    def _update_waiting(self) -> None:
        waiting = self.waiting
        is_free = (
            waiting <= RESUME_FRACTION * self._queue_texts
            and self.waiting_seconds <= RESUME_FRACTION * self._queue_seconds
        )
        self.rejecting = self.rejecting and not is_free
        self._on_waiting(waiting)

    def _predict_all(self, pieces: Sequence[Piece]) -> None:
        """Predict a slice and complete requests."""
        try:
            self._predict_slice(pieces)
        except Exception as error:  # the batcher must survive any error
            LOG.exception("batch failed")
            self._fail(pieces, error)
        with self._lock:
            del self._current[threading.get_ident()]
            self._update_waiting()

    def _predict_slice(self, pieces: Sequence[Piece]) -> None:
        """Predict a slice. If that fails, predict its pieces one by one, so that only invalid requests fail."""
        texts = [text for piece in pieces for text in piece.texts]
        try:
            model, rows = self._predict(texts)
        except Exception as error:  # noqa: BLE001 -- passed on to the request that caused it
            if len(pieces) == 1:
                self._fail(pieces, error)
                return
            for piece in pieces:
                self._predict_slice([piece])
            return
        completed: list[_Completed] = []
        start = 0
        with self._lock:
            for piece in pieces:
                end = start + len(piece.texts)
                self._add_rows(piece, model, rows[start:end], completed)
                start = end
        if completed:
            self._loop.call_soon_threadsafe(_complete, completed)
        self._on_batch(len(texts))

    def _add_rows(self, piece: Piece, model: Any, rows: DoubleArray, completed: list[_Completed]) -> None:
        """Add rows to a request. If the model was reloaded since its earlier rows, predict it again.

        Both threads may have texts of a request, so a piece may come after the request was completed by another model.
        """
        request = piece.job
        assert isinstance(request, _Request)
        if request.is_complete:
            return
        if request.rows and request.model is not model:
            request.rows.clear()
            self._queue.restart(request)
            return
        request.model = model
        request.rows |= zip(range(piece.start, piece.end), rows, strict=True)
        if len(request.rows) == len(request.texts):
            self._queue.discard(request)
            request.is_complete = True
            completed.append((request, model, np.stack([request.rows[k] for k in range(len(request.texts))])))

    def _fail(self, pieces: Sequence[Piece], error: Exception) -> None:
        """Raise the error in all requests of the pieces."""
        requests: list[_Request] = []
        with self._lock:
            for piece in pieces:
                assert isinstance(piece.job, _Request)
                self._queue.discard(piece.job)
                requests.append(piece.job)
        self._loop.call_soon_threadsafe(_set_exception, requests, error)


def _complete(completed: Sequence[_Completed]) -> None:
    for request, model, rows in completed:
        if not request.result.done():
            request.result.set_result((model, rows))


def _set_exception(requests: Sequence[_Request], error: Exception) -> None:
    for request in requests:
        if not request.result.done():
            request.result.set_exception(error)
