"""Size, start-up time and speed of the bundled English sentiment model.

    python benchmarks/bundled.py IMDB_FOLDER

Speed is that of raw reviews to probabilities, over the whole test split (without its labels) on all cores. The error of
the low precisions is the fraction of texts whose label differs from float32.
"""

from __future__ import annotations

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
    """Measure, print and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()

    texts = load_imdb(arguments.data_dir).test.texts
    kernel = find_kernel().kernel
    precisions = [
        name for name in PRECISIONS if name == "float32" or (kernel is not None and kernel.supports(name))
    ]
    models = {name: fastlstm.load(precision=name) for name in precisions}
    labels = {name: model.predict(texts) for name, model in models.items()}
    differing = {
        name: sum(a != b for a, b in zip(predicted, labels["float32"], strict=True)) / len(texts)
        for name, predicted in labels.items()
    }
    calls = {name: lambda model=model: model.predict_proba(texts) for name, model in models.items()}
    seconds = medians(alternate(calls, arguments.repeats))
    speeds = {name: len(texts) / value for name, value in seconds.items()}
    megabytes = {
        name: sum(file.stat().st_size for file in find_model(name).iterdir()) / 1e6 for name in bundled_names()
    }
    start_up = statistics.median(time_command() for _ in range(arguments.repeats))
    for name in precisions:
        print(f"{name}: {speeds[name]:,.0f} reviews/s, labels that differ from float32: {differing[name]:.2%}")
    for name, size in megabytes.items():
        print(f"{name}: {size:.1f} MB")
    print(f"fastlstm predict TEXT: {start_up:.2f} s")
    result = {
        "build": build(),
        "texts": len(texts),
        "reviews_per_second": speeds,
        "other_labels": differing,
        "megabytes": megabytes,
        "first_answer_seconds": start_up,
    }
    print(machine.save("bundled", ["fastlstm", "numpy", "tokenizers"], result, publish=arguments.publish))


def time_command() -> float:
    """Return the seconds of a whole `fastlstm predict` command for one sentence."""
    command = [sys.executable, "-m", "fastlstm", "predict", SENTENCE]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=os.environ)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
