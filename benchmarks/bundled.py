"""The bundled English sentiment model: its size, its start and its speed, raw reviews to probabilities.

    python benchmarks/bundled.py IMDB_FOLDER

Speed: all of the test split's texts, whose labels are not read, on all cores. What narrower precisions cost is told
as the share of texts that get another label than in float32.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import fastlstm
import machine
from build import build
from fastlstm.data.datasets import load_imdb
from fastlstm.kernel import find_kernel
from fastlstm.kernel.abi import PRECISIONS
from fastlstm.pretrained import bundled_names, find_model
from timing import alternate, medians

SENTENCE = "This movie was fantastic! I really enjoyed it."


def main() -> None:
    """Measures, prints and keeps the raw result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()

    texts = load_imdb(arguments.data_dir).test.texts
    kernel = find_kernel().kernel
    precisions = [name for name in PRECISIONS if name == "float32" or (kernel is not None and kernel.has(name))]
    loaded = {name: fastlstm.load(precision=name) for name in precisions}
    labels = {name: model.predict(texts) for name, model in loaded.items()}
    differing = {
        name: sum(a != b for a, b in zip(of, labels["float32"], strict=True)) / len(texts)
        for name, of in labels.items()
    }
    ways = {name: lambda model=model: model.predict_proba(texts) for name, model in loaded.items()}
    seconds = medians(alternate(ways, arguments.repeats))
    speeds = {name: len(texts) / taken for name, taken in seconds.items()}
    megabytes = {
        name: sum(file.stat().st_size for file in (find_model(name)).iterdir()) / 1e6 for name in bundled_names()
    }
    first = statistics.median(start() for _ in range(arguments.repeats))
    for name in precisions:
        print(f"{name}: {speeds[name]:,.0f} reviews/s, another label than float32: {differing[name]:.2%}")
    for name, size in megabytes.items():
        print(f"{name}: {size:.1f} MB")
    print(f"fastlstm predict TEXT: {first:.2f} s")
    result = {
        "build": build(),
        "texts": len(texts),
        "reviews_per_second": speeds,
        "other_labels": differing,
        "megabytes": megabytes,
        "first_answer_seconds": first,
    }
    print(machine.save("bundled", machine.describe(["fastlstm", "numpy", "tokenizers"]), result))


def start() -> float:
    """Seconds of the whole command that predicts one sentence."""
    command = [sys.executable, "-m", "fastlstm", "predict", SENTENCE]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=os.environ)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
