"""An epoch of the tutorial model: fastlstm against length-bucketed PyTorch and the Keras tutorial's script.

All in one run, alternating, the median of several epochs each, on the same token ids:

    python benchmarks/training.py IMDB_FOLDER --keras-python PYTHON_WITH_TENSORFLOW
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import machine
from fastlstm.config import preset
from fastlstm.data.splits import load_splits
from fastlstm.text.batches import lengths_of
from fastlstm.training.events import EpochResult
from fastlstm.training.prepare import PreparedRun, prepare
from opponents.bucketed_pytorch import Opponent


def main() -> None:
    """Measures, prints a table and keeps the raw result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--keras-python", help="a Python with TensorFlow; without it Keras is left out")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--keras-repeats", type=int, default=5)
    arguments = parser.parse_args()

    fitting = tutorial(arguments.data_dir, epochs=arguments.repeats)
    texts = fitting.training
    own = own_epochs(fitting)
    bucketed = Opponent(list(texts.texts), texts.truth, fitting.model_config.vocabulary_size)
    contestants: dict[str, tuple[Callable[[], float], int]] = {
        "fastlstm": (own, arguments.repeats),
        "bucketed PyTorch": (bucketed.epoch, arguments.repeats),
    }
    versions = {}
    if arguments.keras_python:
        keras, versions["keras"] = keras_epochs(fitting, arguments.keras_python)
        contestants["Keras tutorial"] = (keras, arguments.keras_repeats)

    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for repeat in range(arguments.repeats):
        order = list(contestants.items())
        for name, (epoch, repeats) in order if repeat % 2 == 0 else reversed(order):
            if repeat < repeats:
                seconds[name].append(epoch())
                print(f"{name}: {seconds[name][-1]:.1f} s", file=sys.stderr, flush=True)

    medians = {name: statistics.median(values) for name, values in seconds.items()}
    tokens = int(lengths_of(texts.texts).sum())
    print(f"one epoch, {len(texts.texts):,} texts, {tokens:,} tokens, median of {arguments.repeats}")
    for name, value in medians.items():
        print(f"{name:18} {value:6.1f} s   {value / medians['fastlstm']:.2f} x fastlstm's time")
    result = {"texts": len(texts.texts), "tokens": tokens, "seconds": seconds, "medians": medians, **versions}
    print(machine.save("training", machine.describe(["fastlstm", "torch", "numpy", "tokenizers"]), result))


def tutorial(data_dir: Path, epochs: int) -> PreparedRun:
    """The tutorial preset on 20,000 reviews, ready to train; validation cut to one text, since it is not timed."""
    data = load_splits("imdb", data_dir=data_dir)
    chosen = preset("tutorial")
    training_config = dataclasses.replace(chosen.training, epochs=epochs, patience=epochs)
    return prepare(data.training, data.validation.take([0]), chosen.model, training_config, cap_vocabulary=False)


def own_epochs(fitting: PreparedRun) -> Callable[[], float]:
    """Each call trains one epoch, batches and all, and returns its seconds."""
    events = fitting.epochs()

    def epoch() -> float:
        started = time.perf_counter()
        next(event for event in events if isinstance(event, EpochResult))
        return time.perf_counter() - started

    return epoch


def keras_epochs(fitting: PreparedRun, python: str) -> tuple[Callable[[], float], str]:
    """Each call trains one epoch in a Keras process that stays up; and Keras' version."""
    folder = tempfile.mkdtemp()
    ids = np.zeros((len(fitting.training.texts), 500), np.int32)
    for row, text in zip(ids, fitting.training.texts, strict=True):
        row[len(row) - len(text) :] = text
    np.savez(Path(folder) / "data.npz", ids=ids, truth=fitting.training.truth.astype(np.float32))
    script = Path(__file__).parent / "opponents" / "keras_tutorial.py"
    process = subprocess.Popen(
        [python, str(script), f"{folder}/data.npz", str(fitting.model_config.vocabulary_size)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    asked, answered = process.stdin, process.stdout
    version = answered.readline().removeprefix("ready ").strip()

    def epoch() -> float:
        asked.write("go\n")
        asked.flush()
        return float(answered.readline())

    return epoch, version


if __name__ == "__main__":
    main()
