"""Ctrl-C in a long run: it ends between two steps, and says how to go on."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from fastlstm.cli import show


def resuming(arguments: list[str]) -> str:
    """The command line that goes on with the run of these arguments."""
    return shlex.join(["fastlstm", *(argument for argument in arguments if argument != "--resume"), "--resume"])


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks to stop after the running step; a second one stops at once."""
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked:
            signal.default_int_handler(number, frame)
        asked.append(number)
        show.note("stopping after this step; Ctrl-C again stops at once, without saving")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)
