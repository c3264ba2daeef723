"""Ctrl-C in a long run: it ends between two steps, and says how to go on."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from fastlstm.cli import show
from fastlstm.errors import Interrupted

RunEvent = TypeVar("RunEvent")


def resuming(arguments: list[str]) -> str:
    """The command line that goes on with the run of these arguments."""
    return shlex.join(["fastlstm", *(argument for argument in arguments if argument != "--resume"), "--resume"])


def watch(
    events: Generator[RunEvent, None, None],
    shown: Callable[[RunEvent], object],
    last: type[RunEvent],
    stopped: Callable[[], str],
) -> None:
    """Shows a run's events as they come. Ctrl-C closes the run, and `stopped` then says what is left of it.

    Raises `Interrupted` with that, unless the `last` kind of event was there already.
    """
    with stop_on_interrupt() as asked_to_stop:
        for event in events:
            shown(event)
            if asked_to_stop() and not isinstance(event, last):
                events.close()
                raise Interrupted(stopped())


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
