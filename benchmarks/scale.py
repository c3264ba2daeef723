"""Bulk scoring: speed and memory of `score`, kills and resumes, PostgreSQL, Spark, Ray and Flink.

    python benchmarks/scale.py REVIEWS PART [--rows N] [--engines DIR] [--publish]

REVIEWS is a Parquet file with a column `text`, whose rows are repeated and numbered. PART is one of:

score          `score` between Parquet files with one process per core, and with one; `predict_proba` alone; memory.
kills          kill -9 at random moments and `--resume`, with files and PostgreSQL.
postgresql     `score` from table to table, and between Parquet files.
states         Size of the state of a stream, and the time to save and restore it.
engines        Spark, Ray and Flink with one worker per core, and `score`. DIR has one virtual environment per engine,
               as `scripts/test-integrations` makes them.
conversations  Flink with one conversation per row, whose pieces arrive before and after a savepoint. DIR as above.
training       Training with two workers of Ray Train, and with one. REVIEWS also has a column `label`. DIR as above.

All use the bundled English model. Each measurement alternates with what it is compared with.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import scale_conversations
import scale_engines
import scale_kills
import scale_postgresql
import scale_score
import scale_states
import scale_training
from scale_data import write_dataset

PARTS: dict[str, tuple[Callable[..., dict[str, Any]], int]] = {
    "score": (scale_score.measure, 1_000_000),
    "kills": (scale_kills.measure, 4_000),
    "postgresql": (scale_postgresql.measure, 1_000_000),
    "states": (scale_states.measure, 1_000),
    "engines": (scale_engines.measure, 40_000),
    "conversations": (scale_conversations.measure, 100_000),
    "training": (scale_training.measure, 6_000),
}
"""Part -> function, and default number of rows."""


def main() -> None:
    """Measure one part, print and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("reviews", type=Path)
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--rows", type=int)
    parser.add_argument("--engines", type=Path, default=Path("build/engines"))
    parser.add_argument("--scratch", type=Path, help="folder for the tables; default: a temporary one")
    arguments = parser.parse_args()
    measure, default_rows = PARTS[arguments.part]
    rows = arguments.rows or default_rows
    with tempfile.TemporaryDirectory(prefix="fastlstm-scale-", dir=arguments.scratch) as folder:
        dataset = arguments.reviews
        if arguments.part != "training":
            dataset = write_dataset(arguments.reviews, rows, Path(folder) / "reviews")
        needs_engines = arguments.part in ("engines", "conversations", "training")
        options = {"engines": arguments.engines.absolute()} if needs_engines else {}
        result = measure(dataset, rows, Path(folder), **options)
    packages = ["fastlstm", "numpy", "pyarrow", "tokenizers"]
    print(machine.save(f"scale-{arguments.part}", packages, {"rows": rows, **result}, publish=arguments.publish))


if __name__ == "__main__":
    main()
