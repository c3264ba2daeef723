"""Worker processes that predict the texts of chunks."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from fastlstm.inference import Classifier
from fastlstm.inference.columns import ColumnPredictions, predict_column
from fastlstm.kernel import limit_threads

CHUNKS_PER_WORKER = 3
"""Chunks that are predicted or wait, per worker: enough that none waits while a part file is written."""


class Workers(Protocol):
    """Predicts chunks of texts in parallel.

    Attributes:
        processes: The number of workers.
        capacity: The number of chunks to submit before waiting for results.
    """

    processes: int
    capacity: int

    def submit(self, texts: Sequence[str | None]) -> Future[ColumnPredictions]:
        """Return the future predictions of a chunk."""
        ...

    def close(self) -> None:
        """Stop the workers."""
        ...


class ProcessWorkers:
    """Processes of this machine, each with one thread.

    Args:
        model: The model. Each process gets a copy.
        threshold: As in `Classifier.predict`.
        processes: The number of processes.
    """

    def __init__(self, model: Classifier, threshold: float | None, processes: int) -> None:
        self.processes = processes
        self.capacity = CHUNKS_PER_WORKER * processes
        # Processes get the model from a file. If one died before it had read the model from its pipe, this process
        # would wait forever.
        self._folder = tempfile.TemporaryDirectory(prefix="fastlstm-")
        model_file = Path(self._folder.name) / "model"
        model_file.write_bytes(pickle.dumps((model, threshold), protocol=pickle.HIGHEST_PROTOCOL))
        # A forked process could inherit locks of threads that do not exist in it.
        self._executor = ProcessPoolExecutor(
            processes,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(model_file,),
        )

    def submit(self, texts: Sequence[str | None]) -> Future[ColumnPredictions]:
        """See `Workers.submit`."""
        with _blocked_interrupts():
            return self._executor.submit(_predict, texts)

    def close(self) -> None:
        """See `Workers.close`."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._folder.cleanup()


@contextmanager
def _blocked_interrupts() -> Iterator[None]:
    """Start processes that never receive Ctrl-C: it is for the parent, which then stops its workers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_worker: tuple[Classifier, float | None]


def _start_worker(model_file: Path) -> None:
    global _worker
    _worker = pickle.loads(model_file.read_bytes())
    limit_threads(1)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """End this process when its parent ends, however that ends."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _predict(texts: Sequence[str | None]) -> ColumnPredictions:
    model, threshold = _worker
    return predict_column(model, texts, threshold=threshold)
