"""Spark, Ray and Flink with one worker per core, against `score` with as many processes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from scale_data import score

ENGINES = ("spark", "ray", "flink")
TURNS = 3
WORKERS_OF_A_CLUSTER = {"_python_worker_execution_mode": "process"}
"""Without it, the local cluster of PyFlink runs its workers as threads of one process."""


def measure(source: Path, rows: int, folder: Path, *, engines: Path) -> dict[str, Any]:
    """Return rows per second of each engine and of `score`, and the engine's share.

    The time of an engine is that of the job, with the start of its Python workers, but not that of its own start. The
    time of `score` is what it reports, also with the start of its workers.
    """
    cores = len(os.sched_getaffinity(0))
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in ENGINES}
    for turn in range(TURNS):
        for name in ENGINES:
            own = score(source, folder / f"own-{name}-{turn}", "--processes", str(cores))["seconds"]
            python = engines / name / "bin" / "python"
            job = run_job(python, name, source, folder / f"{name}-{turn}", cores)
            assert job["rows"] == rows, (name, job)
            runs[name].append({"score": rows / own, "engine": rows / job["seconds"]})
            print(f"{name}: {runs[name][-1]}")
    shares = {name: statistics.median(r["engine"] / r["score"] for r in values) for name, values in runs.items()}
    for name, share in shares.items():
        print(f"{name}: {share:.1%} of score")
    return {"workers": cores, "runs": runs, "share_of_score": shares}


def run_job(python: Path, name: str, *arguments: object, **environment: str) -> dict[str, Any]:
    """Run engines/NAME_job.py with the Python of an engine, and return the JSON object that it prints last."""
    script = Path(__file__).parent / "engines" / f"{name}_job.py"
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.run(
            [python, script, *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, **WORKERS_OF_A_CLUSTER, "PYSPARK_PYTHON": str(python), **environment},
            cwd=folder,
        )
    if process.returncode:
        sys.exit(process.stdout + process.stderr)
    result: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return result
