"""Stages of a recipe: each makes a file or a folder, is skipped if that exists, and writes down its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

SUFFIX = ".seconds"
"""Ending of the file with the time of a stage."""
OUTPUTS = ".parquet", ".vec", ".json"
"""Endings of files that stages make."""


def run_stage(out: Path, make: Callable[[Path], object]) -> None:
    """Make the file or folder `out` unless it exists, and add the time to that of interrupted calls."""
    if out.exists():
        return
    times = out.with_name(out.name + SUFFIX)
    started = time.perf_counter()
    try:
        make(out)
    finally:
        before = float(times.read_text()) if times.exists() else 0.0
        times.write_text(f"{before + time.perf_counter() - started:.1f}\n", encoding="utf-8")


def stage_seconds(folder: Path) -> dict[str, float]:
    """Return the seconds of each stage in a folder, by the name of what it made, without its ending."""
    return {_stage(path): float(path.read_text()) for path in sorted(folder.glob(f"*{SUFFIX}"))}


def _stage(path: Path) -> str:
    name = Path(path.name.removesuffix(SUFFIX))
    return name.stem if name.suffix in OUTPUTS else name.name
