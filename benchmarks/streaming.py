"""Time per token and memory of streams, and the tokens that early exit skips.

    python benchmarks/streaming.py IMDB_FOLDER MODEL

MODEL is a saved tutorial model; the bundled model is measured too, in every precision that the processor supports, and
in "auto". Each token is fed as a word and a space; tokenization is timed separately, so that reading a token and its
probabilities are the time beyond tokenization. Early exit of the bundled model is fitted on the
validation reviews of its training and measured on the test split, without labels: its predictions are compared with
those of whole texts.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import fastlstm
import machine
from fastlstm.data.datasets import load_imdb
from fastlstm.data.splits import load_splits
from fastlstm.inference import Classifier
from fastlstm.kernel import find_kernel
from fastlstm.text.token_boundaries import TokenBuffer
from fastlstm.text.tokenizer import TextTokenizer
from fastlstm.training.early_exit import add_early_exit
from precisions import inference_precisions

STREAMS = 10_000
WARM_UP_PIECES, TIMED_PIECES = 200, 2_000


def main() -> None:
    """Measure, print and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--only-costs", action="store_true", help="measure only the time per token; not published")
    arguments = parser.parse_args()
    if arguments.publish and arguments.only_costs:
        parser.error("only a whole result can be published")
    info = find_kernel()
    if info.kernel is None:
        sys.exit(f"no compiled kernel: {info.reason}")

    words = " ".join(load_imdb(arguments.data_dir).train.texts[:60]).split()
    models = {"tutorial": fastlstm.load(arguments.model)}
    for precision in inference_precisions():
        models[f"bundled, {precision}"] = fastlstm.load(precision=precision)
    result: dict[str, Any] = {"microseconds": {}, "streams": STREAMS}
    for name, model in models.items():
        costs = time_tokens(model, words, arguments.repeats)
        result["microseconds"][name] = costs
        beyond = costs["reading"] + costs["probabilities"]
        steps = ", ".join(f"{step} {value:.1f} us" for step, value in costs.items())
        print(f"{name}: {steps}; beyond tokenizing {beyond:.1f} us")
    if not arguments.only_costs:
        measure_the_rest(models["bundled, float32"], words, arguments.data_dir, result)
    packages = ["fastlstm", "numpy", "tokenizers"]
    print(machine.save("streaming", packages, result, publish=arguments.publish))


def measure_the_rest(model: Classifier, words: list[str], data_dir: Path, result: dict[str, Any]) -> None:
    """Measure memory and early exit, and add them to the result."""
    result["megabytes"], result["state_bytes"] = measure_memory(model, words)
    print(f"{STREAMS:,} streams: {result['megabytes']:.0f} MB; a state: {result['state_bytes']:,} bytes")
    result["early_exit"] = measure_early_exit(model, data_dir)
    for row in result["early_exit"]:
        print(
            f"agreement {row['agreement']}: {row['saved']:.1%} of tokens skipped, "
            f"{row['disagreement']:.2%} predictions changed, "
            f"{row['seconds']:.1f} s instead of {row['whole_seconds']:.1f} s"
        )


def time_tokens(model: Classifier, words: list[str], repeats: int) -> dict[str, float]:
    """Return the median microseconds per token of tokenization, reading, and computing the probabilities."""
    pieces = [f"{word} " for word in words]
    config = model.saved.config
    tokenize = TextTokenizer(model.saved.tokenizer, max_tokens=config.max_tokens, truncate=config.truncate)
    costs: dict[str, list[float]] = {"tokenizing": [], "reading": [], "probabilities": []}
    for _ in range(repeats):
        stream, buffer = model.stream(), TokenBuffer(tokenize)
        for piece in pieces[:WARM_UP_PIECES]:
            stream.feed(piece)
        tokens = stream.token_count
        feeding = time_calls(lambda piece, stream=stream: stream.feed(piece), pieces)
        tokens = stream.token_count - tokens
        tokenizing = time_calls(lambda piece, buffer=buffer: tokenize.token_ids(buffer.feed(piece)), pieces)
        computing = time_calls(lambda piece, stream=stream: stream.feed(piece).probabilities, pieces)
        costs["tokenizing"].append(tokenizing / tokens)
        costs["reading"].append((feeding - tokenizing) / tokens)
        costs["probabilities"].append((computing - feeding) / tokens)
    return {step: 1e6 * statistics.median(values) for step, values in costs.items()}


def time_calls(call: Any, pieces: list[str]) -> float:
    """Return the seconds of one call per piece, after the warm-up pieces."""
    started = time.perf_counter()
    for piece in pieces[WARM_UP_PIECES : WARM_UP_PIECES + TIMED_PIECES]:
        call(piece)
    return time.perf_counter() - started


def measure_memory(model: Classifier, words: list[str]) -> tuple[float, int]:
    """Return the megabytes of all open streams, with 50 words read by each, and the bytes of one state."""
    model.stream().feed("warm ")
    gc.collect()
    before = resident_bytes()
    streams = [model.stream() for _ in range(STREAMS)]
    for k, stream in enumerate(streams):
        stream.feed(" ".join(words[k % 1000 : k % 1000 + 50]) + " ")
    return (resident_bytes() - before) / 1e6, len(streams[-1].state)


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure_early_exit(model: Classifier, data_dir: Path) -> list[dict[str, float]]:
    """Return the skipped tokens and changed predictions on the test split, for each target agreement."""
    fitted, note = add_early_exit(model, load_splits("imdb", data_dir=data_dir, validation=0.1).validation.texts)
    print(note.text)
    texts = load_imdb(data_dir).test.texts
    started = time.perf_counter()
    whole = fitted.predict(texts)
    whole_seconds = time.perf_counter() - started
    rows = []
    assert fitted.saved.early_exit is not None
    for threshold in fitted.saved.early_exit.thresholds:
        started = time.perf_counter()
        result = fitted.predict_early(texts, threshold.agreement)
        seconds = time.perf_counter() - started
        labels = [fitted.labels[k] for k in fitted.choose(result.probabilities)]
        rows.append(
            {
                "agreement": threshold.agreement,
                "saved": result.saved_fraction,
                "disagreement": float(np.mean([a != b for a, b in zip(labels, whole, strict=True)])),
                "saved_where_learned": threshold.saved_fraction,
                "disagreement_where_learned": threshold.disagreement,
                "seconds": seconds,
                "whole_seconds": whole_seconds,
            }
        )
    return rows


if __name__ == "__main__":
    main()
