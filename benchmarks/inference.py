"""Inference time of the tutorial model: fastlstm against ONNX Runtime, OpenVINO and PyTorch with the same weights.

    python benchmarks/inference.py IMDB_FOLDER MODEL [--parts "one text" "64 texts"]

MODEL is a saved tutorial model. Measured from token ids to probabilities: one text of 200 tokens, also after 10 ms of
idle time before each call; 64 reviews of IMDb's lengths; and 64 texts of 200 tokens. Every runtime is measured in each
precision that it has; for texts of different lengths, each opponent uses the arrangement that was its fastest in a
trial. Measured as whole processes: the 25,000 test reviews from raw text to labels, and one prediction of the command
line. The errors of bfloat16 and int8 are measured on the 5,000 validation reviews that `fastlstm train imdb` holds
out, so that no choice is made on the test split.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import machine
from fastlstm import load
from fastlstm._typing import TokenIds
from fastlstm.data import Dataset
from fastlstm.data.datasets import load_imdb
from fastlstm.data.splits import load_splits
from fastlstm.inference import Classifier
from fastlstm.inference.network import Network
from fastlstm.kernel import find_kernel
from fastlstm.serialization.classifier import SavedModel
from opponents.arrangements import Score, fastest
from opponents.tutorial_runtimes import EXACT, PACKAGES, opponents
from precisions import inference_precisions, runtime_name
from timing import alternate, alternate_cold, medians

TEXT_TOKENS, BATCH = 200, 64
MAX_DIFFERENCE = 1e-4
"""Largest difference between the probabilities of runtimes in float32."""


class Situation(NamedTuple):
    """Texts and circumstances of a comparison."""

    texts: str
    all_cores: bool
    cold: bool = False


SITUATIONS = {
    "one text": Situation("one", all_cores=False),
    "one text, cold": Situation("one", all_cores=False, cold=True),
    "one text on all cores, cold": Situation("one", all_cores=True, cold=True),
    "64 texts": Situation("reviews", all_cores=True),
    "64 texts on one thread": Situation("reviews", all_cores=False),
    "64 texts of 200 tokens": Situation("equal", all_cores=True),
}
PARTS = (*SITUATIONS, "precisions", "processes")

BULK = """
import sys, fastlstm
from fastlstm.data.datasets import load_imdb
texts = load_imdb(sys.argv[1]).test.texts
labels = fastlstm.load(sys.argv[2], precision=sys.argv[3]).predict(texts)
print(len(labels))
"""


def main() -> None:
    """Measure, print the times and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    arguments = parser.parse_args()
    if arguments.publish and set(arguments.parts) != set(PARTS):
        parser.error("only a result of all parts can be published")
    info = find_kernel()
    if info.kernel is None:
        sys.exit(f"no compiled kernel: {info.reason}")

    model = load(arguments.model)
    texts = choose_texts(model.tokenize(load_imdb(arguments.data_dir).test.texts).ids)
    result: dict[str, Any] = {"cores": info.kernel.threads}
    for name, situation in SITUATIONS.items():
        if name in arguments.parts:
            threads = result["cores"] if situation.all_cores else 1
            result[name] = compare(model.saved, texts[situation.texts], threads, arguments.repeats, situation.cold)
            print_comparison(name, result[name])
    if "precisions" in arguments.parts:
        validation = load_splits("imdb", data_dir=arguments.data_dir).validation
        result["precisions"] = measure_precisions(model.saved, validation)
    if "processes" in arguments.parts:
        result["processes"] = measure_processes(arguments)
    packages = ["fastlstm", *PACKAGES, "numpy", "tokenizers"]
    print(machine.save("inference", packages, result, publish=arguments.publish))


def choose_texts(ids: Sequence[TokenIds]) -> dict[str, list[TokenIds]]:
    """Return one text of 200 tokens, 64 texts of any length and 64 texts of 200 tokens."""
    long_enough = [text[:TEXT_TOKENS] for text in ids if len(text) >= TEXT_TOKENS]
    chosen = np.random.default_rng(0).choice(len(ids), BATCH, replace=False)
    return {"one": long_enough[:1], "reviews": [ids[k] for k in chosen], "equal": long_enough[:BATCH]}


