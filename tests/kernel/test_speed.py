"""The measurement of the kernel's speed."""

from __future__ import annotations

import math

import pytest

from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.speed import MAX_STEPS, MIN_STEPS, Workload, measure_seconds


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("units", [16, 20])
def test_every_precision_gets_a_time(kernel: Kernel, training: bool, units: int) -> None:
    candidates = ("float32", "bfloat16") if training else ("float32", "bfloat16", "int8")
    supported = tuple(filter(kernel.supports, candidates))
    seconds = measure_seconds(kernel, Workload(training, units, 3), supported)
    assert tuple(seconds) == supported
    assert all(0 < value < math.inf for value in seconds.values())


@pytest.mark.parametrize(
    ("units", "sequences", "expected"), [(16, 1, MAX_STEPS), (1024, 64, MIN_STEPS), (256, 16, 8)]
)
def test_larger_layers_and_batches_take_fewer_steps(units: int, sequences: int, expected: int) -> None:
    assert Workload(False, units, sequences).steps == expected
