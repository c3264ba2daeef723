"""Several processes that answer at one address: each has an event loop, models and queues of its own."""

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
from fastlstm.server.metrics import SHARED
from fastlstm.server.settings import Settings

LOG = logging.getLogger("fastlstm.server")
LOOK = 0.2
"""Seconds between two looks at whether to stop."""
SETTLED = 10.0
"""Seconds after which a process has begun well; after one that ended sooner the next one waits."""
LONGEST_PAUSE = 30.0
MARGIN = 5.0
"""Seconds beyond those to drain, after which a process that does not end is killed."""
Serve = Callable[[Settings, socket.socket], None]


def supervise(serve: Serve, settings: Settings, listening: socket.socket) -> None:
    """Has `settings.workers` processes serve until SIGTERM or Ctrl-C; where one ends, another takes its place.

    Args:
        serve: serves until SIGTERM; it must be importable, as the processes begin anew.
        listening: the socket that all of them accept from. Closed here once it is time to stop.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with tempfile.TemporaryDirectory(prefix="fastlstm-metrics-") as metrics:
        # What the processes inherit.
        os.environ[SHARED] = metrics
        # They share the cores: a team of threads as wide as all of them would wait for the others' texts.
        os.environ.setdefault("FASTLSTM_THREADS", str(max(1, usable_cores() // settings.workers)))
        places = [_Place(serve, settings, listening) for _ in range(settings.workers)]
        try:
            while not stopping.is_set():
                wait([place.process.sentinel for place in places if place.process.exitcode is None], LOOK)
                for place in places:
                    if not stopping.is_set():
                        place.look()
        finally:
            listening.close()
            for place in places:
                place.process.terminate()
            deadline = time.monotonic() + settings.drain_seconds + MARGIN
            for place in places:
                place.process.join(max(0.0, deadline - time.monotonic()))
                place.process.kill()
                place.process.join()


class _Place:
    """One of the processes, and the one after it."""

    def __init__(self, serve: Serve, settings: Settings, listening: socket.socket) -> None:
        self._of = serve, settings, listening
        self._pause, self._again = 0.0, 0.0
        self._told = False
        self._start()

    def _start(self) -> None:
        self.process: BaseProcess = multiprocessing.get_context("spawn").Process(target=_serve, args=self._of)
        self.process.start()
        self._began, self._told = time.monotonic(), False

    def look(self) -> None:
        """Puts another in the place of a process that has ended: at once, or where it did not live long, later."""
        if self.process.exitcode is None:
            return
        now = time.monotonic()
        if not self._told:
            early = now - self._began < SETTLED
            self._pause = min(LONGEST_PAUSE, max(1.0, 2 * self._pause)) if early else 0.0
            self._again, self._told = now + self._pause, True
            LOG.error(
                "a worker ended; another takes its place",
                extra={"worker": self.process.pid, "status": self.process.exitcode, "seconds": self._pause},
            )
            mark_process_dead(self.process.pid)  # type: ignore[no-untyped-call]
        if now >= self._again:
            self._start()


def _serve(serve: Serve, settings: Settings, listening: socket.socket) -> None:
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    serve(settings, listening)


def _stop_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "this runs in a worker"
    parent.join()
    signal.raise_signal(signal.SIGTERM)
