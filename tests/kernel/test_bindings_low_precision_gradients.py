"""The bfloat16 backward pass: its rounding, its distance from float64, bit-identical for any number of threads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.helpers.kernel_exact import (
    Results,
    Size,
    assert_close,
    assert_same_bits,
    exact_results,
    random_batch,
    run_kernel,
)
from tests.helpers.kernel_rounded import compute_rounded_gradients

from fastlstm.kernel.bindings import Kernel

SIZES = [
    Size(11, 67, 5, 13),
    Size(9, 131, 7, 37, reverse=True),
    Size(17, 3, 64, 64),
    Size(23, 1, 5, 31, reverse=True),
    Size(3, 300, 1, 1),
    Size(2, 3, 3, 600),
    Size(5, 37, 67, 521, reverse=True),
]
parametrize_source = pytest.mark.parametrize("projected", [False, True], ids=["inputs", "projected"])
parametrize_size = pytest.mark.parametrize("size", SIZES, ids=str)


@pytest.fixture(autouse=True)
def _require_bfloat16(kernel: Kernel) -> None:
    if not kernel.supports("bfloat16"):
        pytest.skip(f"this processor does not support bfloat16 with {kernel.isa}")


def select_gradients(results: Results) -> Results:
    return {name: array for name, array in results.items() if name.startswith("grad_")}


@parametrize_source
@parametrize_size
def test_products_use_rounded_operands(kernel: Kernel, size: Size, projected: bool) -> None:
    b = random_batch(size)
    results = run_kernel(kernel, b, projected=projected, precision="bfloat16")
    expected = compute_rounded_gradients(b, results["outputs"], results["gates"], results["cells"])
    if projected:
        del results["grad_weight_ih"]  # the backward pass of a projection uses float32
    for name, array in select_gradients(results).items():
        if name in expected:
            # Without rounding the difference would be 1e-3. An operand can round in the other direction, since the
            # kernel computes in float32.
            assert np.linalg.norm(array - expected[name]) <= 5e-4 * np.linalg.norm(expected[name]), name


@parametrize_source
@parametrize_size
def test_gradients_are_close_to_float64(kernel: Kernel, size: Size, projected: bool) -> None:
    results = run_kernel(kernel, random_batch(size), projected=projected, precision="bfloat16")
    assert_close(select_gradients(results), exact_results(size), 0.03)


@parametrize_source
@parametrize_size
def test_threads_do_not_change_results(kernel: Kernel, size: Size, projected: bool) -> None:
    kernel.threads = 1
    expected = run_kernel(kernel, random_batch(size), projected=projected, precision="bfloat16")
    for threads in (2, 3, 8):
        kernel.threads = threads
        assert_same_bits(
            run_kernel(kernel, random_batch(size), projected=projected, precision="bfloat16"), expected
        )


def test_nan_gradient_propagates(kernel: Kernel) -> None:
    b = random_batch(Size(9, 7, 5, 37))
    grad_h_n = b.grad_h_n.copy()
    grad_h_n[3, 5] = np.nan
    results = run_kernel(kernel, replace(b, grad_h_n=grad_h_n), precision="bfloat16")
    assert np.isnan(results["grad_h0"][3]).any()
    assert np.isnan(results["grad_weight_hh"]).any()
    others = np.arange(len(b.h0)) != 3
    assert np.isfinite(results["grad_h0"][others]).all()


def test_int8_backward_pass_raises_value_error(kernel: Kernel) -> None:
    b = random_batch(Size(3, 2, 5, 7))
    activations = kernel.allocate_activations(len(b.index), 7)
    outputs, _, _ = kernel.forward(
        kernel.pack(b.weight_ih, b.weight_hh, b.bias), b.batch_sizes, inputs=b.inputs, activations=activations
    )
    with pytest.raises(ValueError, match="precision"):
        kernel.backward(
            b.batch_sizes,
            b.weight_hh,
            outputs,
            activations,
            inputs=b.inputs,
            weight_ih=b.weight_ih,
            precision="int8",
        )