def compare(model: SavedModel, texts: Sequence[TokenIds], threads: int, repeats: int, cold: bool) -> dict[str, Any]:
    """Return each runtime's seconds per call, and how much their probabilities differ from fastlstm's."""
    kernel = find_kernel().kernel
    assert kernel is not None
    threads_before, kernel.threads = kernel.threads, threads
    runtimes = {
        runtime_name(precision): fastlstm_score(model, texts, precision) for precision in inference_precisions()
    }
    own, arrangements, trials = set(runtimes), {}, {}
    for name, scores in opponents(model.weights, threads, texts).items():
        arrangements[name], trials[name] = fastest(scores, texts)
        runtimes[name] = scores[arrangements[name]]
    probabilities = {name: score(texts) for name, score in runtimes.items()}
    differ = {name: float(abs(p - probabilities["fastlstm"]).max()) for name, p in probabilities.items()}
    if max(differ[name] for name in EXACT) > MAX_DIFFERENCE:
        raise SystemExit(f"the runtimes compute different probabilities: {differ}")
    calls = {name: partial(score, texts) for name, score in runtimes.items()}
    seconds = (alternate_cold if cold else alternate)(calls, repeats)
    kernel.threads = threads_before
    times = medians(seconds)
    return {
        "tokens": [len(text) for text in texts],
        "threads": threads,
        "seconds": seconds,
        "medians": times,
        "differences": differ,
        "arrangements": arrangements,
        "trials": trials,
        "fastest_opponent": min((name for name in times if name not in own), key=times.__getitem__),
    }


def fastlstm_score(model: SavedModel, texts: Sequence[TokenIds], precision: str) -> Score:
    """Return fastlstm's scoring function, after enough calls to cache the input projection of every word."""
    network = Network(model.config, len(model.labels), model.weights, 1.0, precision)
    for _ in range(200):
        network.probabilities(texts)
    return lambda batch: network.probabilities(batch)[:, 1:]


def measure_precisions(model: SavedModel, dataset: Dataset) -> dict[str, Any]:
    """Return each precision's accuracy and its differences from float32 on held-out texts."""
    truth, result = dataset.label_indices(model.labels), dict[str, Any]()
    reference = Classifier(model).predict_proba(dataset.texts)
    for precision in inference_precisions():
        probabilities = Classifier(model, precision).predict_proba(dataset.texts)
        result[precision] = {
            "accuracy": float((probabilities.argmax(1) == truth).mean()),
            "other_labels": float((probabilities.argmax(1) != reference.argmax(1)).mean()),
            "largest_difference": float(abs(probabilities - reference).max()),
            "mean_difference": float(abs(probabilities - reference).mean()),
        }
        print(f"{precision} on {len(dataset):,} validation reviews: {result[precision]}")
    return result


def measure_processes(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the seconds of whole processes."""
    bulk = ["-c", BULK, str(arguments.data_dir), str(arguments.model)]
    processes = {
        "25,000 raw reviews to labels": [*bulk, "float32"],
        "25,000 raw reviews to labels, auto": [*bulk, "auto"],
        "fastlstm predict --model DIR TEXT": [
            *("-m", "fastlstm", "predict", "--model", str(arguments.model), "This movie was fantastic!"),
        ],
    }
    result = {}
    for name, command in processes.items():
        seconds = [time_process(command) for _ in range(arguments.repeats)]
        result[name] = {"seconds": seconds, "median": statistics.median(seconds)}
        print(f"{name}, whole process: {statistics.median(seconds):.3f} s (median of {len(seconds)})")
    return result


def print_comparison(name: str, comparison: dict[str, Any]) -> None:
    times, opponent = comparison["medians"], comparison["fastest_opponent"]
    print(f"{name}, {comparison['threads']} threads; the fastest opponent is {opponent}")
    for runtime, seconds in times.items():
        arrangement = comparison["arrangements"].get(runtime, "")
        print(
            f"  {runtime:20} {seconds * 1e3:9.3f} ms  {seconds / times[opponent]:5.2f} x  {arrangement}", flush=True
        )


def time_process(arguments: Sequence[str]) -> float:
    """Return the seconds of a whole Python process."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=output)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
