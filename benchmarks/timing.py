"""Timing of several calls in alternation, so that a drifting machine affects all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

PAUSE_SECONDS = 0.03
"""Pause before each turn: idle PyTorch threads spin for a while on the cores that the next call needs."""
MIN_TURN_SECONDS = 0.02
"""A turn repeats its call at least this long."""
IDLE_SECONDS = 0.01
"""Idle time before each cold call, as between two requests."""
LONG_SECONDS = 0.5
"""Longer calls need no warm-up call in each turn."""
COLD_CALLS = 10
"""Cold calls per turn."""
Calls = Mapping[str, Callable[[], object]]


def alternate(calls: Calls, repeats: int) -> dict[str, list[float]]:
    """Return the seconds per call of each name, one value per turn.

    A turn is a pause, a warm-up call unless calls are long, and timed calls. The order of the names is reversed in
    every second repeat.
    """
    return _turns(calls, repeats, _time_hot)


def alternate_cold(calls: Calls, repeats: int) -> dict[str, list[float]]:
    """Return the same, with 10 ms of idle time before each timed call; a turn's value is the median of its calls."""
    return _turns(calls, repeats, _time_cold)


def medians(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    """Return the median of each name's turns."""
    return {name: statistics.median(values) for name, values in seconds.items()}


def _turns(
    calls: Calls, repeats: int, time_turn: Callable[[Callable[[], object]], float]
) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats):
        order = list(calls.items())
        for name, call in order if repeat % 2 == 0 else reversed(order):
            time.sleep(PAUSE_SECONDS)
            if not seconds[name] or seconds[name][-1] < LONG_SECONDS:
                call()
            seconds[name].append(time_turn(call))
    return seconds


def _time_hot(call: Callable[[], object]) -> float:
    started, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < MIN_TURN_SECONDS or count == 0:
        call()
        count += 1
    return elapsed / count


def _time_cold(call: Callable[[], object]) -> float:
    seconds = []
    for _ in range(COLD_CALLS):
        time.sleep(IDLE_SECONDS)
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
