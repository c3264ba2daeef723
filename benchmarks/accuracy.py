"""A preset on IMDb's official test split, through the command a user types, for several seeds; the tutorial with
the kernel, and with PyTorch's nn.LSTM and NumPy in its place.

    python benchmarks/accuracy.py IMDB_FOLDER [--preset small] [--seeds 0 1 2 3 4] [--validation 0.1]

Every run is scored once, all choices having been made on validation; seconds and peak memory are those of the whole
command, baseline and all.
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

WAYS: dict[str, str | None] = {"kernel": None, "nn.LSTM": "reference"}
"""What trains and scores, and the FASTLSTM_ISA that asks for it."""


def main() -> None:
    """Trains, prints a line a seed and the mean, and keeps the raw result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--preset", choices=PRESETS, default="tutorial")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--validation", default="0.2", help="as train takes it")
    arguments = parser.parse_args()

    tutorial = arguments.preset == "tutorial"
    options = ["--preset", arguments.preset, "--validation", arguments.validation]
    ways = WAYS if tutorial else {"kernel": None}
    result = {name: several(arguments.data_dir, options, arguments.seeds, name, isa) for name, isa in ways.items()}
    packages = ["fastlstm", "torch", "scikit-learn", "numpy", "tokenizers"]
    name = "accuracy" if tutorial else f"accuracy-{arguments.preset}"
    print(machine.save(name, machine.describe(packages), result))


def several(data_dir: Path, options: list[str], seeds: list[int], name: str, isa: str | None) -> dict[str, Any]:
    """The runs of all seeds, and their mean."""
    runs = [run(data_dir, options, seed, name, isa) for seed in seeds]
    accuracies = [r["accuracy"] for r in runs]
    spread = statistics.stdev(accuracies) if len(runs) > 1 else 0.0
    mean = statistics.mean(accuracies)
    print(f"{name}: mean {mean:.2%}, standard deviation {spread:.2%}, {len(runs)} seeds")
    return {"options": options, "mean_accuracy": mean, "standard_deviation": spread, "runs": runs}


def run(data_dir: Path, options: list[str], seed: int, name: str, isa: str | None) -> dict[str, Any]:
    """One `fastlstm train imdb`: its figures, seconds and peak memory in MB."""
    environment = os.environ | ({} if isa is None else {"FASTLSTM_ISA": isa})
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as out:
        command = [sys.executable, "-m", "fastlstm", "train", "imdb", "--data-dir", str(data_dir)]
        command += ["--out", f"{folder}/model", *options, "--seed", str(seed), "--json"]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(process.returncode)
        out.seek(0)
        answer = json.load(out)
        scored = score(Path(folder, "model"), data_dir, f"{' '.join(options)}, {name}, seed {seed}")
    megabytes = usage.ru_maxrss / 1000
    print(
        f"{name}, seed {seed}: accuracy {answer['accuracy']:.2%}, {seconds:.0f} s, {megabytes:,.0f} MB", flush=True
    )
    return {
        "seed": seed,
        "accuracy": answer["accuracy"],
        "accuracy_without_repeated": scored["accuracy_without_repeated"],
        "loss": answer["loss"],
        "calibration_error": answer["calibration_error"],
        "baseline_accuracy": answer["baseline"]["accuracy"],
        "measured_on": answer["measured_on"],
        "seconds": seconds,
        "peak_megabytes": megabytes,
        "history": answer["history"],
    }


if __name__ == "__main__":
    main()
