"""Size, start-up time and speed of the bundled English sentiment model, also against ONNX Runtime.

    python benchmarks/bundled.py IMDB_FOLDER [--texts 5000]

Speed is that of raw texts to probabilities on all cores, over random reviews of the test split (without its labels),
and over 15 words of each of 20,000 of them: the length of a sentence.
ONNX Runtime runs the exported model in float32 and dynamically quantized to int8, with the same tokenizer, texts sorted
by length, and the batch size that was its fastest in a trial. The error of the low precisions is the fraction of these
texts whose label differs from float32.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import fastlstm
import machine
from build import build
from fastlstm._typing import FloatArray
from fastlstm.convert.onnx import to_onnx
from fastlstm.data.datasets import load_imdb
from fastlstm.pretrained import bundled_names, find_model
from opponents import onnx_classifier, onnx_session
from precisions import inference_precisions
from timing import alternate, medians

SENTENCE = "This movie was fantastic! I really enjoyed it."
BATCH_SIZES = (8, 32, 64, 256)
TRIAL_TEXTS = 256
SENTENCES, SENTENCE_WORDS = 20_000, 15
MAX_DIFFERENCE = 1e-4
"""Largest difference between the probabilities of runtimes in float32."""
ScoreTexts = Callable[[Sequence[str]], FloatArray]


def main() -> None:
    """Measure, print and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--texts", type=int, default=5000)
    arguments = parser.parse_args()

    reviews = load_imdb(arguments.data_dir).test.texts
    chosen = [reviews[k] for k in np.random.default_rng(0).permutation(len(reviews))]
    sentences = [" ".join(review.split()[:SENTENCE_WORDS]) for review in chosen[:SENTENCES]]
    own: dict[str, ScoreTexts] = {
        name: fastlstm.load(precision=name).predict_proba for name in inference_precisions()
    }
    opponents = onnx_opponents()
    measured = {
        "reviews": compare(own, opponents, chosen[: arguments.texts], arguments.repeats),
        "sentences": compare(own, opponents, sentences, arguments.repeats),
    }
    result: dict[str, Any] = {
        "build": build(),
        **{f"{kind}_per_second": measured[kind]["per_second"] for kind in measured},
        "runs": measured,
        "megabytes": model_sizes(),
        "first_answer_seconds": statistics.median(time_command() for _ in range(arguments.repeats)),
    }
    for kind, run in measured.items():
        for name, speed in run["per_second"].items():
            differing = run["other_labels"][name]
            print(f"{name}: {speed:,.0f} {kind}/s, labels that differ from float32: {differing:.2%}")
    for name, size in result["megabytes"].items():
        print(f"{name}: {size:.1f} MB")
    print(f"fastlstm predict TEXT: {result['first_answer_seconds']:.2f} s")
    packages = ["fastlstm", "onnxruntime", "numpy", "tokenizers"]
    print(machine.save("bundled", packages, result, publish=arguments.publish))


def compare(
    own: Mapping[str, ScoreTexts],
    opponents: Mapping[str, onnx_classifier.Opponent],
    texts: Sequence[str],
    repeats: int,
) -> dict[str, Any]:
    """Return the speed of all runtimes on these texts, and the fraction of labels that differ from float32.

    Raises:
        SystemExit: ONNX Runtime computes other probabilities in float32.
    """
    batch_sizes = {name: fastest_batch_size(model, texts[:TRIAL_TEXTS]) for name, model in opponents.items()}
    runtimes: dict[str, ScoreTexts] = dict(own)
    for name, model in opponents.items():
        runtimes[name] = partial(model.predict_proba, batch_size=batch_sizes[name])
    probabilities = {name: score(texts) for name, score in runtimes.items()}
    exact = probabilities["float32"]
    difference = float(abs(probabilities["ONNX Runtime"] - exact).max())
    if difference > MAX_DIFFERENCE:
        raise SystemExit(f"ONNX Runtime computes different probabilities: they differ by {difference}")
    seconds = alternate({name: partial(score, texts) for name, score in runtimes.items()}, repeats)
    return {
        "texts": len(texts),
        "seconds": seconds,
        "per_second": {name: len(texts) / value for name, value in medians(seconds).items()},
        "other_labels": {name: float((p.argmax(1) != exact.argmax(1)).mean()) for name, p in probabilities.items()},
        "batch_sizes": batch_sizes,
    }


def onnx_opponents() -> dict[str, onnx_classifier.Opponent]:
    """Return the bundled model in ONNX Runtime, in float32 and int8, on all cores."""
    model, threads = fastlstm.load(), len(os.sched_getaffinity(0))
    exported = to_onnx(model.saved).SerializeToString()
    return {
        "ONNX Runtime": onnx_classifier.Opponent(model, exported, threads),
        "ONNX Runtime int8": onnx_classifier.Opponent(model, onnx_session.quantized(exported), threads),
    }


def fastest_batch_size(opponent: onnx_classifier.Opponent, texts: Sequence[str]) -> int:
    """Return the batch size with which these texts take the least time."""
    calls = {str(size): partial(opponent.predict_proba, texts, size) for size in BATCH_SIZES}
    seconds = medians(alternate(calls, 3))
    return int(min(seconds, key=seconds.__getitem__))


def model_sizes() -> dict[str, float]:
    """Return the size of each bundled model in MB."""
    return {name: sum(file.stat().st_size for file in find_model(name).iterdir()) / 1e6 for name in bundled_names()}


def time_command() -> float:
    """Return the seconds of a whole `fastlstm predict` command for one sentence."""
    command = [sys.executable, "-m", "fastlstm", "predict", SENTENCE]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=os.environ)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
