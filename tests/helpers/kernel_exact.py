"""The LSTM and its gradients in float64, written out from the equations, and random ragged batches with states.

The kernel tests compare kernels with these results. Legend as in lstm.h: T steps, B sequences, N rows, M words,
I input size, H hidden units.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fastlstm.kernel.bindings import Kernel

Array = npt.NDArray[Any]
Results = dict[str, Array]

TOLERANCE = 1e-5
"""Largest allowed difference from float64, relative to the largest value of the array."""


@dataclass(frozen=True)
class Size:
    """The dimensions and the seed of a random batch."""

    T: int
    B: int
    I: int  # noqa: E741
    H: int
    reverse: bool = False
    seed: int = 0

    def __str__(self) -> str:
        return f"T{self.T}-B{self.B}-I{self.I}-H{self.H}{'-reverse' if self.reverse else ''}"


@dataclass(frozen=True)
class Batch:
    """The input of one forward and backward pass, in float32. `inputs` [N, I] are rows of `words` [M, I]."""

    batch_sizes: Array
    words: Array
    index: Array
    weight_ih: Array
    weight_hh: Array
    bias: Array
    h0: Array
    c0: Array
    grad_outputs: Array | None
    grad_h_n: Array
    grad_c_n: Array
    reverse: bool

    @property
    def inputs(self) -> Array:
        return self.words[self.index]

    @property
    def sequence_rows(self) -> list[Array]:
        """The indices of each sequence's rows among the N rows, in time order."""
        offsets = np.cumsum(self.batch_sizes) - self.batch_sizes
        return [offsets[self.batch_sizes > k] + k for k in range(int(self.batch_sizes[0]))]

    def with_inputs(self, inputs: Array) -> Batch:
        """Return the batch with other inputs [N, I], where every row has its own word."""
        return replace(
            self, words=np.ascontiguousarray(inputs, np.float32), index=np.arange(len(inputs), dtype=np.int32)
        )

    def sequence(self, k: int) -> Batch:
        """Return a batch that contains sequence k alone."""
        rows = self.sequence_rows[k]
        single = replace(
            self.with_inputs(self.inputs[rows]),
            batch_sizes=np.ones(len(rows), np.int64),
            grad_outputs=None if self.grad_outputs is None else self.grad_outputs[rows].copy(),
        )
        return replace(
            single, **{name: getattr(self, name)[k : k + 1].copy() for name in ("h0", "c0", "grad_h_n", "grad_c_n")}
        )


def batch_sizes_of(lengths: Array) -> Array:
    """Return the number of running sequences at each step, [T]."""
    return np.array([(lengths > t).sum() for t in range(int(max(lengths)))], np.int64)


