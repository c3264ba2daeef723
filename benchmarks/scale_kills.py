"""kill -9 at random moments of `score`, then `--resume`: is every row there once, with the right prediction?"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from pyarrow import dataset

from scale_data import score
from scale_postgresql import running_server

KILLS = 20
ROWS_PER_COMMIT = 250
Rows = list[tuple[int, str | None, float | None]]


def measure(source: Path, rows: int, folder: Path) -> dict[str, Any]:
    """Return, for each kind of sink, how many of the resumed runs have every row once."""
    generator = random.Random(0)
    reference = score(source, folder / "reference", "--rows-per-commit", str(ROWS_PER_COMMIT))
    expected = _read_folder(folder / "reference")
    assert [row[0] for row in expected] == list(range(rows))
    summary: dict[str, Any] = {
        "kills": KILLS,
        "rows_per_commit": ROWS_PER_COMMIT,
        "correct": {},
        "moments": {},
        "outcomes": {},
    }

    def trials(name: str, sink: Callable[[int], str], read: Callable[[int], Rows], options: list[str]) -> None:
        correct, moments, outcomes = 0, [], Counter[str]()
        for trial in range(KILLS):
            moments.append(_kill(source, sink(trial), options, generator.uniform(0, reference["seconds"] * 1.1)))
            outcome = _resume(source, sink(trial), options)
            outcomes[outcome] += 1
            correct += sorted(read(trial)) == expected
        summary["correct"][name], summary["moments"][name] = correct, moments
        summary["outcomes"][name] = outcomes
        print(f"{name}: every row once, with the same prediction, in {correct} of {KILLS} runs")

    options = ["--rows-per-commit", str(ROWS_PER_COMMIT)]
    trials("folder", lambda n: str(folder / f"kill-{n}"), lambda n: _read_folder(folder / f"kill-{n}"), options)
    trials(
        "file",
        lambda n: str(folder / f"kill-{n}.parquet"),
        lambda n: _read_folder(folder / f"kill-{n}.parquet"),
        options,
    )
    with running_server() as url:
        keyed = [*options, "--key", "id"]
        trials("postgresql", lambda n: f"{url}?table=t{n}", lambda n: _read_table(url, f"t{n}"), options)
        trials("postgresql with a key", lambda n: f"{url}?table=k{n}", lambda n: _read_table(url, f"k{n}"), keyed)
    return summary


def _kill(source: Path, sink: str, options: list[str], seconds: float) -> float:
    """Start a run, kill all its processes after some seconds, and return the seconds."""
    command = [sys.executable, "-m", "fastlstm", "score", str(source), sink, *options]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    time.sleep(seconds)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return seconds


def _resume(source: Path, sink: str, options: list[str]) -> str:
    """Resume a run, and say what had been left: a run to resume, nothing yet, or its complete result."""
    try:
        result = score(source, sink, *options, "--resume")
    except subprocess.CalledProcessError as error:
        if "error[no-checkpoint]" not in error.stderr:
            raise
    else:
        return "resumed" if result["new_rows"] else "was complete"
    try:
        score(source, sink, *options)
    except subprocess.CalledProcessError as error:  # a single file is complete, and its checkpoint deleted
        if "error[output-exists]" not in error.stderr:
            raise
        return "was complete"
    return "had not begun"


def _read_folder(path: Path) -> Rows:
    table = dataset.dataset(path).to_table(columns=["id", "predicted_label", "predicted_probability"])
    return [tuple(row.values()) for row in table.to_pylist()]


def _single(probability: float | None) -> float | None:
    """Return a probability as float32, as files contain it; PostgreSQL returns its shortest decimal."""
    return None if probability is None else float(np.float32(probability))


def _read_table(url: str, table: str) -> Rows:
    with psycopg.connect(url) as connection:
        query = f"SELECT id, predicted_label, predicted_probability FROM {table}"
        return [(number, label, _single(p)) for number, label, p in connection.execute(query).fetchall()]
