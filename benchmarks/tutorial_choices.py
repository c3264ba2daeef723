"""Ablation of the tutorial preset's training on the validation split.

    python benchmarks/tutorial_choices.py IMDB_FOLDER

Each variant trains on the same 20,000 reviews for five epochs. Its accuracy is that of the best epoch on the 5,000
validation reviews. The test split is not read.
"""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path
from typing import Any

import machine
from fastlstm.config import TrainingConfig, preset
from fastlstm.data.splits import DataSplits, load_splits
from fastlstm.training.events import EpochResult
from fastlstm.training.prepare import prepare

VARIANTS: dict[str, dict[str, Any]] = {
    "usual: no clipping, constant rate": {"clip_norm": 0.0, "schedule": "constant"},
    "clipping, constant rate": {"schedule": "constant"},
    "the preset: clipping, falling rate": {},
}


def main() -> None:
    """Train every variant, print a table and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    arguments = parser.parse_args()

    accuracies: dict[str, list[float]] = {name: [] for name in VARIANTS}
    runs = []
    for seed in arguments.seeds:
        data = load_splits("imdb", data_dir=arguments.data_dir, seed=seed)
        for name, changes in VARIANTS.items():
            history = train(data, dataclasses.replace(preset("tutorial").training, seed=seed, **changes))
            accuracies[name].append(max(result.validation_accuracy for result in history))
            runs.append({"variant": name, "seed": seed, "history": [vars(result) for result in history]})
            print(f"seed {seed}, {name}: {accuracies[name][-1]:.2%}", flush=True)
    for name, values in accuracies.items():
        print(f"{name:36} {statistics.mean(values):.2%}")
    packages = ["fastlstm", "torch", "numpy", "tokenizers"]
    result = {"validation_accuracy": accuracies, "runs": runs}
    print(machine.save("tutorial_choices", packages, result, publish=arguments.publish))


def train(data: DataSplits, config: TrainingConfig) -> list[EpochResult]:
    """Train one model and return its epochs."""
    prepared = prepare(data.training, data.validation, preset("tutorial").model, config, cap_vocabulary=False)
    return [event for event in prepared.epochs() if isinstance(event, EpochResult)]


if __name__ == "__main__":
    main()