@cache
def random_batch(size: Size) -> Batch:
    """Return a random batch, the same for the same size. The longest sequence has T steps, the others 1 to T."""
    generator = np.random.default_rng([size.seed, size.T, size.B, size.I, size.H])

    def normal(*shape: int, scale: float = 1) -> Array:
        return (generator.standard_normal(shape) * scale).astype(np.float32)

    lengths = generator.integers(1, size.T + 1, size.B)
    lengths[0] = size.T
    batch_sizes = batch_sizes_of(lengths)
    N, B, I, H = int(batch_sizes.sum()), size.B, size.I, size.H  # noqa: E741
    words = normal(-(-2 * N // 3), I)
    return Batch(
        batch_sizes,
        words,
        generator.integers(0, len(words), N, dtype=np.int32),
        normal(4 * H, I, scale=I**-0.5),
        normal(4 * H, H, scale=H**-0.5),
        normal(4 * H),
        h0=normal(B, H),
        c0=normal(B, H),
        grad_outputs=normal(N, H),
        grad_h_n=normal(B, H),
        grad_c_n=normal(B, H),
        reverse=size.reverse,
    )


@cache
def exact_results(size: Size) -> Results:
    """Return the float64 results of a random batch."""
    return compute_exact(random_batch(size))


def compute_exact(batch: Batch) -> Results:
    """Return everything that a kernel computes, in float64.

    `outputs` [N, H], `h_n`, `c_n` [B, H], `gates` [N, 4, H], `cells` [N, H]; the gradients `grad_inputs` [N, I],
    `grad_words` [M, I], `grad_weight_ih`, `grad_weight_hh`, `grad_bias`, `grad_h0`, `grad_c0`, and `grad_rows`
    [N, 4, H], the gradient of W_ih x + W_hh h + b in each row.
    """
    x, weight_ih, weight_hh, bias, h, c, dh, dc = (
        array.astype(np.float64)
        for array in (
            batch.inputs, batch.weight_ih, batch.weight_hh, batch.bias,
            batch.h0, batch.c0, batch.grad_h_n, batch.grad_c_n,
        )
    )  # fmt: skip
    N, H, ends = len(x), weight_hh.shape[1], np.cumsum(batch.batch_sizes)
    steps = [slice(end - running, end) for end, running in zip(ends, batch.batch_sizes, strict=True)]
    if batch.reverse:
        steps.reverse()
    projected = (x @ weight_ih.T + bias).reshape(N, 4, H)
    recurrent = weight_hh.T.reshape(H, 4 * H)
    outputs, cells, gates = np.empty((N, H)), np.empty((N, H)), np.empty((N, 4, H))
    h_previous, c_previous = np.empty((N, H)), np.empty((N, H))
    for rows in steps:
        n = rows.stop - rows.start
        h_previous[rows], c_previous[rows] = h[:n], c[:n]
        logits = projected[rows] + (h[:n] @ recurrent).reshape(n, 4, H)
        gates[rows] = 0.5 * np.tanh(0.5 * logits) + 0.5
        gates[rows, 2] = np.tanh(logits[:, 2])
        i, f, g, o = np.moveaxis(gates[rows], 1, 0)
        c[:n] = f * c[:n] + i * g
        h[:n] = o * np.tanh(c[:n])
        outputs[rows], cells[rows] = h[:n], c[:n]

    grad_rows = np.empty((N, 4, H))
    tanh_cells, slopes = np.tanh(cells), gates * (1 - gates)
    slopes[:, 2] = 1 - gates[:, 2] ** 2
    for rows in reversed(steps):
        n = rows.stop - rows.start
        d = dh[:n] if batch.grad_outputs is None else dh[:n] + batch.grad_outputs[rows]
        i, f, g, o = np.moveaxis(gates[rows], 1, 0)
        dc_now = dc[:n] + d * o * (1 - tanh_cells[rows] ** 2)
        grad_rows[rows] = np.stack([dc_now * g, dc_now * c_previous[rows], dc_now * i, d * tanh_cells[rows]], 1)
        grad_rows[rows] *= slopes[rows]
        dc[:n] = dc_now * f
        dh[:n] = grad_rows[rows].reshape(n, 4 * H) @ weight_hh
    flat = grad_rows.reshape(N, 4 * H)
    grad_inputs = flat @ weight_ih
    grad_words = np.zeros(batch.words.shape)
    np.add.at(grad_words, batch.index, grad_inputs)
    return {
        "outputs": outputs, "h_n": h, "c_n": c, "gates": gates, "cells": cells,
        "grad_rows": grad_rows, "grad_inputs": grad_inputs, "grad_words": grad_words,
        "grad_weight_ih": flat.T @ x, "grad_weight_hh": flat.T @ h_previous, "grad_bias": flat.sum(0),
        "grad_h0": dh, "grad_c0": dc,
    }  # fmt: skip


def rows_by_word(batch: Batch) -> tuple[Array, Array]:
    """Return the batch's rows sorted by their word [N], and the start of each word's rows [M + 1]."""
    order = np.argsort(batch.index, kind="stable")
    return order, np.searchsorted(batch.index[order], np.arange(len(batch.words) + 1)).astype(np.int64)


def run_kernel(
    kernel: Kernel,
    batch: Batch,
    *,
    projected: bool = False,
    stride: int | None = None,
    precision: str = "float32",
) -> Results:
    """Run a forward and a backward pass and return the results under the names that `compute_exact` uses.

    With `projected`, the kernel reads rows that it projected before, and the results contain `grad_rows` and
    `grad_words` instead of `grad_inputs`. `stride` is the distance from one row of the outputs to the next, in
    floats.
    """
    H = batch.weight_hh.shape[1]
    states: dict[str, Any] = {"h0": batch.h0, "c0": batch.c0, "reverse": batch.reverse}
    packed = kernel.pack(batch.weight_ih, batch.weight_hh, batch.bias, precision)
    N, activations = len(batch.index), kernel.allocate_activations(len(batch.index), H)
    buffer = None if stride is None else np.full((N, stride), 7, np.float32)
    source: dict[str, Any] = {"inputs": batch.inputs}
    if projected:
        float32_weights = kernel.pack(batch.weight_ih, batch.weight_hh, batch.bias)
        source = {"projected": kernel.project(float32_weights, batch.words), "index": batch.index}
    outputs, h_n, c_n = kernel.forward(
        packed,
        batch.batch_sizes,
        **source,
        **states,
        outputs=None if buffer is None else buffer[:, :H],
        activations=activations,
    )
    results = {"outputs": outputs, "h_n": h_n, "c_n": c_n}
    results |= {"gates": activations.gates[:, :, :H].copy(), "cells": activations.cells[:, :H].copy()}
    gradients = kernel.backward(
        batch.batch_sizes,
        batch.weight_hh,
        outputs,
        activations,
        inputs=None if projected else batch.inputs,
        weight_ih=None if projected else batch.weight_ih,
        **states,
        grad_outputs=batch.grad_outputs,
        grad_h_n=batch.grad_h_n,
        grad_c_n=batch.grad_c_n,
        want_states=True,
        precision=precision,
    )
    assert gradients.weight_hh is not None
    assert gradients.bias is not None
    results |= {"grad_weight_hh": gradients.weight_hh, "grad_bias": gradients.bias}
    assert gradients.h0 is not None
    assert gradients.c0 is not None
    results |= {"grad_h0": gradients.h0, "grad_c0": gradients.c0}
    if projected:
        results["grad_rows"] = activations.gates[:, :, :H]
        order, starts = rows_by_word(batch)
        results["grad_words"], results["grad_weight_ih"] = kernel.project_backward(
            activations.gates, order, starts, batch.words, batch.weight_ih
        )
    else:
        assert activations.gates[:, :, :H].tobytes() == results["gates"].tobytes()  # unchanged
        assert gradients.inputs is not None
        assert gradients.weight_ih is not None
        results |= {"grad_inputs": gradients.inputs, "grad_weight_ih": gradients.weight_ih}
    assert buffer is None or (buffer[:, H:] == 7).all()
    return results


def relative_errors(actual: Results, expected: Results, floor: float = 0) -> dict[str, float]:
    """Return each array's largest difference, divided by the largest expected value or `floor`."""
    return {
        name: float(abs(array - expected[name]).max() / max(abs(expected[name]).max(), floor, 1e-300))
        for name, array in actual.items()
    }


def assert_close(actual: Results, expected: Results, tolerance: float = TOLERANCE, floor: float = 0) -> None:
    """Assert that the relative errors are at most `tolerance`. A NaN counts as an error."""
    errors = relative_errors(actual, expected, floor)
    wrong = {name: f"{error:.1e}" for name, error in errors.items() if not error <= tolerance}
    assert not wrong, f"larger than {tolerance}: {wrong}"


def assert_same_bits(one: Results, other: Results) -> None:
    """Assert that every array of `one` equals that of `other` bit by bit, including signs of zeros and NaNs."""
    wrong = [name for name in one if one[name].tobytes() != np.ascontiguousarray(other[name]).tobytes()]
    assert not wrong, f"different bits: {wrong}"
