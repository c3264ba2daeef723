"""Everything that the kernel computes, forward and backward, against float64: ragged batches with states."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.helpers.kernel_exact import Batch, Size, assert_near, batch, computed, exact, exact_of

from fastlstm.kernel.bindings import Kernel

NUMBERS = (1, 2, 3, 7, 13, 31, 37, 64, 67, 131)
SIZES = [
    Size((1, 2, 9, 17, 33)[(j + 2 * k) % 5], NUMBERS[(3 * j + 7 * k + j * k) % 10], I, H, (j + k) % 2 == 1)
    for j, H in enumerate(NUMBERS)
    for k, I in enumerate((1, 5, 64, 67))  # noqa: E741
]
LONG = [Size(3000, 2, 5, 7), Size(3000, 3, 5, 37, True), Size(700, 5, 5, 31)]
LARGE = [Size(9, 3, 5, 311), Size(7, 31, 67, 311, True), Size(5, 67, 1, 311), Size(13, 1, 5, 311)]
"""Weights larger than a core's cache, which a team of threads shares."""


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("projected", [False, True], ids=["inputs", "projected"])
def test_results_and_gradients_are_those_of_float64(kernel: Kernel, size: Size, projected: bool) -> None:
    assert_near(computed(kernel, batch(size), projected=projected), exact_of(size))


@pytest.mark.parametrize("size", LONG, ids=str)
@pytest.mark.parametrize("projected", [False, True], ids=["inputs", "projected"])
def test_thousands_of_steps_are_those_of_float64(kernel: Kernel, size: Size, projected: bool) -> None:
    assert_near(computed(kernel, batch(size), projected=projected), exact_of(size))


@pytest.mark.parametrize("size", LARGE, ids=str)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_large_layers_are_those_of_float64(kernel: Kernel, size: Size, threads: int) -> None:
    kernel.threads = threads
    for projected in (False, True):
        assert_near(computed(kernel, batch(size), projected=projected), exact_of(size))


@pytest.mark.parametrize("projected", [False, True], ids=["inputs", "projected"])
@pytest.mark.parametrize("reverse", [False, True])
def test_outputs_may_stand_among_others(kernel: Kernel, reverse: bool, projected: bool) -> None:
    size = Size(11, 7, 5, 13, reverse)
    assert_near(computed(kernel, batch(size), projected=projected, stride=30), exact_of(size))


EVERYTHING = ("words", "h0", "c0", "weight_ih", "weight_hh", "bias")


def extreme(kind: str, reverse: bool) -> Batch:
    b = batch(Size(13, 11, 1, 7, reverse))

    def tiny(*names: str) -> dict[str, Any]:
        return {n: (np.sign(getattr(b, n)) * np.float32(1e-40)).astype(np.float32) for n in names}

    if kind == "large inputs":  # and no gate between its two ends, where a sum's rounding would decide
        weight = b.weight_ih + np.sign(b.weight_ih) * np.float32(0.05)
        return replace(b, words=(np.sign(b.words) * np.float32(1e4)).astype(np.float32), weight_ih=weight)
    if kind == "large states":
        sign = np.sign(b.weight_hh[:, :1]) * np.ones_like(b.weight_hh)
        return replace(b, h0=np.full_like(b.h0, 1e4), c0=np.full_like(b.c0, -1e4), weight_hh=sign * np.float32(0.1))
    if kind == "zeros":
        zeros: dict[str, Any] = {n: 0 * getattr(b, n) for n in EVERYTHING}
        return replace(b, **zeros)
    if kind == "tiny inputs and states":
        return replace(b, **tiny("words", "h0", "c0"))
    return replace(b, **tiny(*EVERYTHING))


KINDS = ("large inputs", "large states", "zeros", "tiny inputs and states", "tiny everything")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("projected", [False, True], ids=["inputs", "projected"])
def test_extreme_numbers_are_no_worse(kernel: Kernel, kind: str, reverse: bool, projected: bool) -> None:
    b = extreme(kind, reverse)
    came = computed(kernel, b, projected=projected)
    assert (abs(came["outputs"]) <= 1).all()
    assert_near(came, exact(b), floor=1)


@pytest.mark.parametrize("scale", [1e4, -1e4, 1e-40, 1e30])
def test_numbers_of_any_size_give_outputs_from_minus_one_to_one(kernel: Kernel, scale: float) -> None:
    b = batch(Size(17, 13, 5, 31))
    came = computed(kernel, replace(b, words=(b.words * np.float32(scale)).astype(np.float32)))
    assert (abs(came["outputs"]) <= 1).all()
    assert all(np.isfinite(came[name]).all() for name in ("c_n", "gates", "cells", "grad_h0", "grad_c0"))
