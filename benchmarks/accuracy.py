"""Test accuracy of a preset on IMDb's official test split, for several seeds, trained by the command line.

    python benchmarks/accuracy.py IMDB_FOLDER [--preset small] [--seeds 0 1 2 3 4] [--validation 0.1]

The tutorial preset is also trained with PyTorch's nn.LSTM and scored with NumPy, without the kernel. Each run is scored
once; all choices are made on the validation split. Seconds and peak memory are those of the whole command, including
the baseline.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import machine
from fastlstm.config import PRESETS
from scoring import score

BACKENDS: dict[str, str | None] = {"kernel": None, "nn.LSTM": "reference"}
"""What trains and scores the model, and the value of FASTLSTM_ISA that selects it."""


def main() -> None:
    """Train and score all seeds, print a line per seed and the mean, and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--preset", choices=PRESETS, default="tutorial")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--validation", default="0.2", help="as in fastlstm train")
    arguments = parser.parse_args()

    tutorial = arguments.preset == "tutorial"
    options = ["--preset", arguments.preset, "--validation", arguments.validation]
    backends = BACKENDS if tutorial else {"kernel": None}
    result = {name: run_seeds(arguments, options, name, isa) for name, isa in backends.items()}
    packages = ["fastlstm", "torch", "scikit-learn", "numpy", "tokenizers"]
    name = "accuracy" if tutorial else f"accuracy-{arguments.preset}"
    print(machine.save(name, packages, result, publish=arguments.publish))


def run_seeds(arguments: argparse.Namespace, options: list[str], name: str, isa: str | None) -> dict[str, Any]:
    """Train and score every seed. Return the runs and their mean accuracy."""
    runs = [run(arguments, options, seed, name, isa) for seed in arguments.seeds]
    accuracies = [r["accuracy"] for r in runs]
    deviation = statistics.stdev(accuracies) if len(runs) > 1 else 0.0
    mean = statistics.mean(accuracies)
    print(f"{name}: mean {mean:.2%}, standard deviation {deviation:.2%}, {len(runs)} seeds")
    return {"options": options, "mean_accuracy": mean, "standard_deviation": deviation, "runs": runs}


def run(arguments: argparse.Namespace, options: list[str], seed: int, name: str, isa: str | None) -> dict[str, Any]:
    """Run `fastlstm train imdb` once. Return its metrics, seconds and peak memory in MB."""
    environment = os.environ | ({} if isa is None else {"FASTLSTM_ISA": isa})
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as out:
        command = [sys.executable, "-m", "fastlstm", "train", "imdb", "--data-dir", str(arguments.data_dir)]
        command += ["--out", f"{folder}/model", *options, "--seed", str(seed), "--json"]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(process.returncode)
        out.seek(0)
        report = json.load(out)
        label = f"{' '.join(options)}, {name}, seed {seed}"
        scoring = score(Path(folder, "model"), arguments.data_dir, label, publish=arguments.publish)
    megabytes = usage.ru_maxrss / 1000
    print(
        f"{name}, seed {seed}: accuracy {report['accuracy']:.2%}, {seconds:.0f} s, {megabytes:,.0f} MB", flush=True
    )
    return {
        "seed": seed,
        "accuracy": report["accuracy"],
        "accuracy_without_repeated": scoring["accuracy_without_repeated"],
        "loss": report["loss"],
        "calibration_error": report["calibration_error"],
        "baseline_accuracy": report["baseline"]["accuracy"],
        "evaluated_on": report["evaluated_on"],
        "seconds": seconds,
        "peak_megabytes": megabytes,
        "history": report["history"],
    }


if __name__ == "__main__":
    main()
