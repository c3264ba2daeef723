"""Speed of `score` with one process per core and with one, against `predict_proba` alone; memory over time."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import Any

from pyarrow import dataset

import fastlstm
from fastlstm.scoring.events import ScoreEvent, ScoreProgress
from scale_data import score

PREDICTED_ROWS = 10_000
"""Rows of a call of `predict_proba`."""
SHORT_SHARE = 20
"""Runs with one process and with all have a twentieth of the rows."""
FIRST_ROW = 100_000
"""Row from which memory must not grow; in shorter runs, a tenth of the rows."""
SAMPLE_SECONDS = 1.0


def measure(source: Path, rows: int, folder: Path) -> dict[str, Any]:
    """Return the measurements of the part `score`."""
    texts = (
        next(dataset.dataset(source).to_batches(columns=["text"], batch_size=PREDICTED_ROWS)).column(0).to_pylist()
    )
    model = fastlstm.load()
    cores = len(os.sched_getaffinity(0))
    alone = [_predict(model, texts) for _ in range(2)]
    short = folder / "short"
    short.mkdir()
    for path in sorted(source.iterdir())[: max(1, len(list(source.iterdir())) // SHORT_SHARE)]:
        (short / path.name).symlink_to(path)
    ratios = []
    for turn in range(3):
        one = score(short, folder / f"one-{turn}", "--processes", "1")
        all_cores = score(short, folder / f"all-{turn}", "--processes", str(cores))
        ratios.append({"one": one["rows_per_second"], "all": all_cores["rows_per_second"]})
        print(f"{one['rows']:,} rows: one process {one['rows_per_second']:,.0f} rows/s, {cores} processes "
              f"{all_cores['rows_per_second']:,.0f} rows/s")  # fmt: skip
        alone.append(_predict(model, texts))
    memory: list[tuple[int, int]] = []
    last_sample = 0.0

    def watch(event: ScoreEvent) -> None:
        nonlocal last_sample
        if isinstance(event, ScoreProgress) and time.monotonic() - last_sample > SAMPLE_SECONDS:
            last_sample = time.monotonic()
            memory.append((event.rows, _memory_of_group()))

    result = fastlstm.score(source, folder / "scored", processes=cores, watch=watch)
    alone += [_predict(model, texts) for _ in range(2)]
    assert dataset.dataset(folder / "scored").count_rows() == rows
    first = min(FIRST_ROW, rows // 10)
    sampled = [size for done, size in memory if done >= first]
    early = statistics.median([size for done, size in memory if first <= done < 2 * first] or sampled[:1])
    late = max(sampled)
    predict_speed = len(texts) / statistics.median(alone)
    summary = {
        "processes": cores,
        "rows_per_second": result.rows_per_second,
        "predict_proba_rows_per_second": predict_speed,
        "share_of_predict_proba": result.rows_per_second / predict_speed,
        "speedup": statistics.median(ratio["all"] / ratio["one"] for ratio in ratios),
        "short_runs": ratios,
        "memory_mb": {"from_row": first, "median_at_first": early / 1e6, "maximum_after": late / 1e6},
        "memory_growth": late / early - 1,
        "memory_samples": [[done, round(size / 1e6)] for done, size in memory[:: max(1, len(memory) // 200)]],
    }
    print(
        f"{rows:,} rows: {result.rows_per_second:,.0f} rows/s, {summary['share_of_predict_proba']:.1%} of "
        f"predict_proba alone; {summary['speedup']:.2f} x one process; memory {early / 1e6:,.0f} MB, at most "
        f"{summary['memory_growth']:+.1%} later"
    )
    return summary


def _predict(model: fastlstm.Classifier, texts: list[str]) -> float:
    started = time.perf_counter()
    model.predict_proba(texts)
    return time.perf_counter() - started


def _memory_of_group() -> int:
    """Return the memory of this process and its children in bytes: resident, shared pages divided by their users."""
    total = 0
    for process in [os.getpid(), *_children(os.getpid())]:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def _children(process: int) -> list[int]:
    return [int(child) for task in Path(f"/proc/{process}/task").iterdir()
            for child in (task / "children").read_text(encoding="ascii").split()]  # fmt: skip
