"""Size of the state of a stream, and the time to save and restore it, by the number of tokens read."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

from pyarrow import dataset

import fastlstm

TOKENS = (10, 100, 1_000, 5_000)
TEXTS = 10
"""Texts, each of reviews that are joined."""
REVIEWS_PER_TEXT = 60
REPEATS = 20


def measure(source: Path, rows: int, folder: Path) -> dict[str, Any]:
    """Return bytes and microseconds, by the number of tokens."""
    del rows, folder
    model = fastlstm.load()
    reviews = dataset.dataset(source).head(TEXTS * REVIEWS_PER_TEXT, columns=["text"]).column("text").to_pylist()
    sizes: dict[str, list[int]] = {str(count): [] for count in TOKENS}
    saving: dict[str, list[float]] = {str(count): [] for count in TOKENS}
    restoring: dict[str, list[float]] = {str(count): [] for count in TOKENS}
    for number in range(TEXTS):
        words = iter(" ".join(reviews[number::TEXTS]).split())
        stream = model.stream()
        for tokens in TOKENS:
            while stream.token_count < tokens:
                stream.feed(f"{next(words)} ")
            count = str(tokens)
            _record(model, stream.state, sizes[count], saving[count], restoring[count])
    result = {
        count: {
            "bytes_mean": statistics.mean(values),
            "bytes_maximum": max(values),
            "saving_microseconds": 1e6 * statistics.median(saving[count]),
            "restoring_microseconds": 1e6 * statistics.median(restoring[count]),
        }
        for count, values in sizes.items()
    }
    for count, values in result.items():
        print(f"{int(count):,} tokens: " + ", ".join(f"{name} {value:,.0f}" for name, value in values.items()))
    return {"texts": TEXTS, "states": result}


def _record(
    model: fastlstm.Classifier, state: bytes, sizes: list[int], saving: list[float], restoring: list[float]
) -> None:
    sizes.append(len(state))
    for _ in range(REPEATS):
        started = time.perf_counter()
        stream = model.stream(state)
        restored = time.perf_counter()
        assert stream.state == state
        saving.append(time.perf_counter() - restored)
        restoring.append(restored - started)
