"""Time of a training epoch of the tutorial model: fastlstm, length-bucketed PyTorch and the Keras tutorial's script.

    python benchmarks/training.py IMDB_FOLDER --keras-python PYTHON_WITH_TENSORFLOW

All train in alternation on the same token ids; the result is the median of several epochs each. fastlstm trains in
each precision that the processor supports, PyTorch in float32 and with bfloat16 autocast.
"""

from __future__ import annotations

import dataclasses
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import machine
from fastlstm.config import preset
from fastlstm.data.splits import load_splits
from fastlstm.text.batches import lengths_of
from fastlstm.training.events import EpochResult
from fastlstm.training.prepare import PreparedRun, prepare
from opponents.bucketed_pytorch import Opponent
from precisions import runtime_name, training_precisions


def main() -> None:
    """Measure, print a table and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--keras-python", help="a Python with TensorFlow; without it Keras is skipped")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--keras-repeats", type=int, default=5)
    parser.add_argument("--texts", type=int, help="train on fewer texts; not published")
    arguments = parser.parse_args()
    if arguments.publish and arguments.texts is not None:
        parser.error("only a result of all texts can be published")

    runs = {
        runtime_name(precision): tutorial(
            arguments.data_dir, epochs=arguments.repeats, precision=precision, texts=arguments.texts
        )
        for precision in training_precisions()
    }
    prepared = runs["fastlstm"]
    texts, vocabulary = prepared.training, prepared.model_config.vocabulary_size
    implementations: dict[str, tuple[Callable[[], float], int]] = {
        name: (fastlstm_epochs(run), arguments.repeats) for name, run in runs.items()
    }
    for name, bfloat16 in (("bucketed PyTorch", False), ("bucketed PyTorch bfloat16", True)):
        opponent = Opponent(list(texts.texts), texts.classes, vocabulary, bfloat16=bfloat16)
        implementations[name] = (opponent.epoch, arguments.repeats)
    versions = {}
    if arguments.keras_python:
        keras, versions["keras"] = keras_epochs(prepared, arguments.keras_python)
        implementations["Keras tutorial"] = (keras, arguments.keras_repeats)

    seconds: dict[str, list[float]] = {name: [] for name in implementations}
    for repeat in range(arguments.repeats):
        order = list(implementations.items())
        for name, (epoch, repeats) in order if repeat % 2 == 0 else reversed(order):
            if repeat < repeats:
                seconds[name].append(epoch())
                print(f"{name}: {seconds[name][-1]:.1f} s", file=sys.stderr, flush=True)

    medians = {name: statistics.median(values) for name, values in seconds.items()}
    tokens = int(lengths_of(texts.texts).sum())
    print(f"one epoch, {len(texts.texts):,} texts, {tokens:,} tokens, median of {arguments.repeats}")
    for name, value in medians.items():
        print(f"{name:26} {value:6.1f} s   {value / medians['fastlstm']:.2f} x fastlstm's time")
    result = {"texts": len(texts.texts), "tokens": tokens, "seconds": seconds, "medians": medians, **versions}
    print(machine.save("training", ["fastlstm", "torch", "numpy", "tokenizers"], result, publish=arguments.publish))


def tutorial(data_dir: Path, epochs: int, precision: str = "float32", texts: int | None = None) -> PreparedRun:
    """Prepare the tutorial preset on 20,000 reviews, with one validation text, since validation is not timed.

    With `texts`, it is prepared on that many reviews.
    """
    data = load_splits("imdb", data_dir=data_dir)
    training = (
        data.training
        if texts is None
        else data.training.take(np.random.default_rng(0).choice(len(data.training), texts, replace=False))
    )
    chosen = preset("tutorial")
    changes: dict[str, Any] = {"epochs": epochs, "patience": epochs, "precision": precision}
    training_config = dataclasses.replace(chosen.training, **changes)
    return prepare(training, data.validation.take([0]), chosen.model, training_config, cap_vocabulary=False)


def fastlstm_epochs(prepared: PreparedRun) -> Callable[[], float]:
    """Return a function that trains one epoch, including batching, and returns its seconds."""
    events = prepared.epochs()

    def epoch() -> float:
        started = time.perf_counter()
        next(event for event in events if isinstance(event, EpochResult))
        return time.perf_counter() - started

    return epoch


def keras_epochs(prepared: PreparedRun, python: str) -> tuple[Callable[[], float], str]:
    """Start a Keras process. Return a function that trains one epoch and returns its seconds, and the version."""
    folder = tempfile.mkdtemp()
    ids = np.zeros((len(prepared.training.texts), 500), np.int32)
    for row, text in zip(ids, prepared.training.texts, strict=True):
        row[len(row) - len(text) :] = text
    np.savez(Path(folder) / "data.npz", ids=ids, truth=prepared.training.classes.astype(np.float32))
    script = Path(__file__).parent / "opponents" / "keras_tutorial.py"
    process = subprocess.Popen(
        [python, str(script), f"{folder}/data.npz", str(prepared.model_config.vocabulary_size)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    requests, replies = process.stdin, process.stdout
    version = replies.readline().removeprefix("ready ").strip()

    def epoch() -> float:
        requests.write("go\n")
        requests.flush()
        return float(replies.readline())

    return epoch, version


if __name__ == "__main__":
    main()
