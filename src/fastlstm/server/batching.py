"""Texts of several requests read together: those that arrive while a model reads are what it reads next."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastlstm.server.errors import overloaded_error

LOG = logging.getLogger("fastlstm.server")
Read = Callable[[Sequence[str]], tuple[Any, npt.NDArray[np.float32]]]
"""Texts -> who read them, and a row of each."""


@dataclass(eq=False)
class _Waiting:
    texts: Sequence[str]
    answer: asyncio.Future[tuple[Any, npt.NDArray[np.float32]]]


class Batcher:
    """One model's queue, and the thread in which it reads.

    There is no timer: a lone text is read at once, and under load batches grow by themselves.
    """

    def __init__(
        self,
        read: Read,
        *,
        batch_texts: int,
        queue_texts: int,
        on_batch: Callable[[int], object],
        on_waiting: Callable[[int], object],
    ) -> None:
        """Nothing is read before `start`.

        Args:
            read: texts -> who reads them and rows; called in a thread of its own, one batch at a time.
            batch_texts: of a batch, at most, but that a request is never parted.
            queue_texts: that wait or are being read, at most.
            on_batch: told the size of each batch that was read.
            on_waiting: told how many texts wait or are being read, whenever it changes.
        """
        self._read, self._batch_texts, self._queue_texts = read, batch_texts, queue_texts
        self._on_batch, self._on_waiting = on_batch, on_waiting
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fastlstm-read")
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self.waiting = 0
        """Texts that wait or are being read."""
        self.refusing = False
        """Whether a request was refused since the last batch. Until the next one none is taken: a smaller one that
        came later would pass it, and telling it costs next to nothing."""

    def start(self) -> None:
        """From here on texts are read."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends after the batch that is being read; what waits is cancelled."""
        self._stopping = True
        self._arrived.set()
        if self._task is not None:
            await self._task
        for waiting in self._queue:
            waiting.answer.cancel()
            self._wait(-len(waiting.texts))
        self._queue.clear()
        self._thread.shutdown(wait=True)

    async def submit(self, texts: Sequence[str]) -> tuple[Any, npt.NDArray[np.float32]]:
        """Who read the texts, and their rows, in their order; at least one text.

        Raises `Refusal` where too many wait, and what `read` raised of these texts.
        """
        if self.refusing or self.waiting + len(texts) > self._queue_texts:
            self.refusing = True
            raise overloaded_error(f"{self.waiting} texts wait to be read, of at most {self._queue_texts}")
        waiting = _Waiting(texts, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._wait(len(texts))
        self._arrived.set()
        return await waiting.answer

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            if self._stopping:
                return
            batch = self._take()
            if not batch:
                self._arrived.clear()
                continue
            try:
                await self._answer(batch)
            except Exception as error:  # whatever it is, later requests are read
                LOG.exception("a batch failed")
                for waiting in batch:
                    _fail(waiting, error)
            finally:
                self._wait(-sum(len(waiting.texts) for waiting in batch))

    def _wait(self, more: int) -> None:
        self.waiting += more
        if more < 0:
            self.refusing = False
        self._on_waiting(self.waiting)

    def _take(self) -> list[_Waiting]:
        """The next requests, whole, as many as go into a batch; those whose client has gone are left out."""
        batch: list[_Waiting] = []
        texts = 0
        while self._queue and (not batch or texts + len(self._queue[0].texts) <= self._batch_texts):
            waiting = self._queue.popleft()
            if waiting.answer.cancelled():
                self._wait(-len(waiting.texts))
                continue
            batch.append(waiting)
            texts += len(waiting.texts)
        return batch

    async def _answer(self, batch: list[_Waiting]) -> None:
        """One that can't be read harms no other: where a batch fails, its requests are read one by one."""
        loop = asyncio.get_running_loop()
        texts = [text for waiting in batch for text in waiting.texts]
        try:
            reader, rows = await loop.run_in_executor(self._thread, self._read, texts)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is the answer of the one that caused it
            if len(batch) == 1:
                _fail(batch[0], error)
                return
            for waiting in batch:
                await self._answer([waiting])
            return
        at = 0
        for waiting in batch:
            if not waiting.answer.done():
                waiting.answer.set_result((reader, rows[at : at + len(waiting.texts)]))
            at += len(waiting.texts)
        self._on_batch(len(texts))


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)
