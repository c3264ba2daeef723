"""Time of the parts of a training epoch of the tutorial preset: python benchmarks/epoch_parts.py IMDB_FOLDER"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
from fastlstm.kernel.bindings import Kernel
from training import fastlstm_epochs, tutorial

PARTS = {
    "project": "input projection of each batch's words",
    "forward": "forward",
    "backward": "backward",
    "project_backward": "backward of the input projection",
    "adam": "Adam",
    "pack": "weight packing",
}


def main() -> None:
    """Measure, print a table and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()

    seconds_by_part = dict.fromkeys(PARTS, 0.0)
    for name in PARTS:
        setattr(Kernel, name, time_method(getattr(Kernel, name), name, seconds_by_part))
    epoch = fastlstm_epochs(tutorial(arguments.data_dir, epochs=arguments.repeats))
    epochs: list[dict[str, float]] = []
    for _ in range(arguments.repeats):
        seconds_by_part.update(dict.fromkeys(PARTS, 0.0))
        seconds = epoch()
        epochs.append({**seconds_by_part, "rest": seconds - sum(seconds_by_part.values()), "all": seconds})
    medians = {name: statistics.median(parts[name] for parts in epochs) for name in epochs[0]}
    for name, seconds in medians.items():
        print(f"{PARTS.get(name, name):32} {seconds:6.2f} s  {seconds / medians['all']:4.0%}")
    print(
        machine.save(
            "epoch_parts", ["fastlstm", "torch"], {"epochs": epochs, "medians": medians}, publish=arguments.publish
        )
    )


def time_method(method: Callable[..., Any], name: str, seconds_by_part: dict[str, float]) -> Callable[..., Any]:
    """Wrap a method so that it adds its seconds to `seconds_by_part[name]`."""

    @functools.wraps(method)
    def run(*arguments: Any, **keywords: Any) -> Any:
        started = time.perf_counter()
        try:
            return method(*arguments, **keywords)
        finally:
            seconds_by_part[name] += time.perf_counter() - started

    return run


if __name__ == "__main__":
    main()
