"""tanh and sigmoid, as the gates show them, against float64 at every magnitude."""

from __future__ import annotations

import numpy as np
import pytest
from tests.helpers.kernel_exact import Array

from fastlstm.kernel.bindings import Kernel

FUSED = ("v3", "v4", "neon")
"""The instruction sets that round a product and a sum once."""


def tanh_ulps(kernel: Kernel) -> float:
    """The largest error in units of float32's last place. Measured over 4 million numbers: 4.7 and 7.3."""
    return 5 if kernel.isa in FUSED else 7.5


def sigmoid_error(kernel: Kernel) -> float:
    """The largest error. Measured over 4 million numbers: 1.63e-7 and 2.24e-7."""
    return 1.7e-7 if kernel.isa in FUSED else 2.3e-7


def activations(kernel: Kernel, x: Array) -> tuple[Array, Array]:
    """sigmoid and tanh of float32 [n], by a layer that adds nothing to its inputs."""
    one, zero = np.ones((4, 1), np.float32), np.zeros((4, 1), np.float32)
    packed = kernel.pack(one, zero, zero[:, 0].copy())
    kept = kernel.keep(len(x), 1)
    projected = kernel.project(packed, np.ascontiguousarray(x[:, None]))
    index = np.arange(len(x), dtype=np.int32)
    kernel.forward(packed, np.array([len(x)]), projected=projected, index=index, kept=kept)
    sigmoids = kept.gates[:, 0, 0]
    assert sigmoids.tobytes() == kept.gates[:, 1, 0].tobytes() == kept.gates[:, 3, 0].tobytes()
    return sigmoids.copy(), kept.gates[:, 2, 0].copy()


@pytest.fixture(scope="module")
def grid() -> Array:
    """A hundred and more numbers for every power of two, and every place where something might change."""
    magnitudes = np.geomspace(1.2e-38, 3e38, 40_000)
    first, last = np.array([1e-4, 20], np.float32).view(np.int32)
    near = np.arange(int(first), int(last), 301, dtype=np.int32).view(np.float32)
    return np.unique(np.concatenate([magnitudes.astype(np.float32), near]))


def test_tanh_is_within_ulps_of_float64(kernel: Kernel, grid: Array) -> None:
    _, came = activations(kernel, grid)
    expected = np.tanh(grid.astype(np.float64))
    ulps = abs(came - expected) / np.spacing(expected.astype(np.float32))
    assert ulps.max() <= tanh_ulps(kernel)


def test_sigmoid_is_within_two_ulps_of_one_of_float64(kernel: Kernel, grid: Array) -> None:
    for x in (grid, -grid):
        came, _ = activations(kernel, x)
        expected = 0.5 * np.tanh(0.5 * x.astype(np.float64)) + 0.5
        assert abs(came - expected).max() <= sigmoid_error(kernel)


def test_tanh_is_odd_to_the_bit_and_sigmoids_add_up_to_one(kernel: Kernel, grid: Array) -> None:
    (up, right), (down, left) = activations(kernel, grid), activations(kernel, -grid)
    assert (-left).tobytes() == right.tobytes()
    assert abs((up.astype(np.float64) + down) - 1).max() <= 2**-24


def test_gates_saturate_exactly(kernel: Kernel) -> None:
    x = np.array([9.5, 10, 100, 1e4, 1e38, np.inf], np.float32)
    for sign in (1, -1):
        _, tanh = activations(kernel, sign * x)
        sigmoid, _ = activations(kernel, sign * 2 * x)
        assert (tanh == sign).all()
        assert (sigmoid == (sign + 1) / 2).all()


def test_nothing_leaves_the_range(kernel: Kernel, grid: Array) -> None:
    for x in (grid, -grid):
        sigmoid, tanh = activations(kernel, x)
        assert (abs(tanh) <= 1).all()
        assert ((sigmoid >= 0) & (sigmoid <= 1)).all()


def test_zero_is_a_half_and_zero_and_nan_is_nan(kernel: Kernel) -> None:
    sigmoid, tanh = activations(kernel, np.array([0, -0.0, 1e-40, -1e-40, np.nan], np.float32))
    assert (sigmoid[:4] == 0.5).all()
    assert (tanh[:4] == 0).all()
    assert np.isnan([sigmoid[4], tanh[4]]).all()
