"""Flink with many open conversations: size of their states, and a job that continues from a savepoint."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from pyarrow import dataset

import fastlstm
from fastlstm.kernel import limit_threads
from scale_engines import run_job

PIECES_BEFORE, PIECES_AFTER = 2, 1
"""Pieces of a conversation that the job reads before and after the savepoint."""
Result = tuple[str, str | None, float | None, int]
"""Conversation, label, probability, and number of tokens."""


def measure(source: Path, rows: int, folder: Path, *, engines: Path) -> dict[str, Any]:
    """Feed the words of each row as the pieces of a conversation. Return sizes, times and numbers of equal results.

    The job ends after a savepoint, and another one continues from it. The results of both are compared with those of
    streams of the package that read the pieces without a break.
    """
    cores = len(os.sched_getaffinity(0))
    texts = dataset.dataset(source).to_table(columns=["text"]).column("text").to_pylist()
    conversations = [(str(number), _pieces(text)) for number, text in enumerate(texts)]
    (folder / "pieces").mkdir()
    python = engines / "flink" / "bin" / "python"
    jobs: list[dict[str, Any]] = []
    parts = (range(PIECES_BEFORE), range(PIECES_BEFORE, PIECES_BEFORE + PIECES_AFTER))
    for part in parts:
        _write_pieces(folder / "pieces" / f"{part.start}.jsonl", conversations, part)
        savepoint = [jobs[-1]["savepoint"]] if jobs else []
        jobs.append(run_job(python, "conversations", folder, rows * len(part), cores, *savepoint))
        print(jobs[-1])
    savepoint_files = Path(urlsplit(jobs[0]["savepoint"]).path).rglob("*")
    savepoint_bytes = sum(path.stat().st_size for path in savepoint_files if path.is_file())
    with ProcessPoolExecutor(cores, initializer=_load) as executor:
        expected = list(executor.map(_expected, conversations, chunksize=1000))
    before, after = (_read_results(folder / name) for name in ("results", "restored"))
    sizes = [size for _, _, size in expected]
    summary = {
        "conversations": rows,
        "state_bytes_mean": float(np.mean(sizes)),
        "state_bytes_maximum": max(sizes),
        "savepoint_bytes_per_conversation": savepoint_bytes / rows,
        "savepoint_seconds": jobs[0]["savepoint_seconds"],
        "pieces_per_second": [rows * len(part) / job["seconds"] for part, job in zip(parts, jobs, strict=True)],
        "equal_before": sum(before.get(results[0][0]) == results for results, _, _ in expected),
        "restored": sum(after.get(results[0][0]) == results for _, results, _ in expected),
    }
    print(summary)
    return summary


def _pieces(text: str) -> list[str]:
    """Return the words of a text in pieces of about the same size. Joined, they are the text with single spaces."""
    count = PIECES_BEFORE + PIECES_AFTER
    words = text.split()
    bounds = [len(words) * number // count for number in range(count + 1)]
    return [" ".join([*words[start:end], ""]) for start, end in pairwise(bounds)]


def _write_pieces(path: Path, conversations: Sequence[tuple[str, list[str]]], part: range) -> None:
    """Write the pieces of all conversations in turn, as one file, because Flink reads several in any order."""
    hidden = path.with_name(f".{path.name}")
    with hidden.open("w") as file:
        for number in part:
            file.writelines(json.dumps([key, pieces[number]]) + "\n" for key, pieces in conversations)
    hidden.rename(path)


_model: fastlstm.Classifier


def _load() -> None:
    global _model
    limit_threads(1)
    _model = fastlstm.load()


def _expected(conversation: tuple[str, list[str]]) -> tuple[list[Result], list[Result], int]:
    """Return the results before and after the savepoint, and the size of the state at the savepoint in bytes."""
    key, pieces = conversation
    stream = _model.stream()
    results, size = [], 0
    for number, piece in enumerate(pieces, start=1):
        stream.feed(piece)
        results.append((key, *_prediction(stream), stream.token_count))
        if number == PIECES_BEFORE:
            size = len(stream.state)
    return results[:PIECES_BEFORE], results[PIECES_BEFORE:], size


def _prediction(stream: Any) -> tuple[str | None, float | None]:
    if not stream.known:
        return None, None
    index = int(stream.probabilities.argmax())
    return _model.labels[index], float(stream.probabilities[index])


def _read_results(folder: Path) -> dict[str, list[Result]]:
    results: dict[str, list[Result]] = {}
    for key, *values in _rows(folder):
        results.setdefault(key, []).append((key, *values[:3]))
    return results


def _rows(folder: Path) -> Iterator[list[Any]]:
    for path in sorted(folder.glob("*.jsonl")):
        with path.open() as file:
            yield from map(json.loads, file)
