"""Several worker processes on one address, each with its own event loop, models and queues."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from prometheus_client.multiprocess import mark_process_dead

from fastlstm.kernel.loader import usable_cores
from fastlstm.server.metrics import MULTIPROCESS_VARIABLE
from fastlstm.server.settings import Settings

LOG = logging.getLogger("fastlstm.server")
POLL_SECONDS = 0.2
"""Interval between checks for a stop signal."""
STABLE_SECONDS = 10.0
"""A worker that exits before this age is restarted after a delay, which doubles each time."""
MAX_RESTART_SECONDS = 30.0
"""Maximum delay before a restart."""
KILL_SECONDS = 5.0
"""Time beyond `drain_seconds` after which a worker that is still running is killed."""
Serve = Callable[[Settings, socket.socket], None]


def supervise(serve: Serve, settings: Settings, listener: socket.socket) -> None:
    """Run `settings.workers` worker processes until SIGTERM or Ctrl-C, and restart those that exit.

    Args:
        serve: Serves until SIGTERM. Must be importable, because the workers are spawned.
        settings: Models and limits of each worker.
        listener: The socket that all workers accept from. Closed here when stopping.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with tempfile.TemporaryDirectory(prefix="fastlstm-metrics-") as metrics:
        # The workers inherit these variables. They share the cores: threads on all cores in each worker would wait
        # for the other workers.
        os.environ[MULTIPROCESS_VARIABLE] = metrics
        os.environ.setdefault("FASTLSTM_THREADS", str(max(1, usable_cores() // settings.workers)))
        workers = [_Worker(serve, settings, listener) for _ in range(settings.workers)]
        try:
            while not stopping.is_set():
                running = [worker.process.sentinel for worker in workers if worker.process.exitcode is None]
                wait(running, POLL_SECONDS)
                for worker in workers:
                    if not stopping.is_set():
                        worker.restart_if_exited()
        finally:
            listener.close()
            for worker in workers:
                worker.process.terminate()
            deadline = time.monotonic() + settings.drain_seconds + KILL_SECONDS
            for worker in workers:
                worker.process.join(max(0.0, deadline - time.monotonic()))
                worker.process.kill()
                worker.process.join()


class _Worker:
    """A worker process and its successors."""

    def __init__(self, serve: Serve, settings: Settings, listener: socket.socket) -> None:
        self._arguments = serve, settings, listener
        self._delay, self._restart_at = 0.0, 0.0
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.process: BaseProcess = context.Process(target=_run_worker, args=self._arguments)
        self.process.start()
        self._started_at, self._exit_logged = time.monotonic(), False

    def restart_if_exited(self) -> None:
        """Restart the process if it has exited: at once, or after a delay if it did not run for long."""
        if self.process.exitcode is None:
            return
        now = time.monotonic()
        if not self._exit_logged:
            is_unstable = now - self._started_at < STABLE_SECONDS
            self._delay = min(MAX_RESTART_SECONDS, max(1.0, 2 * self._delay)) if is_unstable else 0.0
            self._restart_at, self._exit_logged = now + self._delay, True
            LOG.error(
                "worker exited; restarting",
                extra={"worker": self.process.pid, "status": self.process.exitcode, "seconds": self._delay},
            )
            mark_process_dead(self.process.pid)  # type: ignore[no-untyped-call]
        if now >= self._restart_at:
            self._start()


def _run_worker(serve: Serve, settings: Settings, listener: socket.socket) -> None:
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    serve(settings, listener)


def _stop_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "runs in a worker process"
    parent.join()
    signal.raise_signal(signal.SIGTERM)
