"""Speed of `score` with one process per core and with one, against `predict_proba` alone; memory over time."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from pyarrow import dataset

import fastlstm
from fastlstm.scoring.events import ScoreEvent, ScoreProgress
from scale_data import ROW_GROUP_SIZE, score

PREDICTED_ROWS = 10_000
"""Rows of a call of `predict_proba`."""
PAIRS = 5
"""Runs with one process and with all, in turn."""
PAIR_ROWS = 20_000
FIRST_ROW = 100_000
"""Row from which memory must not grow, and rows between two calls of `predict_proba`; in shorter runs, a tenth."""
SAMPLE_SECONDS = 1.0


class Reference:
    """A process that predicts texts with `predict_proba`, on all cores, while `score` waits."""

    def __init__(self, texts: Sequence[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self._executor = ProcessPoolExecutor(1, context, initializer=_load, initargs=(texts,))
        self.process = self._executor.submit(os.getpid).result()
        self.speeds: list[float] = []
        """Rows per second of each call."""

    def predict(self) -> None:
        """Call `predict_proba` once."""
        self.speeds.append(self._executor.submit(_predict).result())

    def close(self) -> None:
        """End the process."""
        self._executor.shutdown()


def measure(source: Path, rows: int, folder: Path) -> dict[str, Any]:
    """Return the measurements of the part `score`.

    The long run stops after every `FIRST_ROW` rows, until its workers are idle, and `predict_proba` is measured.
    """
    cores = len(os.sched_getaffinity(0))
    pairs = _measure_pairs(source, folder, cores)
    first = min(FIRST_ROW, rows // 10)
    batch = next(dataset.dataset(source).to_batches(columns=["text"], batch_size=min(PREDICTED_ROWS, first)))
    reference = Reference(batch.column(0).to_pylist())
    memory: list[tuple[int, int]] = []
    last_sample = paused = 0.0
    next_stop = first

    def watch(event: ScoreEvent) -> None:
        nonlocal last_sample, next_stop, paused
        if not isinstance(event, ScoreProgress):
            return
        if time.monotonic() - last_sample > SAMPLE_SECONDS:
            last_sample = time.monotonic()
            memory.append((event.rows, _memory(_group() - {reference.process})))
        if event.rows >= next_stop:
            next_stop += first
            _wait_until_idle(_group() - {os.getpid(), reference.process})
            started = time.monotonic()
            reference.predict()
            paused += time.monotonic() - started

    reference.predict()
    reference.speeds.clear()
    result = fastlstm.score(source, folder / "scored", processes=cores, watch=watch)
    reference.close()
    assert dataset.dataset(folder / "scored").count_rows() == rows
    speed, predict_speed = rows / (result.seconds - paused), statistics.median(reference.speeds)
    samples = [(done, round(size / 1e6)) for done, size in memory[:: max(1, len(memory) // 200)]]
    summary = {
        "processes": cores,
        "rows_per_second": speed,
        "predict_proba_rows_per_second": reference.speeds,
        "share_of_predict_proba": speed / predict_speed,
        "speedup": statistics.median(pair["all"] / pair["one"] for pair in pairs),
        "pair_rows": PAIR_ROWS,
        "pairs": pairs,
        "memory_samples": samples,
    }
    print(
        f"{rows:,} rows: {speed:,.0f} rows/s, {summary['share_of_predict_proba']:.1%} of predict_proba alone; "
        f"{summary['speedup']:.2f} x one process; memory {memory_growth(samples, first)}"
    )
    return summary


def memory_growth(samples: Sequence[tuple[int, float]], first: int) -> dict[str, float]:
    """Return how much the memory of a run grows from row `first` on.

    Memory rises with the rows that wait for a commit, and falls with it. So medians and peaks of `first` rows each are
    compared, those of the first such rows with the largest later ones.

    Args:
        samples: The rows done, and the memory in MB.
        first: The number of rows.

    Returns:
        The median and the peak in MB, and the relative growth of both.
    """
    parts: dict[int, list[float]] = {}
    for rows, size in samples:
        parts.setdefault(int(rows) // first, []).append(size)
    medians = [statistics.median(sizes) for part, sizes in sorted(parts.items()) if part >= 1]
    peaks = [max(sizes) for part, sizes in sorted(parts.items()) if part >= 1]
    return {
        "median": medians[0],
        "peak": peaks[0],
        "median_growth": max(medians) / medians[0] - 1,
        "peak_growth": max(peaks) / peaks[0] - 1,
    }


def _measure_pairs(source: Path, folder: Path, cores: int) -> list[dict[str, float]]:
    """Return rows per second with one process and with all, in turn."""
    table = dataset.dataset(source).head(PAIR_ROWS)
    short = folder / "short.parquet"
    dataset.write_dataset(table, folder / "short", format="parquet", max_rows_per_group=ROW_GROUP_SIZE)
    (folder / "short" / "part-0.parquet").rename(short)
    pairs = []
    for number in range(PAIRS):
        speeds = {}
        for name, processes in (("one", 1), ("all", cores)) if number % 2 else (("all", cores), ("one", 1)):
            result = score(short, folder / f"{name}-{number}", "--processes", str(processes))
            speeds[name] = result["rows_per_second"]
        pairs.append(speeds)
        print(f"{len(table):,} rows: one process {speeds['one']:,.0f} rows/s, {cores} processes "
              f"{speeds['all']:,.0f} rows/s", flush=True)  # fmt: skip
    return pairs


def _load(texts: Sequence[str]) -> None:
    global _model, _texts
    _model, _texts = fastlstm.load(), texts


_model: fastlstm.Classifier
_texts: Sequence[str]


def _predict() -> float:
    started = time.perf_counter()
    _model.predict_proba(_texts)
    return len(_texts) / (time.perf_counter() - started)


def _group() -> set[int]:
    """Return the numbers of this process and its children."""
    children = [Path(task / "children").read_text(encoding="ascii") for task in Path("/proc/self/task").iterdir()]
    return {os.getpid(), *(int(child) for line in children for child in line.split())}


def _wait_until_idle(processes: set[int]) -> None:
    """Wait until processes use no more time of the processor."""
    before, now = -1, _clock_ticks(processes)
    while now > before:
        time.sleep(0.1)
        before, now = now, _clock_ticks(processes)


def _clock_ticks(processes: set[int]) -> int:
    stats = [Path(f"/proc/{process}/stat").read_text(encoding="ascii") for process in processes]
    return sum(int(stat.rpartition(")")[2].split()[field]) for stat in stats for field in (11, 12))


def _memory(processes: set[int]) -> int:
    """Return the memory of processes in bytes: resident, shared pages divided by their users."""
    total = 0
    for process in processes:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total
