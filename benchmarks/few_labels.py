"""Test accuracy on IMDb after training on 100, 500 and 2,000 labelled reviews, with and without an encoder.

    python benchmarks/few_labels.py IMDB_FOLDER [ENCODER] [--draws 0 1 2 3 4]

Each number and random sample of reviews trains three models: a classifier fine-tuned from the encoder, the small preset
from scratch, and NB-weighted logistic regression. Below 1,000 reviews, the LSTMs are cross-validated and train on all
of them, otherwise they hold out 20%; the regression has no hyperparameter to choose and trains on all of them. Each
scoring of an LSTM is logged, and no model is scored twice. The LSTMs are scored in bfloat16 if the processor supports
it, since float32 would take minutes per model.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fastlstm
import machine
from fastlstm.config import configure
from fastlstm.data import Dataset, split_dataset
from fastlstm.data.datasets import load_imdb
from fastlstm.kernel import find_kernel
from fastlstm.pretrained import ENGLISH_ENCODER, find_model
from fastlstm.serialization.folder import CONFIG, WEIGHTS
from fastlstm.training.linear import baseline_report
from scoring import score

NAME = "few_labels"
SIZES = 100, 500, 2000


def main() -> None:
    """Train and score all models, print the means and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("encoder", nargs="?", default=ENGLISH_ENCODER)
    parser.add_argument("--draws", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    arguments = parser.parse_args()

    imdb = load_imdb(arguments.data_dir)
    runs = load_runs(publish=arguments.publish)
    encoder = find_model(arguments.encoder)
    encoder_weights = json.loads((encoder / CONFIG).read_bytes())["sha256"][WEIGHTS]
    for size in arguments.sizes:
        for draw in arguments.draws:
            _, sample = split_dataset(imdb.train, size / len(imdb.train), draw)
            for model, options in (
                ("regression", {}),
                ("encoder", {"preset": "accurate", "encoder": encoder}),
                ("small", {"preset": "small"}),
            ):
                cell = {"size": size, "draw": draw, "what": model}
                run = {**cell, "settings": settings_of(options)}
                if model == "encoder":
                    run["weights"] = encoder_weights
                if any(run.items() <= earlier.items() for earlier in runs):
                    continue
                runs = [earlier for earlier in runs if not cell.items() <= earlier.items()]
                if model == "regression":
                    report = baseline_report(sample, imdb.test, tuple(sample.class_names))
                    metrics: dict[str, Any] = {"accuracy": report.accuracy}
                else:
                    metrics = train_and_score(sample, draw, model, options, arguments)
                runs.append({**run, "commit": machine.commit(), **metrics})
                save_runs(runs, publish=arguments.publish)
                print(f"{size} labels, draw {draw}, {model}: {metrics['accuracy']:.2%}", flush=True)
    runs = [run for run in runs if run.get("weights", encoder_weights) == encoder_weights]
    for size in sorted({run["size"] for run in runs}):
        for model in ("regression", "encoder", "small"):
            values = [run["accuracy"] for run in runs if (run["size"], run["what"]) == (size, model)]
            if values:
                print(f"{size} labels, {model}: {statistics.mean(values):.2%}, {len(values)} draws")
    print(machine.result_path(NAME, publish=arguments.publish))


def settings_of(options: Mapping[str, Any]) -> str:
    """Return a hash of the configuration of a model: runs of former presets are measured again."""
    model, training = configure(options["preset"], {}) if "preset" in options else (None, None)
    return hashlib.sha256(f"{model} {training}".encode()).hexdigest()[:12]


def load_runs(*, publish: bool) -> list[dict[str, Any]]:
    """Return the runs of earlier calls. Delete the result file to start over."""
    path = machine.result_path(NAME, publish=publish)
    runs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.exists() else []
    return runs


def save_runs(runs: list[dict[str, Any]], *, publish: bool) -> None:
    """Save the raw result so far."""
    packages = ["fastlstm", "torch", "scikit-learn", "numpy", "tokenizers"]
    machine.save(NAME, packages, {"runs": runs}, publish=publish)


def train_and_score(
    sample: Dataset, draw: int, model: str, options: dict[str, Any], arguments: argparse.Namespace
) -> dict[str, Any]:
    """Train one model. Return its test accuracy and the seconds of training."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        fastlstm.train(sample, Path(folder, "model"), seed=draw, baseline=False, **options)
        seconds = time.perf_counter() - started
        kernel = find_kernel().kernel
        precision = "bfloat16" if kernel is not None and kernel.supports("bfloat16") else "float32"
        name = f"{model}, {len(sample)} labels, draw {draw}"
        scoring = score(
            Path(folder, "model"), arguments.data_dir, name, precision=precision, publish=arguments.publish
        )
    return {"accuracy": scoring["accuracy"], "seconds": seconds}


if __name__ == "__main__":
    main()
