"""`score` from a table of PostgreSQL to another, against `score` between Parquet files."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from pyarrow import dataset

from scale_data import score

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.helpers import postgresql_server

TURNS = 10
"""Parts of the rows, each scored from and to PostgreSQL."""
PARQUET_EVERY = 3
"""One part in so many is also scored from and to Parquet, before or after, in alternation."""


@contextmanager
def running_server() -> Iterator[str]:
    """Run a server of this machine, with its password in the environment, and yield its URL."""
    with postgresql_server.running_server() as url:
        os.environ["PGPASSWORD"] = postgresql_server.PASSWORD
        yield url


def measure(source: Path, rows: int, folder: Path) -> dict[str, Any]:
    """Return rows per second of both in total, and the median share of the parts that were scored with both."""
    files = sorted(source.iterdir())
    turns = min(TURNS, len(files))
    seconds = {"parquet": 0.0, "postgresql": 0.0}
    scored = {"parquet": 0, "postgresql": 0}
    shares = []
    with running_server() as url:
        for turn in range(turns):
            part = folder / f"part-{turn}"
            part.mkdir()
            for path in files[turn::turns]:
                (part / path.name).symlink_to(path)
            _load(url, part, f"reviews{turn}")
            runs = {
                "parquet": (str(part), str(folder / f"scored-{turn}"), ()),
                "postgresql": (f"{url}?table=reviews{turn}", f"{url}?table=scored{turn}", ("--key", "id")),
            }
            names = list(runs) if turn % 2 else list(reversed(runs))
            results = {}
            for name in names if turn % PARQUET_EVERY == 0 else ["postgresql"]:
                start, sink, options = runs[name]
                results[name] = score(start, sink, *options)
                seconds[name] += results[name]["seconds"]
                scored[name] += results[name]["rows"]
            if len(results) == len(runs):
                shares.append(results["parquet"]["seconds"] / results["postgresql"]["seconds"])
            with psycopg.connect(url) as connection:
                count = connection.execute(f"SELECT count(*), count(DISTINCT id) FROM scored{turn}").fetchone()
                assert count == (dataset.dataset(part).count_rows(),) * 2
            print(f"turn {turn + 1} of {turns}: {seconds}")
    assert scored["postgresql"] == rows
    speeds = {name: scored[name] / value for name, value in seconds.items()}
    share = statistics.median(shares)
    print(f"PostgreSQL {speeds['postgresql']:,.0f} rows/s, Parquet {speeds['parquet']:,.0f} rows/s: {share:.1%}")
    return {"rows_per_second": speeds, "shares": shares, "share_of_parquet": share}


def _load(url: str, source: Path, table: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(f"CREATE TABLE {table} (id bigint PRIMARY KEY, text text)")
        with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
            for batch in dataset.dataset(source).to_batches(columns=["id", "text"]):
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    copy.write_row(row)
        connection.execute(f"ANALYZE {table}")
