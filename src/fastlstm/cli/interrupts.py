"""Ctrl-C and plain lines of progress, for commands that run long."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from fastlstm.cli import output

PLAIN_SECONDS = 10.0
"""Seconds between two lines of progress if the output is not a terminal."""


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a request to stop after the current step; a second one interrupts at once."""
    requests: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if requests:
            signal.default_int_handler(number, frame)
        requests.append(number)
        output.note("stopping after this step; press Ctrl-C again to stop at once, without saving")

    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: bool(requests)
    finally:
        signal.signal(signal.SIGINT, previous)
