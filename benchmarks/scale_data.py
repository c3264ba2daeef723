"""A dataset of numbered reviews for the measurements of bulk scoring, and runs of `fastlstm score` on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import parquet

FILES = 20
ROW_GROUP_SIZE = 10_000


def write_dataset(reviews: Path, rows: int, folder: Path) -> Path:
    """Write the texts of a Parquet file in random order, repeated up to a number of rows, as a folder of files.

    The columns are `id`, from 0, and `text`.
    """
    texts = parquet.read_table(reviews, columns=["text"]).column("text")
    order = np.random.default_rng(0).permutation(len(texts))
    folder.mkdir()
    for number, ids in enumerate(np.array_split(np.arange(rows), min(FILES, rows))):
        part = pyarrow.table({"id": ids, "text": texts.take(pyarrow.array(order[ids % len(texts)]))})
        parquet.write_table(part, folder / f"{number:03}.parquet", row_group_size=ROW_GROUP_SIZE)
    return folder


def score(source: str | Path, sink: str | Path, *options: str, threads: int | None = None) -> dict[str, Any]:
    """Run `fastlstm score` and return its result as a mapping."""
    command = [sys.executable, "-m", "fastlstm", "score", str(source), str(sink), "--json", *options]
    environment = {**os.environ, **({} if threads is None else {"FASTLSTM_THREADS": str(threads)})}
    process = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    result: dict[str, Any] = json.loads(process.stdout)
    return result
