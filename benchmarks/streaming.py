"""What a stream costs a token, how small it is, and what early exit saves.

    python benchmarks/streaming.py IMDB_FOLDER MODEL

MODEL is a saved tutorial model; the bundled one is measured too, in every precision that the processor has. A token
is fed as a word and a space; tokenising is timed by itself. Early exit, of the bundled model, is learned on the
reviews that its training chose by, and measured on the test split, whose labels are not read: what counts is which
answers are those of whole texts.
"""

from __future__ import annotations

import argparse
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
from fastlstm.kernel.abi import PRECISIONS
from fastlstm.text.token_boundaries import TokenBuffer
from fastlstm.text.tokenizer import TextTokenizer
from fastlstm.training.early_exit import add_early_exit

STREAMS = 10_000
WARM, TIMED = 200, 2_000


def main() -> None:
    """Measures, prints and keeps the raw result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    found = find_kernel()
    if found.kernel is None:
        sys.exit(f"there is no kernel: {found.why_not}")

    words = " ".join(load_imdb(arguments.data_dir).train.texts[:60]).split()
    models = {"tutorial": fastlstm.load(arguments.model)}
    for precision in PRECISIONS:
        if found.kernel.has(precision):
            models[f"bundled, {precision}"] = fastlstm.load(precision=precision)
    result: dict[str, Any] = {"microseconds": {}, "streams": STREAMS}
    for name, model in models.items():
        costs = token(model, words, arguments.repeats)
        result["microseconds"][name] = costs
        print(f"{name}: " + ", ".join(f"{what} {value:.1f} us" for what, value in costs.items()))
    result["megabytes"], result["state_bytes"] = opened(models["bundled, float32"], words)
    print(f"{STREAMS:,} streams: {result['megabytes']:.0f} MB; a state: {result['state_bytes']:,} bytes")
    result["early_exit"] = early(models["bundled, float32"], arguments.data_dir)
    for of in result["early_exit"]:
        print(
            f"agreement {of['agreement']}: {of['saved']:.1%} of tokens saved, "
            f"{of['disagreement']:.2%} other answers, {of['seconds']:.1f} s instead of {of['whole_seconds']:.1f}"
        )
    print(machine.save("streaming", machine.describe(["fastlstm", "numpy", "tokenizers"]), result))


def token(model: Classifier, words: list[str], repeats: int) -> dict[str, float]:
    """Microseconds a token, medians: tokenising it, reading it, and asking for the probabilities after it."""
    pieces = [f"{word} " for word in words]
    of = model.model
    encode = TextTokenizer(of.tokenizer, max_tokens=of.config.max_tokens, truncate=of.config.truncate)
    costs: dict[str, list[float]] = {"tokenising": [], "reading": [], "probabilities": []}
    for _ in range(repeats):
        stream, cut = model.stream(), TokenBuffer()
        for piece in pieces[:WARM]:
            stream.feed(piece)
        tokens = stream.tokens
        feeding = seconds(lambda piece, stream=stream: stream.feed(piece), pieces)
        tokens = stream.tokens - tokens
        tokenising = seconds(lambda piece, cut=cut: encode.tokens(cut.feed(piece)), pieces)
        asking = seconds(lambda piece, stream=stream: stream.feed(piece).probabilities, pieces)
        costs["tokenising"].append(tokenising / tokens)
        costs["reading"].append((feeding - tokenising) / tokens)
        costs["probabilities"].append((asking - feeding) / tokens)
    return {what: 1e6 * statistics.median(values) for what, values in costs.items()}


def seconds(call: Any, pieces: list[str]) -> float:
    """Of calls with pieces, one after another."""
    started = time.perf_counter()
    for piece in pieces[WARM : WARM + TIMED]:
        call(piece)
    return time.perf_counter() - started


def opened(model: Classifier, words: list[str]) -> tuple[float, int]:
    """Megabytes that open streams take, each with 50 words read; and the bytes of one's state."""
    model.stream().feed("warm ")
    gc.collect()
    before = resident()
    streams = [model.stream() for _ in range(STREAMS)]
    for k, stream in enumerate(streams):
        stream.feed(" ".join(words[k % 1000 : k % 1000 + 50]) + " ")
    return (resident() - before) / 1e6, len(streams[-1].state)


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def early(model: Classifier, data_dir: Path) -> list[dict[str, float]]:
    """What each bar saves on the test split, and how many answers are others."""
    learned, note = add_early_exit(model, load_splits("imdb", data_dir=data_dir, validation=0.1).validation.texts)
    print(note.text)
    texts = load_imdb(data_dir).test.texts
    started = time.perf_counter()
    whole = learned.predict(texts)
    whole_seconds = time.perf_counter() - started
    rows = []
    assert learned.model.early_exit is not None
    for bar in learned.model.early_exit.bars:
        started = time.perf_counter()
        came = learned.read_early(texts, bar.agreement)
        taken = time.perf_counter() - started
        answers = [learned.labels[k] for k in learned.choose(came.probabilities)]
        rows.append(
            {
                "agreement": bar.agreement,
                "saved": came.saved,
                "disagreement": float(np.mean([a != b for a, b in zip(answers, whole, strict=True)])),
                "saved_where_learned": bar.saved,
                "disagreement_where_learned": bar.disagreement,
                "seconds": taken,
                "whole_seconds": whole_seconds,
            }
        )
    return rows


if __name__ == "__main__":
    main()
