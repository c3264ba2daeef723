"""Inference time of the tutorial model: fastlstm against ONNX Runtime and PyTorch with the same weights.

    python benchmarks/inference.py IMDB_FOLDER MODEL

MODEL is a saved tutorial model. Measured from token ids to probabilities: one text of 200 tokens on one thread, and 64
reviews of IMDb's lengths on all cores. Measured as whole processes: the 25,000 test reviews from raw text to labels,
and one prediction of the command line. The errors of bfloat16 and int8 are measured on the 5,000 validation reviews
that `fastlstm train imdb` holds out, so that no choice is made on the test split.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import machine
from fastlstm import load
from fastlstm._typing import FloatArray, TokenIds
from fastlstm.data import Dataset
from fastlstm.data.datasets import load_imdb
from fastlstm.data.splits import load_splits
from fastlstm.errors import OptionError
from fastlstm.inference import Classifier
from fastlstm.inference.network import Network
from fastlstm.kernel import find_kernel
from fastlstm.kernel.abi import PRECISIONS
from fastlstm.serialization.classifier import SavedModel
from opponents import onnx_tutorial, pytorch_tutorial
from timing import alternate, medians

Score = Callable[[Sequence[TokenIds]], FloatArray]
TEXT_TOKENS, BATCH = 200, 64

BULK = """
import sys, fastlstm
from fastlstm.data.datasets import load_imdb
texts = load_imdb(sys.argv[1]).test.texts
labels = fastlstm.load(sys.argv[2]).predict(texts)
print(len(labels))
"""


def main() -> None:
    """Measure, print a table and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    info = find_kernel()
    if info.kernel is None:
        sys.exit(f"no compiled kernel: {info.reason}")
    cores = info.kernel.threads

    model = load(arguments.model)
    ids = model.tokenize(load_imdb(arguments.data_dir).test.texts).ids
    single = [next(text for text in ids if len(text) >= TEXT_TOKENS)[:TEXT_TOKENS]]
    chosen = np.random.default_rng(0).choice(len(ids), BATCH, replace=False)
    batch = [ids[i] for i in chosen]

    result: dict[str, Any] = {
        "cores": cores,
        "one text": compare(model.saved, single, 1, arguments.repeats),
        f"{BATCH} texts": compare(model.saved, batch, cores, arguments.repeats),
        f"{BATCH} texts on one thread": compare(model.saved, batch, 1, arguments.repeats),
    }
    for name in list(result)[1:]:
        print_comparison(name, result[name])
    result["precisions"] = measure_precisions(
        model.saved, load_splits("imdb", data_dir=arguments.data_dir).validation
    )
    processes = {
        "25,000 raw reviews to labels": ["-c", BULK, str(arguments.data_dir), str(arguments.model)],
        "fastlstm predict --model DIR TEXT": [
            *("-m", "fastlstm", "predict", "--model", str(arguments.model), "This movie was fantastic!"),
        ],
    }
    result["processes"] = {}
    for name, command in processes.items():
        seconds = [time_process(command) for _ in range(arguments.repeats)]
        result["processes"][name] = {"seconds": seconds, "median": statistics.median(seconds)}
        print(f"{name}, whole process: {statistics.median(seconds):.3f} s (median of {len(seconds)})")
    packages = ["fastlstm", "torch", "onnxruntime", "numpy", "tokenizers"]
    print(machine.save("inference", packages, result, publish=arguments.publish))


def compare(model: SavedModel, texts: Sequence[TokenIds], threads: int, repeats: int) -> dict[str, Any]:
    """Return each runtime's seconds per call, and how much their probabilities differ from fastlstm's."""
    kernel = find_kernel().kernel
    assert kernel is not None
    threads_before, kernel.threads = kernel.threads, threads
    opponents: dict[str, Score] = {
        "ONNX Runtime": onnx_tutorial.Opponent(model.weights, threads).score,
        "PyTorch": pytorch_tutorial.Opponent(model.weights, threads).score,
    }
    low_precisions = [name for name in PRECISIONS[1:] if kernel.supports(name)]
    runtimes: dict[str, Score] = {
        "fastlstm": fastlstm_score(model, texts, "float32"),
        **{f"fastlstm {name}": fastlstm_score(model, texts, name) for name in low_precisions},
        **opponents,
    }
    probabilities = {name: score(texts) for name, score in runtimes.items()}
    differ = {name: float(abs(p - probabilities["fastlstm"]).max()) for name, p in probabilities.items()}
    if max(differ[name] for name in opponents) > 1e-4:
        raise SystemExit(f"the runtimes compute different probabilities: {differ}")
    seconds = alternate({name: partial(score, texts) for name, score in runtimes.items()}, repeats)
    kernel.threads = threads_before
    times = medians(seconds)
    fastest_opponent = min(times[name] for name in opponents)
    return {
        "tokens": [len(text) for text in texts],
        "threads": threads,
        "seconds": seconds,
        "medians": times,
        "differences": differ,
        "share_of_the_faster_opponent": times["fastlstm"] / fastest_opponent,
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
    for precision in PRECISIONS:
        try:
            probabilities = Classifier(model, precision).predict_proba(dataset.texts)
        except OptionError as error:
            print(f"{precision}: {error}")
            continue
        result[precision] = {
            "accuracy": float((probabilities.argmax(1) == truth).mean()),
            "other_labels": float((probabilities.argmax(1) != reference.argmax(1)).mean()),
            "largest_difference": float(abs(probabilities - reference).max()),
            "mean_difference": float(abs(probabilities - reference).mean()),
        }
        print(f"{precision} on {len(dataset):,} validation reviews: {result[precision]}")
    return result


def print_comparison(name: str, comparison: dict[str, Any]) -> None:
    times = ", ".join(f"{runtime} {seconds * 1e3:.3f} ms" for runtime, seconds in comparison["medians"].items())
    print(
        f"{name}, {comparison['threads']} threads: {times}; "
        f"{comparison['share_of_the_faster_opponent']:.2f} x the time of the fastest opponent"
    )


def time_process(arguments: Sequence[str]) -> float:
    """Return the seconds of a whole Python process."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=output)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
