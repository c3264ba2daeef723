"""Timing of several calls in alternation, so that a drifting machine affects all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

PAUSE_SECONDS = 0.03
"""Pause before each turn: idle PyTorch threads spin for a while on the cores that the next call needs."""
MIN_TURN_SECONDS = 0.02
"""A turn repeats its call at least this long."""


def alternate(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Return the seconds per call of each name, one value per turn.

    A turn is a pause, a warm-up call, and timed calls. The order of the names is reversed in every second repeat.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats):
        order = list(calls.items())
        for name, call in order if repeat % 2 == 0 else reversed(order):
            time.sleep(PAUSE_SECONDS)
            call()
            started, count = time.perf_counter(), 0
            while (elapsed := time.perf_counter() - started) < MIN_TURN_SECONDS or count == 0:
                call()
                count += 1
            seconds[name].append(elapsed / count)
    return seconds


def medians(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    """Return the median of each name's turns."""
    return {name: statistics.median(values) for name, values in seconds.items()}
