"""Ablation of the small preset on the validation split.

    python benchmarks/small_choices.py IMDB_FOLDER [--seeds 0 1]

Each variant trains on the same 20,000 reviews and is evaluated as it would be saved, blended and calibrated, on the
5,000 validation reviews that also select its epoch. The test split is not read.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from pathlib import Path
from typing import Any

import machine
from fastlstm.config import preset
from fastlstm.data.splits import DataSplits, load_splits
from fastlstm.training.evaluation import calibrate_model
from fastlstm.training.prepare import prepare

VARIANTS: dict[str, dict[str, Any]] = {
    "the preset": {},
    "without the wide part": {"ngrams": 0},
    "n-grams wherever they stand": {"ngram_kinds": "pairs"},
    "100,000 n-grams": {"ngrams": 100_000},
    "adversarial training": {"adversarial": 0.02},
    "without word dropout": {"word_dropout": 0.0},
    "without any of these": {"ngrams": 0, "word_dropout": 0.0},
    "both directions": {"bidirectional": True},
    "last state alone": {"pooling": "last"},
    "the last 400 tokens": {"truncate": "end"},
    "vocabulary 10,000": {"vocabulary_size": 10_000},
    "dropout 0.2": {"dropout": 0.2},
    "adversarial 0.06, word dropout 0.3, four epochs": {"adversarial": 0.06, "word_dropout": 0.3, "epochs": 4},
    "word dropout 0.3": {"word_dropout": 0.3},
    "two epochs": {"epochs": 2},
    "two pretraining epochs": {"pretraining_epochs": 2},
    "five epochs": {"epochs": 5},
    "256 units": {"hidden_sizes": (256,)},
    "float32": {"precision": "float32"},
    "learning rate 0.0005": {"learning_rate": 5e-4},
    "learning rate 0.002": {"learning_rate": 2e-3},
}


def main() -> None:
    """Train every variant, print a table and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--only",
        nargs="+",
        choices=list(VARIANTS),
        default=list(VARIANTS),
        help="variants to run; the result is then not saved",
    )
    arguments = parser.parse_args()

    runs: list[dict[str, Any]] = []
    for seed in arguments.seeds:
        data = load_splits("imdb", data_dir=arguments.data_dir, seed=seed)
        for name in arguments.only:
            runs.append({"variant": name, "seed": seed, **train(data, seed, VARIANTS[name])})
            run = runs[-1]
            print(
                f"seed {seed}, {name}: {run['accuracy']:.2%}, loss {run['loss']:.4f}, {run['seconds']:.0f} s",
                flush=True,
            )
    for name in arguments.only:
        print(f"{name:32} {statistics.mean(r['accuracy'] for r in runs if r['variant'] == name):.2%}")
    if arguments.only != list(VARIANTS):
        return  # a saved result contains all variants
    packages = ["fastlstm", "torch", "scikit-learn", "numpy", "tokenizers"]
    print(machine.save("small_choices", packages, {"runs": runs}, publish=arguments.publish))


def train(data: DataSplits, seed: int, changes: dict[str, Any]) -> dict[str, Any]:
    """Train one variant and return its metrics on the validation split."""
    started = time.perf_counter()
    small = preset("small")
    fields = {f.name for f in dataclasses.fields(small.model)}
    model = dataclasses.replace(small.model, **{k: v for k, v in changes.items() if k in fields})
    training = dataclasses.replace(
        small.training, seed=seed, **{k: v for k, v in changes.items() if k not in fields}
    )
    prepared = prepare(data.training, data.validation, model, training, cap_vocabulary=False)
    for _ in prepared.epochs():
        pass
    report = calibrate_model(prepared).after
    best = [result for result in prepared.state.history if result.best][-1]
    return {
        "accuracy": report.accuracy,
        "loss": report.loss,
        "lstm_alone": best.validation_accuracy,
        "seconds": time.perf_counter() - started,
    }


if __name__ == "__main__":
    main()
