"""Data-parallel training with Ray Train: two workers of one core each against one, in alternation."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import parquet

ROWS = {"tutorial": 1.0, "language model": 0.25}
"""Kind of training -> fraction of the rows."""
WORKERS = 2
TURNS = 3


def measure(reviews: Path, rows: int, folder: Path, *, engines: Path) -> dict[str, Any]:
    """Return the seconds of both for each kind of training, and the largest relative difference of losses.

    `reviews` is a file with the columns `text` and `label`.
    """
    table = parquet.read_table(reviews, columns=["text", "label"])
    order = np.random.default_rng(0).permutation(len(table))
    result: dict[str, Any] = {"workers": WORKERS, "runs": {}, "speedup": {}, "loss_difference": {}}
    for kind, fraction in ROWS.items():
        texts = folder / f"{kind}.parquet"
        parquet.write_table(table.take(pyarrow.array(order[: int(rows * fraction)])), texts)
        runs = []
        for turn in range(TURNS):
            one, both = (
                _run(engines / "ray" / "bin" / "python", kind, texts, folder / f"{kind}-{turn}-{workers}", workers)
                for workers in (1, WORKERS)
            )
            runs.append({"one": one["seconds"], "both": both["seconds"]})
            difference = max(abs(a / b - 1) for a, b in zip(one["losses"], both["losses"], strict=True))
            print(f"{kind}: {runs[-1]}, losses differ by {difference:.1e}")
        result["runs"][kind] = runs
        result["speedup"][kind] = statistics.median(run["one"] / run["both"] for run in runs)
        result["loss_difference"][kind] = difference
        print(f"{kind}: {result['speedup'][kind]:.2f} x one worker")
    return result


def _run(python: Path, kind: str, texts: Path, out: Path, workers: int) -> dict[str, Any]:
    script = Path(__file__).parent / "engines" / "training_job.py"
    process = subprocess.run(
        [python, script, kind, texts, out, str(workers)],
        capture_output=True,
        text=True,
        env={**os.environ, "FASTLSTM_THREADS": "1"},
        cwd=out.parent,
    )
    if process.returncode:
        sys.exit(process.stdout + process.stderr)
    result: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return result
