"""Time of the parts of a prediction: tokens, n-grams, LSTM, output; hot, after 10 ms of idle time, and at first.

    python benchmarks/prediction_parts.py IMDB_FOLDER MODEL

MODEL is a saved tutorial model; the bundled model is measured too. The first call after loading also clears new memory
and starts the threads; a later one projects the whole vocabulary once. Idle time leaves caches and threads cold.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fastlstm
import machine
from epoch_parts import time_method
from fastlstm.data.datasets import load_imdb
from fastlstm.inference import Classifier
from fastlstm.inference.features import KernelFeatures
from fastlstm.inference.ngrams import NGramModel
from fastlstm.text.tokenizer import TextTokenizer
from timing import IDLE_SECONDS

PARTS: dict[str, type] = {"tokens": TextTokenizer, "n-grams": NGramModel, "LSTM": KernelFeatures}
"""Name of a part -> the class whose call is that part; the rest is the output layer and Python."""
REVIEWS = 1_000
Parts = dict[str, float]


def main() -> None:
    """Measure, print tables and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--repeats", type=int, default=51)
    arguments = parser.parse_args()
    reviews = load_imdb(arguments.data_dir).test.texts[:: 25_000 // REVIEWS]
    text = sorted(reviews, key=len)[len(reviews) // 2]

    seconds: Parts = dict.fromkeys(PARTS, 0.0)
    for name, part in PARTS.items():
        part.__call__ = time_method(part.__call__, name, seconds)  # type: ignore[method-assign]
    result: dict[str, Any] = {"characters": len(text), "reviews": REVIEWS, "milliseconds": {}}
    for model_name, folder in {"tutorial": arguments.model, "bundled": None}.items():
        for precision in ("float32", "auto"):
            measured = measure(folder, precision, text, reviews, arguments.repeats, seconds)
            result["milliseconds"][f"{model_name}, {precision}"] = measured
            print(f"{model_name}, {precision}")
            for name, parts in measured.items():
                print(f"  {name:24}" + ", ".join(f"{part} {value:.3f} ms" for part, value in parts.items()))
    print(machine.save("prediction_parts", ["fastlstm", "numpy"], result, publish=arguments.publish))


def measure(
    folder: Path | None, precision: str, text: str, reviews: Sequence[str], repeats: int, seconds: Parts
) -> dict[str, Parts]:
    """Return the milliseconds of each part of a first, a hot and a cold call, and of a call with many reviews."""
    model = fastlstm.load(folder, precision=precision)
    first = time_parts(lambda: model.predict_proba(text), seconds)
    warm_up(model, reviews)
    calls: dict[str, list[Parts]] = {"one text, hot": [], "one text, cold": []}
    for _ in range(repeats):
        time.sleep(IDLE_SECONDS)
        calls["one text, cold"].append(time_parts(lambda: model.predict_proba(text), seconds))
        calls["one text, hot"].append(time_parts(lambda: model.predict_proba(text), seconds))
    bulk = [time_parts(lambda: model.predict_proba(reviews), seconds) for _ in range(3)]
    return {
        "first call": first,
        **{name: medians(parts) for name, parts in calls.items()},
        f"{REVIEWS:,} reviews": medians(bulk),
    }


def warm_up(model: Classifier, reviews: Sequence[str]) -> None:
    """Predict so often that the projections of all words are cached."""
    for _ in range(2):
        model.predict_proba(reviews)


def time_parts(call: Callable[[], object], seconds: Parts) -> Parts:
    """Return the milliseconds of each part of one call, of the rest, and of all."""
    seconds.update(dict.fromkeys(PARTS, 0.0))
    started = time.perf_counter()
    call()
    total = time.perf_counter() - started
    parts = {**seconds, "rest": total - sum(seconds.values()), "all": total}
    return {name: 1e3 * value for name, value in parts.items()}


def medians(calls: Sequence[Parts]) -> Parts:
    """Return the median of each part."""
    return {name: statistics.median(parts[name] for parts in calls) for name in calls[0]}


if __name__ == "__main__":
    main()
