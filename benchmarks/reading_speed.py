"""Speed and memory of reading a large CSV file of reviews, against another commit and other readers."""

from __future__ import annotations

import csv
import itertools
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from fastlstm.data.datasets import load_imdb

REPEATS = 3
SCRIPT = """
import csv, json, resource, sys, time
path, source = sys.argv[1:]
if source:  # read with the package in another folder, not with the installed one
    sys.meta_path[:] = [finder for finder in sys.meta_path if "Redirect" not in type(finder).__name__]
    sys.path.insert(0, source)
{imports}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
cpu, wall = time.process_time(), time.perf_counter()
{read}
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({{"rows": rows, "cpu": cpu, "wall": wall, "peak_mb": peak / 1e3, "imported_mb": before / 1e3}}))
"""
"""Measures one read in a new process: seconds, and peak memory in MB."""
FASTLSTM = ("from fastlstm.data import read_dataset", "data = read_dataset(path); rows = len(data)")
READERS = {
    "fastlstm": FASTLSTM,
    "csv.reader": (
        "",
        "file = open(path, encoding='utf-8', newline=''); rows = sum(1 for _ in csv.reader(file)) - 1",
    ),
    "csv.reader, kept": (
        "",
        "file = open(path, encoding='utf-8', newline=''); data = list(csv.reader(file)); rows = len(data) - 1",
    ),
    "pandas": ("import pandas", "data = pandas.read_csv(path); rows = len(data)"),
    "pyarrow": (
        "from pyarrow import csv as arrow",
        "options = arrow.ParseOptions(newlines_in_values=True)\n"
        "data = arrow.read_csv(path, parse_options=options); rows = data.num_rows",
    ),
    "pyarrow, as lists": (
        "from pyarrow import csv as arrow",
        "options = arrow.ParseOptions(newlines_in_values=True)\n"
        "data = arrow.read_csv(path, parse_options=options).to_pydict(); rows = len(data['text'])",
    ),
    "polars": ("import polars", "data = polars.read_csv(path); rows = data.height"),
}
"""Name -> imports, and the statements that are measured."""


def measure(data_dir: Path, megabytes: int, before: Path | None, file: Path | None) -> dict[str, Any]:
    """Write a CSV file of reviews and read it with each reader, in alternation.

    Args:
        data_dir: The folder that contains IMDb.
        megabytes: The size of the file.
        before: The `src` folder of another commit.
        file: Where to write the file; an existing one is read as it is.
    """
    path = file or Path("reviews.csv")
    if not path.exists():
        write(path, data_dir, megabytes)
    size = path.stat().st_size / 1e6
    programs = {name: (imports, read, "") for name, (imports, read) in READERS.items()}
    if before is not None:
        programs = {"fastlstm before": (*FASTLSTM, str(before)), **programs}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
    for _ in range(REPEATS):
        for name, (imports, read, source) in programs.items():
            script = SCRIPT.format(imports=imports, read=read)
            command = [sys.executable, "-c", script, str(path), source]
            runs[name].append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
    result: dict[str, Any] = {"megabytes": size, "repeats": REPEATS, "runs": runs, "medians": {}}
    for name, values in runs.items():
        medians = {key: statistics.median(value[key] for value in values) for key in values[0]}
        medians |= {f"{key}_mb_per_s": size / medians[key] for key in ("cpu", "wall")}
        result["medians"][name] = medians
        print(
            f"{name:20} {medians['rows']:9,.0f} rows  {medians['wall_mb_per_s']:7.1f} MB/s  "
            f"{medians['cpu_mb_per_s']:7.1f} MB/s of CPU time  {medians['peak_mb']:7,.0f} MB"
        )
    return result


def write(path: Path, data_dir: Path, megabytes: int) -> None:
    """Write IMDb's training reviews, repeated, up to this size."""
    reviews = load_imdb(data_dir).train
    with path.open("w", encoding="utf-8", newline="") as file:
        output = csv.writer(file)
        output.writerow(["text", "label"])
        for row in itertools.cycle(zip(reviews.texts, reviews.labels, strict=True)):
            output.writerow(row)
            if file.tell() > megabytes * 1e6:
                return
