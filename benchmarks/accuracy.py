"""The tutorial preset on IMDb's official test split, through the command a user types, for several seeds.

    python benchmarks/accuracy.py IMDB_FOLDER

Every seed is scored once, the epoch having been chosen on validation; seconds and peak memory are those of
the whole command, baseline and all.
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


def main() -> None:
    """Trains, prints a line a seed and the mean, and keeps the raw result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()

    runs = [run(arguments.data_dir, seed) for seed in arguments.seeds]
    accuracies = [r["accuracy"] for r in runs]
    spread = statistics.stdev(accuracies) if len(runs) > 1 else 0.0
    print(f"mean {statistics.mean(accuracies):.2%}, standard deviation {spread:.2%}, {len(runs)} seeds")
    packages = ["fastlstm", "torch", "scikit-learn", "numpy", "tokenizers"]
    result = {"mean_accuracy": statistics.mean(accuracies), "runs": runs}
    print(machine.save("accuracy", machine.describe(packages), result))


def run(data_dir: Path, seed: int) -> dict[str, Any]:
    """One `fastlstm train imdb`: its figures, seconds and peak memory in MB."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as out:
        command = [sys.executable, "-m", "fastlstm", "train", "imdb", "--data-dir", str(data_dir)]
        command += ["--out", f"{folder}/model", "--seed", str(seed), "--json"]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(process.returncode)
        out.seek(0)
        answer = json.load(out)
    megabytes = usage.ru_maxrss / 1000
    print(f"seed {seed}: accuracy {answer['accuracy']:.2%}, {seconds:.0f} s, {megabytes:,.0f} MB", flush=True)
    return {
        "seed": seed,
        "accuracy": answer["accuracy"],
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
