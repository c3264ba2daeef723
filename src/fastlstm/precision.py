"""The precision that "auto" means: the fastest on this machine.

The kernel is timed in each precision when a size of layers is first met. The times are kept in the user's cache folder.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from fastlstm.kernel import KernelInfo
from fastlstm.kernel.abi import PRECISIONS
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.speed import Workload, measure_seconds
from fastlstm.serialization.speeds import Machine, Times, read_times, write_times

AUTO = "auto"
INFERENCE_PRECISIONS = (AUTO, *PRECISIONS)
"""Values of `precision` in inference."""
Task = Literal["inference", "training"]
CANDIDATES: Mapping[Task, tuple[str, ...]] = {"inference": PRECISIONS, "training": ("float32", "bfloat16")}
"""The precisions of each task whose results are within the accuracy that docs/kernel.md states."""
MIN_GAIN = 0.05
"""Fraction of float32's time that another precision must save to replace it."""
MIN_UNITS, MAX_UNITS, MAX_SEQUENCES = 16, 1024, 64
"""Sizes that are timed; others take the precision of the nearest power of two."""
INFERENCE_SEQUENCES = (1, 16)
"""Texts per call of inference, which is not known when a model is loaded."""
TRAINING_SEQUENCES = 64
"""Texts per step that `compare_precisions` assumes by default."""


@dataclass(frozen=True)
class PrecisionChoice:
    """The precision of a task.

    Attributes:
        task: "inference" or "training".
        units: Units of the layers.
        precision: The fastest precision.
        speeds: Precision -> its speed relative to float32: 2.0 takes half of the time.
    """

    task: Task
    units: tuple[int, ...]
    precision: str
    speeds: Mapping[str, float]


def fastest_precision(
    task: Task, units: Sequence[int], info: KernelInfo, *, sequences: Sequence[int] | None = None
) -> str:
    """Return the fastest precision for layers of `units`; arguments as in `compare_precisions`."""
    return compare_precisions(task, units, info, sequences=sequences).precision


def compare_precisions(
    task: Task, units: Sequence[int], info: KernelInfo, *, sequences: Sequence[int] | None = None
) -> PrecisionChoice:
    """Compare the precisions of a task on this machine.

    Sizes that this machine has not timed yet are timed now. There is nothing to time if the processor supports
    float32 alone, or if there is no kernel.

    Args:
        task: "inference", or "training", which includes the backward pass.
        units: Units of each layer.
        info: The kernel.
        sequences: Numbers of sequences that are computed together, all equally important. None: the usual ones.
    """
    kernel = info.kernel
    candidates = tuple(name for name in CANDIDATES[task] if kernel is not None and kernel.supports(name))
    speeds = {"float32": 1.0}
    if kernel is not None and len(candidates) > 1:
        if sequences is None:
            sequences = (TRAINING_SEQUENCES,) if task == "training" else INFERENCE_SEQUENCES
        machine = Machine.of_kernel(info, kernel)
        times = [_layer_times(machine, kernel, task, units, count) for count in sequences]
        speeds = {name: _mean_speed(name, times) for name in candidates}
    best = max(speeds, key=speeds.__getitem__)
    is_clear = 1 / speeds[best] <= 1 - MIN_GAIN
    return PrecisionChoice(task, tuple(units), best if is_clear else "float32", speeds)


def _mean_speed(precision: str, times: Sequence[Mapping[str, float]]) -> float:
    """Return the geometric mean of the speed relative to float32."""
    return math.exp(sum(math.log(seconds["float32"] / seconds[precision]) for seconds in times) / len(times))


def _layer_times(
    machine: Machine, kernel: Kernel, task: Task, units: Sequence[int], sequences: int
) -> dict[str, float]:
    """Return the seconds of all layers together in each precision."""
    workloads = [
        Workload(
            training=task == "training",
            units=_nearest(size, MIN_UNITS, MAX_UNITS),
            sequences=_nearest(sequences, 1, MAX_SEQUENCES),
        )
        for size in units
    ]
    layers = [_seconds(machine, kernel, task, workload) for workload in workloads]
    return {name: sum(seconds[name] for seconds in layers) for name in layers[0]}


def _nearest(size: int, minimum: int, maximum: int) -> int:
    """Return the nearest power of two within the limits."""
    return int(min(max(2 ** round(math.log2(size)), minimum), maximum))


_MEASURING = threading.Lock()  # measurements at the same time would disturb each other


@cache
def known_times(machine: Machine) -> Times:
    """Return the times known to this process, at first those in the user's cache folder. `_seconds` adds to them."""
    return read_times(machine)


def _seconds(machine: Machine, kernel: Kernel, task: Task, workload: Workload) -> Mapping[str, float]:
    """Return the seconds of a workload in each candidate, measured if they are not known yet."""
    known, name = known_times(machine), f"{task} {workload.units}x{workload.sequences}"
    candidates = [candidate for candidate in CANDIDATES[task] if candidate in machine.precisions]
    with _MEASURING:
        if name not in known or not known[name].keys() >= set(candidates):
            known[name] = measure_seconds(kernel, workload, candidates)
            write_times(machine, known)
    return {candidate: known[name][candidate] for candidate in candidates}
