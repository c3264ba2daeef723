"""An epoch of the tutorial preset, taken apart: python benchmarks/epoch_parts.py IMDB_FOLDER"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
from fastlstm.kernel.bindings import Kernel
from training import own_epochs, tutorial

PARTS = {
    "project": "projecting each batch's words",
    "forward": "forward",
    "backward": "backward",
    "project_backward": "backward of the projection",
    "adam": "Adam",
    "pack": "packing weights",
}


def main() -> None:
    """Measures, prints a table and keeps the raw result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()

    spent = dict.fromkeys(PARTS, 0.0)
    for name in PARTS:
        setattr(Kernel, name, timed(getattr(Kernel, name), name, spent))
    epoch = own_epochs(tutorial(arguments.data_dir, epochs=arguments.repeats))
    epochs: list[dict[str, float]] = []
    for _ in range(arguments.repeats):
        spent.update(dict.fromkeys(PARTS, 0.0))
        seconds = epoch()
        epochs.append({**spent, "rest": seconds - sum(spent.values()), "all": seconds})
    medians = {name: statistics.median(one[name] for one in epochs) for name in epochs[0]}
    for name, seconds in medians.items():
        print(f"{PARTS.get(name, name):32} {seconds:6.2f} s  {seconds / medians['all']:4.0%}")
    print(
        machine.save("epoch_parts", machine.describe(["fastlstm", "torch"]), {"epochs": epochs, "medians": medians})
    )


def timed(method: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    """The method, which adds its seconds to those spent."""

    @functools.wraps(method)
    def run(*arguments: Any, **keywords: Any) -> Any:
        started = time.perf_counter()
        try:
            return method(*arguments, **keywords)
        finally:
            spent[name] += time.perf_counter() - started

    return run


if __name__ == "__main__":
    main()
