"""All results of the forward and backward pass against float64, on ragged batches with states."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.helpers.kernel_exact import (
    Batch,
    Size,
    assert_close,
    compute_exact,
    exact_results,
    random_batch,
    run_kernel,
)

from fastlstm.kernel.bindings import Kernel

HIDDEN_SIZES = (1, 2, 3, 7, 13, 31, 37, 64, 67, 131)
SIZES = [
    Size((1, 2, 9, 17, 33)[(j + 2 * k) % 5], HIDDEN_SIZES[(3 * j + 7 * k + j * k) % 10], I, H, (j + k) % 2 == 1)
    for j, H in enumerate(HIDDEN_SIZES)
    for k, I in enumerate((1, 5, 64, 67))  # noqa: E741
]
LONG = [Size(3000, 2, 5, 7), Size(3000, 3, 5, 37, True), Size(700, 5, 5, 31)]
LARGE = [Size(9, 3, 5, 311), Size(7, 31, 67, 311, True), Size(5, 67, 1, 311), Size(13, 1, 5, 311)]
"""Weights larger than one core's cache, so that several threads share them."""


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("projected", [False, True], ids=["inputs", "projected"])
def test_results_and_gradients_match_float64(kernel: Kernel, size: Size, projected: bool) -> None:
    assert_close(run_kernel(kernel, random_batch(size), projected=projected), exact_results(size))


@pytest.mark.parametrize("size", LONG, ids=str)
@pytest.mark.parametrize("projected", [False, True], ids=["inputs", "projected"])
def test_thousands_of_steps_match_float64(kernel: Kernel, size: Size, projected: bool) -> None:
    assert_close(run_kernel(kernel, random_batch(size), projected=projected), exact_results(size))


@pytest.mark.parametrize("size", LARGE, ids=str)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_large_layers_match_float64(kernel: Kernel, size: Size, threads: int) -> None:
    kernel.threads = threads
    for projected in (False, True):
        assert_close(run_kernel(kernel, random_batch(size), projected=projected), exact_results(size))


@pytest.mark.parametrize("projected", [False, True], ids=["inputs", "projected"])
@pytest.mark.parametrize("reverse", [False, True])
def test_strided_outputs_match_float64(kernel: Kernel, reverse: bool, projected: bool) -> None:
    size = Size(11, 7, 5, 13, reverse)
    assert_close(run_kernel(kernel, random_batch(size), projected=projected, stride=30), exact_results(size))


ALL_ARRAYS = ("words", "h0", "c0", "weight_ih", "weight_hh", "bias")


def extreme_batch(kind: str, reverse: bool) -> Batch:
    b = random_batch(Size(13, 11, 1, 7, reverse))

    def tiny(*names: str) -> dict[str, Any]:
        return {n: (np.sign(getattr(b, n)) * np.float32(1e-40)).astype(np.float32) for n in names}

    if kind == "large inputs":  # saturate all gates, where rounding does not matter
        weight = b.weight_ih + np.sign(b.weight_ih) * np.float32(0.05)
        return replace(b, words=(np.sign(b.words) * np.float32(1e4)).astype(np.float32), weight_ih=weight)
    if kind == "large states":
        sign = np.sign(b.weight_hh[:, :1]) * np.ones_like(b.weight_hh)
        return replace(b, h0=np.full_like(b.h0, 1e4), c0=np.full_like(b.c0, -1e4), weight_hh=sign * np.float32(0.1))
    if kind == "zeros":
        zeros: dict[str, Any] = {n: 0 * getattr(b, n) for n in ALL_ARRAYS}
        return replace(b, **zeros)
    if kind == "tiny inputs and states":
        return replace(b, **tiny("words", "h0", "c0"))
    return replace(b, **tiny(*ALL_ARRAYS))


KINDS = ("large inputs", "large states", "zeros", "tiny inputs and states", "tiny everything")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("projected", [False, True], ids=["inputs", "projected"])
def test_extreme_values_match_float64(kernel: Kernel, kind: str, reverse: bool, projected: bool) -> None:
    b = extreme_batch(kind, reverse)
    results = run_kernel(kernel, b, projected=projected)
    assert (abs(results["outputs"]) <= 1).all()
    assert_close(results, compute_exact(b), floor=1)


@pytest.mark.parametrize("scale", [1e4, -1e4, 1e-40, 1e30])
def test_inputs_of_any_magnitude_give_outputs_from_minus_one_to_one(kernel: Kernel, scale: float) -> None:
    b = random_batch(Size(17, 13, 5, 31))
    results = run_kernel(kernel, replace(b, words=(b.words * np.float32(scale)).astype(np.float32)))
    assert (abs(results["outputs"]) <= 1).all()
    assert all(np.isfinite(results[name]).all() for name in ("c_n", "gates", "cells", "grad_h0", "grad_c0"))


@pytest.mark.parametrize(("I", "H"), [(5, 13), (7, 64), (3, 33)])
def test_unpacked_projections_match_float64(kernel: Kernel, I: int, H: int) -> None:  # noqa: E741
    b = random_batch(Size(3, 4, I, H))
    projected = kernel.project(kernel.pack(b.weight_ih, b.weight_hh, b.bias), b.inputs)
    expected = b.inputs.astype(np.float64) @ b.weight_ih.astype(np.float64).T + b.bias
    np.testing.assert_allclose(kernel.unpack_gates(projected, H), expected, atol=1e-5)
