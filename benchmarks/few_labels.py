"""What an encoder is worth where labels are few: IMDb's test split after training on 100, 500 and 2,000 reviews.

    python benchmarks/few_labels.py IMDB_FOLDER [ENCODER] [--draws 0 1 2 3 4]

For each number and each draw of reviews: a classifier that begins from the encoder, the small preset from scratch,
and NB-weighted logistic regression, on the same reviews. The two LSTMs hold 20% of them out to choose by; the
regression has no choice to make and learns from all. Every scoring of an LSTM is logged; none is made twice.
They read the test split in bfloat16 where the processor has it, since each would take minutes in float32.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import fastlstm
import machine
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
    """Trains and scores all, prints the means and keeps the raw result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("encoder", nargs="?", default=ENGLISH_ENCODER)
    parser.add_argument("--draws", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    arguments = parser.parse_args()

    imdb = load_imdb(arguments.data_dir)
    runs = kept()
    encoder = find_model(arguments.encoder)
    known = json.loads((encoder / CONFIG).read_bytes())["sha256"][WEIGHTS]
    for size in arguments.sizes:
        for draw in arguments.draws:
            _, few = split_dataset(imdb.train, size / len(imdb.train), draw)
            for what, options in (
                ("regression", {}),
                ("encoder", {"preset": "accurate", "encoder": encoder}),
                ("small", {"preset": "small"}),
            ):
                run = {"size": size, "draw": draw, "what": what} | ({"weights": known} if what == "encoder" else {})
                if any(run.items() <= of.items() for of in runs):
                    continue
                if what == "regression":
                    figures: dict[str, Any] = {
                        "accuracy": baseline_report(few, imdb.test, tuple(few.class_names)).accuracy
                    }
                else:
                    figures = trained(few, draw, what, options, arguments.data_dir)
                runs.append({**run, "commit": machine.commit(), **figures})
                keep(runs)
                print(f"{size} labels, draw {draw}, {what}: {figures['accuracy']:.2%}", flush=True)
    runs = [run for run in runs if run.get("weights", known) == known]
    for size in sorted({run["size"] for run in runs}):
        for what in ("regression", "encoder", "small"):
            values = [of["accuracy"] for of in runs if (of["size"], of["what"]) == (size, what)]
            if values:
                print(f"{size} labels, {what}: {statistics.mean(values):.2%}, {len(values)} draws")


def kept() -> list[dict[str, Any]]:
    """The runs that were scored before; delete the file to begin anew."""
    path = machine.RESULTS / f"{NAME}.json"
    runs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.exists() else []
    return runs


def keep(runs: list[dict[str, Any]]) -> None:
    """The raw result so far."""
    packages = ["fastlstm", "torch", "scikit-learn", "numpy", "tokenizers"]
    machine.save(NAME, machine.describe(packages), {"runs": runs})


def trained(few: Dataset, draw: int, what: str, options: dict[str, Any], data_dir: Path) -> dict[str, Any]:
    """One model's accuracy on the test split, and the seconds that it took to train."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        fastlstm.train(few, Path(folder, "model"), seed=draw, baseline=False, **options)
        seconds = time.perf_counter() - started
        kernel = find_kernel().kernel
        precision = "bfloat16" if kernel is not None and kernel.has("bfloat16") else "float32"
        scored = score(Path(folder, "model"), data_dir, f"{what}, {len(few)} labels, draw {draw}", precision)
    return {"accuracy": scored["accuracy"], "seconds": seconds}


if __name__ == "__main__":
    main()
