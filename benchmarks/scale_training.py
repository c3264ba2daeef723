"""Data-parallel training with Ray Train: two workers of one core each against one, in alternation."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import parquet

from scale_engines import run_job

ROWS = {"tutorial": 1.0, "language model": 0.25}
"""Kind of training -> fraction of the rows."""
WORKERS = 2
TURNS = 5


def measure(reviews: Path, rows: int, folder: Path, *, engines: Path) -> dict[str, Any]:
    """Return the seconds of both for each kind of training, and the relative difference of losses of the first epoch.

    Later losses differ more, as those of two runs of one process do whose weights differ by a rounding error.

    `reviews` is a file with the columns `text` and `label`.
    """
    table = parquet.read_table(reviews, columns=["text", "label"])
    order = np.random.default_rng(0).permutation(len(table))
    python = engines / "ray" / "bin" / "python"
    result: dict[str, Any] = {"workers": WORKERS, "runs": {}, "speedup": {}, "loss_difference": {}}
    for kind, fraction in ROWS.items():
        texts = folder / f"{kind}.parquet"
        parquet.write_table(table.take(pyarrow.array(order[: int(rows * fraction)])), texts)
        runs, differences = [], []
        for turn in range(TURNS):
            jobs = {}
            for workers in (1, WORKERS) if turn % 2 == 0 else (WORKERS, 1):
                out = folder / f"{kind}-{turn}-{workers}"
                jobs[workers] = run_job(python, "training", kind, texts, out, workers, FASTLSTM_THREADS="1")
            one, both = jobs[1], jobs[WORKERS]
            runs.append({"one": one["seconds"], "both": both["seconds"]})
            differences.append(abs(one["losses"][0] / both["losses"][0] - 1))
            print(f"{kind}: {runs[-1]}, losses differ by {max(differences):.1e}")
        result["runs"][kind] = runs
        result["speedup"][kind] = statistics.median(run["one"] / run["both"] for run in runs)
        result["loss_difference"][kind] = max(differences)
        print(f"{kind}: {result['speedup'][kind]:.2f} x one worker")
    return result
