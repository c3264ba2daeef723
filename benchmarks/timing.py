"""Contestants timed side by side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

REST = 0.03
"""Seconds before a turn: PyTorch's threads wait for work busily for a while, on cores the next contestant needs."""
TURN = 0.02
"""Seconds that a turn measures at least, calling again and again."""


def alternate(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds a call, of every contestant, turn by turn: rest, a call that does not count, then calls that do."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats):
        order = list(calls.items())
        for name, call in order if repeat % 2 == 0 else reversed(order):
            time.sleep(REST)
            call()
            started, count = time.perf_counter(), 0
            while (elapsed := time.perf_counter() - started) < TURN or count == 0:
                call()
                count += 1
            seconds[name].append(elapsed / count)
    return seconds


def medians(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    """The middle of every contestant's turns."""
    return {name: statistics.median(values) for name, values in seconds.items()}
