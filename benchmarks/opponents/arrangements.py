"""Arrangements of a batch of texts, from which each opponent gets its fastest.

Padding costs an opponent as much as tokens do, so it may sort the texts by length and compute them in several batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fastlstm._typing import FloatArray, TokenIds

Score = Callable[[Sequence[TokenIds]], FloatArray]
BATCH_COUNTS = (1, 4, 8)
TRIALS = 5


def in_batches(score: Score, count: int) -> Score:
    """Return a function that sorts texts by length and scores them in `count` batches of equal size."""

    def run(texts: Sequence[TokenIds]) -> FloatArray:
        order = np.argsort([len(text) for text in texts], kind="stable")
        parts = [score([texts[k] for k in rows]) for rows in np.array_split(order, count)]
        scores = np.concatenate(parts)
        result = np.empty_like(scores)
        result[order] = scores
        return result

    return run


def batched(name: str, score: Score, texts: Sequence[TokenIds]) -> dict[str, Score]:
    """Return the scoring functions of all numbers of batches that make sense for `texts`."""
    arrangements = {name: score}
    if len({len(text) for text in texts}) > 1:
        for count in BATCH_COUNTS[1:]:
            arrangements[f"{name}, {count} batches"] = in_batches(score, count)
    return arrangements


def fastest(arrangements: Mapping[str, Score], texts: Sequence[TokenIds]) -> tuple[str, dict[str, float]]:
    """Return the name of the fastest arrangement, and the seconds of each: the least of several calls."""
    seconds = {}
    for name, score in arrangements.items():
        score(texts)
        times = []
        for _ in range(TRIALS if len(arrangements) > 1 else 1):
            started = time.perf_counter()
            score(texts)
            times.append(time.perf_counter() - started)
        seconds[name] = min(times)
    return min(seconds, key=seconds.__getitem__), seconds
