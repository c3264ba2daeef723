"""The kernel's tanh and sigmoid, read from the gates, against float64 at every magnitude."""

from __future__ import annotations

import numpy as np
import pytest
from tests.helpers.kernel_exact import Array

from fastlstm.kernel.bindings import Kernel

FMA_ISAS = ("v3", "v4", "neon")
"""The instruction sets with fused multiply-add."""


def max_tanh_ulps(kernel: Kernel) -> float:
    """Return the allowed error in float32 ulps. Measured over 4 million values: 4.7 with FMA, 7.3 without."""
    return 5 if kernel.isa in FMA_ISAS else 7.5


def max_sigmoid_error(kernel: Kernel) -> float:
    """Return the allowed error. Measured over 4 million values: 1.63e-7 with FMA, 2.24e-7 without."""
    return 1.7e-7 if kernel.isa in FMA_ISAS else 2.3e-7


def activations(kernel: Kernel, x: Array) -> tuple[Array, Array]:
    """Return sigmoid and tanh of float32 [n], computed by a layer that passes its inputs to the gates unchanged."""
    ones, zeros = np.ones((4, 1), np.float32), np.zeros((4, 1), np.float32)
    packed = kernel.pack(ones, zeros, zeros[:, 0].copy())
    activations = kernel.allocate_activations(len(x), 1)
    projected = kernel.project(packed, np.ascontiguousarray(x[:, None]))
    index = np.arange(len(x), dtype=np.int32)
    kernel.forward(packed, np.array([len(x)]), projected=projected, index=index, activations=activations)
    sigmoids = activations.gates[:, 0, 0]
    assert sigmoids.tobytes() == activations.gates[:, 1, 0].tobytes() == activations.gates[:, 3, 0].tobytes()
    return sigmoids.copy(), activations.gates[:, 2, 0].copy()


@pytest.fixture(scope="module")
def grid() -> Array:
    """More than 100 values per power of two, densest where the approximation changes."""
    magnitudes = np.geomspace(1.2e-38, 3e38, 40_000)
    low, high = np.array([1e-4, 20], np.float32).view(np.int32)
    dense = np.arange(int(low), int(high), 301, dtype=np.int32).view(np.float32)
    return np.unique(np.concatenate([magnitudes.astype(np.float32), dense]))


def test_tanh_is_within_a_few_ulps_of_float64(kernel: Kernel, grid: Array) -> None:
    _, actual = activations(kernel, grid)
    expected = np.tanh(grid.astype(np.float64))
    ulps = abs(actual - expected) / np.spacing(expected.astype(np.float32))
    assert ulps.max() <= max_tanh_ulps(kernel)


def test_sigmoid_error_is_below_two_ulps_of_one(kernel: Kernel, grid: Array) -> None:
    for x in (grid, -grid):
        actual, _ = activations(kernel, x)
        expected = 0.5 * np.tanh(0.5 * x.astype(np.float64)) + 0.5
        assert abs(actual - expected).max() <= max_sigmoid_error(kernel)


def test_tanh_is_exactly_odd_and_sigmoids_of_x_and_minus_x_sum_to_one(kernel: Kernel, grid: Array) -> None:
    (sigmoid, tanh), (negated_sigmoid, negated_tanh) = activations(kernel, grid), activations(kernel, -grid)
    assert (-negated_tanh).tobytes() == tanh.tobytes()
    assert abs((sigmoid.astype(np.float64) + negated_sigmoid) - 1).max() <= 2**-24


def test_gates_saturate_exactly(kernel: Kernel) -> None:
    x = np.array([9.5, 10, 100, 1e4, 1e38, np.inf], np.float32)
    for sign in (1, -1):
        _, tanh = activations(kernel, sign * x)
        sigmoid, _ = activations(kernel, sign * 2 * x)
        assert (tanh == sign).all()
        assert (sigmoid == (sign + 1) / 2).all()


def test_activations_stay_in_range(kernel: Kernel, grid: Array) -> None:
    for x in (grid, -grid):
        sigmoid, tanh = activations(kernel, x)
        assert (abs(tanh) <= 1).all()
        assert ((sigmoid >= 0) & (sigmoid <= 1)).all()


def test_activations_of_zero_denormals_and_nan(kernel: Kernel) -> None:
    sigmoid, tanh = activations(kernel, np.array([0, -0.0, 1e-40, -1e-40, np.nan], np.float32))
    assert (sigmoid[:4] == 0.5).all()
    assert (tanh[:4] == 0).all()
    assert np.isnan([sigmoid[4], tanh[4]]).all()
