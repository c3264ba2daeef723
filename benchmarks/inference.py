"""The tutorial model answering: fastlstm against ONNX Runtime and PyTorch, with the same weights, in one run.

    python benchmarks/inference.py IMDB_FOLDER MODEL

MODEL is a saved tutorial model. From token ids to probabilities: one text of 200 tokens on one thread, and 64
reviews of IMDb's lengths on all cores; the 25,000 test reviews from raw text to labels, and one prediction from the
command line, each as a whole process. What bfloat16 and int8 change is told on the 5,000 validation reviews that
`fastlstm train imdb` holds out, so that no choice is made on the test split.
"""

from __future__ import annotations

import argparse
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
import numpy.typing as npt

import machine
from fastlstm import load
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

Ids = npt.NDArray[np.int32]
Score = Callable[[Sequence[Ids]], npt.NDArray[np.float32]]
TEXT_TOKENS, BATCH = 200, 64

BULK = """
import sys, fastlstm
from fastlstm.data.datasets import load_imdb
texts = load_imdb(sys.argv[1]).test.texts
labels = fastlstm.load(sys.argv[2]).predict(texts)
print(len(labels))
"""


def main() -> None:
    """Measures, prints a table and keeps the raw result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    found = find_kernel()
    if found.kernel is None:
        sys.exit(f"there is no kernel: {found.why_not}")
    cores = found.kernel.threads

    model = load(arguments.model)
    ids = model.encode(load_imdb(arguments.data_dir).test.texts).ids
    one = [next(text for text in ids if len(text) >= TEXT_TOKENS)[:TEXT_TOKENS]]
    chosen = np.random.default_rng(0).choice(len(ids), BATCH, replace=False)
    many = [ids[i] for i in chosen]

    result: dict[str, Any] = {
        "cores": cores,
        "one text": side_by_side(model.model, one, 1, arguments.repeats),
        f"{BATCH} texts": side_by_side(model.model, many, cores, arguments.repeats),
        f"{BATCH} texts on one thread": side_by_side(model.model, many, 1, arguments.repeats),
    }
    for name in list(result)[1:]:
        print_contest(name, result[name])
    result["precisions"] = rounding(model.model, load_splits("imdb", data_dir=arguments.data_dir).validation)
    processes = {
        "25,000 raw reviews to labels": ["-c", BULK, str(arguments.data_dir), str(arguments.model)],
        "fastlstm predict --model DIR TEXT": [
            *("-m", "fastlstm", "predict", "--model", str(arguments.model), "This movie was fantastic!"),
        ],
    }
    result["processes"] = {}
    for name, command in processes.items():
        seconds = [process(command) for _ in range(arguments.repeats)]
        result["processes"][name] = {"seconds": seconds, "median": statistics.median(seconds)}
        print(f"{name}, whole process: {statistics.median(seconds):.3f} s (median of {len(seconds)})")
    packages = ["fastlstm", "torch", "onnxruntime", "numpy", "tokenizers"]
    print(machine.save("inference", machine.describe(packages), result))


def side_by_side(model: SavedModel, texts: Sequence[Ids], threads: int, repeats: int) -> dict[str, Any]:
    """Seconds a call of every contestant, and by how much their answers differ."""
    kernel = find_kernel().kernel
    assert kernel is not None
    before, kernel.threads = kernel.threads, threads
    opponents: dict[str, Score] = {
        "ONNX Runtime": onnx_tutorial.Opponent(model.weights, threads).score,
        "PyTorch": pytorch_tutorial.Opponent(model.weights, threads).score,
    }
    narrow = [name for name in PRECISIONS[1:] if kernel.has(name)]
    contestants: dict[str, Score] = {
        "fastlstm": own(model, texts, "float32"),
        **{f"fastlstm {name}": own(model, texts, name) for name in narrow},
        **opponents,
    }
    answers = {name: score(texts) for name, score in contestants.items()}
    differ = {name: float(abs(answer - answers["fastlstm"]).max()) for name, answer in answers.items()}
    if max(differ[name] for name in opponents) > 1e-4:
        raise SystemExit(f"the contestants do not compute the same: {differ}")
    seconds = alternate({name: partial(score, texts) for name, score in contestants.items()}, repeats)
    kernel.threads = before
    times = medians(seconds)
    faster = min(times[name] for name in opponents)
    return {
        "tokens": [len(text) for text in texts],
        "threads": threads,
        "seconds": seconds,
        "medians": times,
        "differences": differ,
        "share_of_the_faster_opponent": times["fastlstm"] / faster,
    }


def own(model: SavedModel, texts: Sequence[Ids], precision: str) -> Score:
    """fastlstm's score, warm: every word's projection is in its table, as in a process that has served a while."""
    network = Network(model.config, len(model.labels), model.weights, 1.0, precision)
    for _ in range(200):
        network.probabilities(texts)
    return lambda batch: network.probabilities(batch)[:, 1:]


def rounding(model: SavedModel, held_out: Dataset) -> dict[str, Any]:
    """What every precision makes of held-out texts: accuracy, and how far it is from float32."""
    truth, result = held_out.label_indices(model.labels), dict[str, Any]()
    exact = Classifier(model).predict_proba(held_out.texts)
    for precision in PRECISIONS:
        try:
            came = Classifier(model, precision).predict_proba(held_out.texts)
        except OptionError as error:
            print(f"{precision}: {error}")
            continue
        result[precision] = {
            "accuracy": float((came.argmax(1) == truth).mean()),
            "other_labels": float((came.argmax(1) != exact.argmax(1)).mean()),
            "largest_difference": float(abs(came - exact).max()),
            "mean_difference": float(abs(came - exact).mean()),
        }
        print(f"{precision} on {len(held_out):,} validation reviews: {result[precision]}")
    return result


def print_contest(name: str, contest: dict[str, Any]) -> None:
    times = ", ".join(f"{who} {seconds * 1e3:.3f} ms" for who, seconds in contest["medians"].items())
    print(
        f"{name}, {contest['threads']} threads: {times}; "
        f"{contest['share_of_the_faster_opponent']:.2f} x the faster opponent"
    )


def process(arguments: Sequence[str]) -> float:
    """Seconds of a whole Python process."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=output)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
