"""Several processes that answer at one address: each has an event loop, models and queues of its own."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from prometheus_client.multiprocess import mark_process_dead

from fastlstm.kernel.found import usable_cores
from fastlstm.server.metrics import SHARED
from fastlstm.server.settings import Settings

LOG = logging.getLogger("fastlstm.server")
LOOK = 0.2
"""Seconds between two looks at whether to stop."""
Serve = Callable[[Settings, socket.socket], None]


def run(serve: Serve, settings: Settings, listening: socket.socket) -> None:
    """Has `settings.workers` processes serve until SIGTERM or Ctrl-C; where one ends, another takes its place.

    Args:
        serve: serves until SIGTERM; it must be importable, as the processes begin anew.
        listening: the socket that all of them accept from.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with tempfile.TemporaryDirectory(prefix="fastlstm-metrics-") as metrics:
        os.environ[SHARED] = metrics
        # They share the cores: a team of threads as wide as all of them would wait for the others' texts.
        os.environ.setdefault("FASTLSTM_THREADS", str(max(1, usable_cores() // settings.workers)))
        processes = [_start(serve, settings, listening) for _ in range(settings.workers)]
        while not stopping.is_set():
            wait([process.sentinel for process in processes], LOOK)
            if not stopping.is_set():
                processes = [_alive(process, serve, settings, listening) for process in processes]
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


def _start(serve: Serve, settings: Settings, listening: socket.socket) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(serve, settings, listening))
    process.start()
    return process


def _alive(process: BaseProcess, serve: Serve, settings: Settings, listening: socket.socket) -> BaseProcess:
    if process.exitcode is None:
        return process
    LOG.error("a worker ended; another takes its place", extra={"worker": process.pid, "status": process.exitcode})
    mark_process_dead(process.pid)  # type: ignore[no-untyped-call]
    return _start(serve, settings, listening)


def _serve(serve: Serve, settings: Settings, listening: socket.socket) -> None:
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    serve(settings, listening)


def _stop_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "this runs in a worker"
    parent.join()
    signal.raise_signal(signal.SIGTERM)
