"""The kernel's gradients against finite differences of the loss, and with parts of them not requested."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.helpers.kernel_exact import (
    Array,
    Batch,
    Size,
    assert_close,
    compute_exact,
    random_batch,
    rows_by_word,
    run_kernel,
)

from fastlstm.kernel.bindings import Kernel

GRADIENTS = {
    "words": "grad_words",
    "weight_ih": "grad_weight_ih",
    "weight_hh": "grad_weight_hh",
    "bias": "grad_bias",
    "h0": "grad_h0",
    "c0": "grad_c0",
}


def loss(batch: Batch) -> float:
    """Return the loss whose gradients the kernel computes, in float64."""
    x, h, c = batch.inputs.astype(np.float64), batch.h0.astype(np.float64), batch.c0.astype(np.float64)
    H, total = batch.weight_hh.shape[1], 0.0
    ends = np.cumsum(batch.batch_sizes)
    steps = [slice(end - size, end) for end, size in zip(ends, batch.batch_sizes, strict=True)]
    for rows in reversed(steps) if batch.reverse else steps:
        n = rows.stop - rows.start
        gates = x[rows] @ batch.weight_ih.T + h[:n] @ batch.weight_hh.T + batch.bias
        i, f, o = (1 / (1 + np.exp(-gates[:, start : start + H])) for start in (0, H, 3 * H))
        c[:n] = f * c[:n] + i * np.tanh(gates[:, 2 * H : 3 * H])
        h[:n] = o * np.tanh(c[:n])
        if batch.grad_outputs is not None:
            total += float((h[:n] * batch.grad_outputs[rows]).sum())
    return total + float((h * batch.grad_h_n).sum() + (c * batch.grad_c_n).sum())


@pytest.mark.parametrize("size", [Size(7, 5, 3, 7), Size(5, 19, 5, 13), Size(9, 1, 1, 1)], ids=str)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_match_finite_differences(kernel: Kernel, size: Size, reverse: bool, name: str) -> None:
    b = random_batch(Size(size.T, size.B, size.I, size.H, reverse))
    gradient = run_kernel(kernel, b, projected=True)[GRADIENTS[name]].astype(np.float64)
    generator = np.random.default_rng(5)
    values = getattr(b, name).astype(np.float64)
    for _ in range(3):
        direction = generator.standard_normal(values.shape)
        step = 1e-5
        loss_above, loss_below = (loss(replace(b, **{name: values + sign * step * direction})) for sign in (1, -1))
        scale = max(float(np.linalg.norm(gradient)), 0.1) * np.linalg.norm(direction)
        assert abs((loss_above - loss_below) / (2 * step) - (gradient * direction).sum()) <= 2e-6 * scale


@pytest.mark.parametrize("projected", [False, True], ids=["inputs", "projected"])
@pytest.mark.parametrize("H", [7, 311])
def test_gradients_of_the_last_states_alone_match_float64(kernel: Kernel, projected: bool, H: int) -> None:
    b = replace(random_batch(Size(9, 7, 5, H)), grad_outputs=None)
    assert_close(run_kernel(kernel, b, projected=projected), compute_exact(b))


def run_passes(kernel: Kernel, b: Batch, **options: Any) -> tuple[Any, Array]:
    packed = kernel.pack(b.weight_ih, b.weight_hh, b.bias)
    activations = kernel.allocate_activations(len(b.index), packed.H)
    outputs, _, _ = kernel.forward(
        packed, b.batch_sizes, inputs=b.inputs, activations=activations, reverse=b.reverse
    )
    gradients = kernel.backward(
        b.batch_sizes, b.weight_hh, outputs, activations,
        inputs=b.inputs, weight_ih=b.weight_ih, reverse=b.reverse, **options,
    )  # fmt: skip
    return gradients, outputs


@pytest.mark.parametrize("H", [13, 311])
@pytest.mark.parametrize("reverse", [False, True])
def test_unrequested_gradients_do_not_change_the_others(kernel: Kernel, H: int, reverse: bool) -> None:
    b = random_batch(Size(9, 7, 5, H, reverse))
    all_gradients, _ = run_passes(kernel, b, grad_outputs=b.grad_outputs, want_states=True)
    weight_gradients, _ = run_passes(kernel, b, grad_outputs=b.grad_outputs, want_inputs=False)
    assert weight_gradients.inputs is None
    assert weight_gradients.h0 is None
    assert weight_gradients.c0 is None
    for name in ("weight_ih", "weight_hh", "bias"):
        assert np.array_equal(getattr(weight_gradients, name), getattr(all_gradients, name))
    state_gradients, _ = run_passes(kernel, b, grad_outputs=b.grad_outputs, want_weights=False, want_states=True)
    for name in ("weight_ih", "weight_hh", "bias"):
        assert getattr(state_gradients, name) is None
    for name in ("inputs", "h0", "c0"):
        assert np.array_equal(getattr(state_gradients, name), getattr(all_gradients, name))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("H", [13, 311])
def test_row_gradients_do_not_depend_on_requesting_weight_gradients(kernel: Kernel, H: int, precision: str) -> None:
    if not kernel.supports(precision):
        pytest.skip(f"this processor does not support {precision} with {kernel.isa}")
    b = random_batch(Size(9, 7, 5, H))
    packed = kernel.pack(b.weight_ih, b.weight_hh, b.bias)
    projected, rows = kernel.project(packed, b.words), []
    for want_weights in (True, False):
        activations = kernel.allocate_activations(len(b.index), H)
        outputs, _, _ = kernel.forward(
            packed, b.batch_sizes, projected=projected, index=b.index, activations=activations
        )
        gradients = kernel.backward(
            b.batch_sizes, b.weight_hh, outputs, activations,
            grad_outputs=b.grad_outputs, want_weights=want_weights, precision=precision,
        )  # fmt: skip
        assert (gradients.weight_hh is None) == (not want_weights)
        rows.append(activations.gates[:, :, :H].tobytes())
    assert rows[0] == rows[1]


def test_output_gradients_may_be_strided_and_default_to_zeros(kernel: Kernel) -> None:
    b = random_batch(Size(9, 7, 5, 13))
    assert b.grad_outputs is not None
    wide_array = np.full((len(b.index), 30), np.nan, np.float32)
    wide_array[:, 4:17] = b.grad_outputs
    contiguous, _ = run_passes(kernel, b, grad_outputs=b.grad_outputs)
    strided, _ = run_passes(
        kernel, b, grad_outputs=wide_array[:, 4:17], grad_h_n=0 * b.grad_h_n, grad_c_n=0 * b.grad_c_n
    )
    for name in ("inputs", "weight_ih", "weight_hh", "bias"):
        assert np.array_equal(getattr(contiguous, name), getattr(strided, name))
    default, _ = run_passes(kernel, b, want_states=True)
    for name in ("inputs", "weight_ih", "weight_hh", "bias", "h0", "c0"):
        assert not getattr(default, name).any()


@pytest.mark.parametrize(("M", "I", "H"), [(1, 1, 1), (7, 5, 3), (131, 67, 37), (50, 64, 64), (97, 3, 131)])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_backward_pass_of_a_projection_matches_float64(
    kernel: Kernel,
    M: int,
    I: int,  # noqa: E741
    H: int,
    threads: int,
) -> None:
    kernel.threads = threads
    generator, N, P = np.random.default_rng(M), 3 * M + 1, kernel.padded_units(H)
    gates = np.zeros((N, 4, P), np.float32)
    gates[:, :, :H] = generator.standard_normal((N, 4, H))
    inputs, weight = (generator.standard_normal(s).astype(np.float32) for s in ((M, I), (4 * H, I)))
    index = generator.integers(0, M, N)
    order = np.argsort(index, kind="stable")
    starts = np.searchsorted(index[order], np.arange(M + 1)).astype(np.int64)
    grad_inputs, grad_weight = kernel.project_backward(gates, order, starts, inputs, weight)
    sums = np.zeros((M, 4 * H))
    np.add.at(sums, index, gates[:, :, :H].reshape(N, 4 * H).astype(np.float64))
    expected = {"inputs": sums @ weight.astype(np.float64), "weight": sums.T @ inputs.astype(np.float64)}
    assert_close({"inputs": grad_inputs, "weight": grad_weight}, expected)


def test_unread_words_have_zero_gradients(kernel: Kernel) -> None:
    b = random_batch(Size(9, 7, 5, 13))
    order, starts = rows_by_word(b)
    unread = np.flatnonzero(np.diff(starts) == 0)
    assert len(unread)
    assert not run_kernel(kernel, b, projected=True)["grad_words"][unread].any()
    assert starts[-1] == len(order)
