"""The LSTM in NumPy: obvious and slow, the definition that every faster implementation is compared with.

Dimensions: T steps, B sequences, N rows (the steps of all sequences), I input size, H hidden units.

Hochreiter & Schmidhuber (1997), with the forget gate of Gers, Schmidhuber & Cummins (2000):

    i, f, g, o = split(W_ih x_t + W_hh h_{t-1} + b, 4)
    c_t = sigmoid(f) * c_{t-1} + sigmoid(i) * tanh(g)
    h_t = sigmoid(o) * tanh(c_t)

`backward` applies the chain rule to these equations.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastlstm._typing import IndexArray
from fastlstm.kernel.bindings import SavedActivations

Array = npt.NDArray[np.floating]


def forward(
    inputs: Array,
    batch_sizes: IndexArray,
    weight_ih: Array,
    weight_hh: Array,
    bias: Array,
    *,
    h0: Array | None = None,
    c0: Array | None = None,
    reverse: bool = False,
) -> tuple[Array, Array, Array]:
    """Run one LSTM layer in one direction over a packed batch.

    Args:
        inputs: [N, I], time-major and packed: the rows of step 0, then those of step 1, and so on. Sequences
            are sorted by length, longest first, so the rows of a step are its first `batch_sizes[t]` sequences.
        batch_sizes: [T], sequences of each step; never increasing, at least 1.
        weight_ih: [4H, I], gates in the order i, f, g, o.
        weight_hh: [4H, H].
        bias: [4H], the single bias of each gate.
        h0: [B, H], hidden state before the first step read; zeros if None.
        c0: [B, H], cell state before the first step read; zeros if None.
        reverse: Read each sequence from its last step to its first.

    Returns:
        The hidden state after each step [N, H], packed like `inputs`; the final hidden state and the final cell
        state [B, H] of each sequence. All have the dtype of `inputs`.
    """
    projected = project(inputs, weight_ih, bias)
    return recur(projected, batch_sizes, weight_hh, h0=h0, c0=c0, reverse=reverse)


def project(inputs: Array, weight_ih: Array, bias: Array) -> Array:
    """Return W_ih x + b of rows [M, I], as [M, 4H]."""
    return row_matmul(inputs, weight_ih) + bias


def recur(
    projected: Array,
    batch_sizes: IndexArray,
    weight_hh: Array,
    *,
    h0: Array | None = None,
    c0: Array | None = None,
    reverse: bool = False,
    activations: SavedActivations | None = None,
) -> tuple[Array, Array, Array]:
    """Run `forward` over projected inputs [N, 4H]. `activations` are filled if given."""
    sequences, units = int(batch_sizes[0]), weight_hh.shape[1]
    dtype = projected.dtype
    outputs = np.empty((len(projected), units), dtype)
    h_n = np.zeros((sequences, units), dtype) if h0 is None else h0.astype(dtype)
    c_n = np.zeros((sequences, units), dtype) if c0 is None else c0.astype(dtype)
    offsets = np.concatenate(([0], np.cumsum(batch_sizes)))
    steps = range(len(batch_sizes) - 1, -1, -1) if reverse else range(len(batch_sizes))
    for t in steps:
        running = int(batch_sizes[t])
        rows = slice(offsets[t], offsets[t] + running)
        sums = projected[rows] + row_matmul(h_n[:running], weight_hh)
        sum_i, sum_f, sum_g, sum_o = np.split(sums, 4, axis=1)
        i, f, g, o = sigmoid(sum_i), sigmoid(sum_f), np.tanh(sum_g), sigmoid(sum_o)
        c_n[:running] = f * c_n[:running] + i * g
        h_n[:running] = o * np.tanh(c_n[:running])
        outputs[rows] = h_n[:running]
        if activations is not None:
            activations.gates[rows] = np.stack([i, f, g, o], axis=1)
            activations.cells[rows] = c_n[:running]
    return outputs, h_n, c_n


def backward(
    activations: SavedActivations,
    batch_sizes: IndexArray,
    weight_hh: Array,
    *,
    c0: Array | None = None,
    reverse: bool = False,
    grad_outputs: Array | None = None,
    grad_h_n: Array | None = None,
    grad_c_n: Array | None = None,
) -> Array:
    """Return the gradients [N, 4, H] with respect to W_ih x + W_hh h + b of each row.

    Args:
        activations, batch_sizes, weight_hh, c0, reverse: Those of the forward pass.
        grad_outputs: [N, H], gradients of the outputs; zeros if None.
        grad_h_n, grad_c_n: [B, H], gradients of the final states; zeros if None.
    """
    sequences, units = int(batch_sizes[0]), weight_hh.shape[1]
    row_count, dtype = len(activations.cells), activations.cells.dtype
    gradient = np.empty((row_count, 4, units), dtype)
    dh, dc = (np.zeros((sequences, units), dtype) if g is None else g.astype(dtype) for g in (grad_h_n, grad_c_n))
    offsets = np.concatenate(([0], np.cumsum(batch_sizes)))
    steps = list(range(len(batch_sizes)))
    if reverse:
        steps.reverse()
    for number in range(len(steps) - 1, -1, -1):
        t = steps[number]
        running = int(batch_sizes[t])
        rows = slice(offsets[t], offsets[t] + running)
        c_before = np.zeros((running, units), dtype) if c0 is None else c0[:running].astype(dtype)
        if number:
            before = steps[number - 1]
            continued = min(running, int(batch_sizes[before]))
            c_before[:continued] = activations.cells[offsets[before] : offsets[before] + continued]
        i, f, g, o = np.moveaxis(activations.gates[rows], 1, 0)
        tanh_c = np.tanh(activations.cells[rows])
        dh_t = dh[:running] if grad_outputs is None else dh[:running] + grad_outputs[rows]
        dc_t = dc[:running] + dh_t * o * (1 - tanh_c**2)
        gradient[rows] = np.stack(
            [
                dc_t * g * i * (1 - i),
                dc_t * c_before * f * (1 - f),
                dc_t * i * (1 - g**2),
                dh_t * tanh_c * o * (1 - o),
            ],
            axis=1,
        )
        dc[:running] = dc_t * f
        dh[:running] = gradient[rows].reshape(running, 4 * units) @ weight_hh
    return gradient


def row_matmul(rows: Array, weight: Array) -> Array:
    """Return rows @ weight.T, [B, O] for `rows` [B, I] and `weight` [O, I], computed row by row.

    One matrix product of all rows is faster, but in BLAS the rounding of a row depends on its position, on the number
    of rows and on the number of threads. The product of one row with a matrix depends on that row only.
    """
    result: Array = (rows[:, None, :] @ weight.T)[:, 0]
    return result


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), computed by tanh, which does not overflow."""
    result: Array = 0.5 * np.tanh(0.5 * x) + 0.5
    return result
