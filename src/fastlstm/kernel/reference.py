"""The LSTM's definition in NumPy: obvious, slow, and what every faster one is held to.

Legend: T steps, B sequences, N rows (all sequences' steps together), I input, H hidden units.

Hochreiter & Schmidhuber (1997), with the forget gate of Gers, Schmidhuber & Cummins (2000):

    i, f, g, o = split(W_ih x_t + W_hh h_{t-1} + b, 4)
    c_t = sigmoid(f) * c_{t-1} + sigmoid(i) * tanh(g)
    h_t = sigmoid(o) * tanh(c_t)

`backward` follows the same equations back, by the chain rule.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastlstm.kernel.bindings import SavedActivations

Array = npt.NDArray[np.floating]


def forward(
    inputs: Array,
    batch_sizes: npt.NDArray[np.int64],
    weight_ih: Array,
    weight_hh: Array,
    bias: Array,
    *,
    h0: Array | None = None,
    c0: Array | None = None,
    reverse: bool = False,
) -> tuple[Array, Array, Array]:
    """One LSTM layer, in one direction, over a packed batch.

    Args:
        inputs: [N, I], time-major and packed: the rows of step 0, then those of step 1, and so on. Sequences
            are sorted by length, longest first, so the rows of a step are its first `batch_sizes[t]` sequences.
        batch_sizes: [T], how many sequences are still running at each step; never rising, at least 1.
        weight_ih: [4H, I], gates in the order i, f, g, o.
        weight_hh: [4H, H].
        bias: [4H], the one bias of each gate.
        h0: [B, H], hidden state before the first step read; zeros if None.
        c0: [B, H], cell state before the first step read; zeros if None.
        reverse: read every sequence from its own last step to its first.

    Returns:
        The hidden state after every step [N, H], packed as `inputs` are; the last hidden state and the last
        cell state [B, H] of every sequence. All in the dtype of `inputs`.
    """
    projected = project(inputs, weight_ih, bias)
    return recur(projected, batch_sizes, weight_hh, h0=h0, c0=c0, reverse=reverse)


def project(inputs: Array, weight_ih: Array, bias: Array) -> Array:
    """W_ih x + b of rows [M, I], as [M, 4H]."""
    return times(inputs, weight_ih) + bias


def recur(
    projected: Array,
    batch_sizes: npt.NDArray[np.int64],
    weight_hh: Array,
    *,
    h0: Array | None = None,
    c0: Array | None = None,
    reverse: bool = False,
    kept: SavedActivations | None = None,
) -> tuple[Array, Array, Array]:
    """`forward` over inputs that are projected already [N, 4H]; `kept` is filled where given."""
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
        before = projected[rows] + times(h_n[:running], weight_hh)
        of_i, of_f, of_g, of_o = np.split(before, 4, axis=1)
        i, f, g, o = sigmoid(of_i), sigmoid(of_f), np.tanh(of_g), sigmoid(of_o)
        c_n[:running] = f * c_n[:running] + i * g
        h_n[:running] = o * np.tanh(c_n[:running])
        outputs[rows] = h_n[:running]
        if kept is not None:
            kept.gates[rows] = np.stack([i, f, g, o], axis=1)
            kept.cells[rows] = c_n[:running]
    return outputs, h_n, c_n


def backward(
    kept: SavedActivations,
    batch_sizes: npt.NDArray[np.int64],
    weight_hh: Array,
    *,
    c0: Array | None = None,
    reverse: bool = False,
    grad_outputs: Array | None = None,
    grad_h_n: Array | None = None,
    grad_c_n: Array | None = None,
) -> Array:
    """[N, 4, H] the gradient by every row's W_ih x + W_hh h + b, of a pass that kept `kept`.

    Args:
        kept, batch_sizes, weight_hh, c0, reverse: those of the forward pass.
        grad_outputs: [N, H], of the outputs; grad_h_n, grad_c_n: [B, H], of the last states. Zeros if None.
    """
    sequences, units = int(batch_sizes[0]), weight_hh.shape[1]
    rows_of, dtype = len(kept.cells), kept.cells.dtype
    gradient = np.empty((rows_of, 4, units), dtype)
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
            c_before[:continued] = kept.cells[offsets[before] : offsets[before] + continued]
        i, f, g, o = np.moveaxis(kept.gates[rows], 1, 0)
        squashed = np.tanh(kept.cells[rows])
        by_h = dh[:running] if grad_outputs is None else dh[:running] + grad_outputs[rows]
        by_c = dc[:running] + by_h * o * (1 - squashed**2)
        gradient[rows] = np.stack(
            [
                by_c * g * i * (1 - i),
                by_c * c_before * f * (1 - f),
                by_c * i * (1 - g**2),
                by_h * squashed * o * (1 - o),
            ],
            axis=1,
        )
        dc[:running] = by_c * f
        dh[:running] = gradient[rows].reshape(running, 4 * units) @ weight_hh
    return gradient


def times(rows: Array, weight: Array) -> Array:
    """[B, O]: every row of [B, I] by itself times `weight` [O, I], transposed.

    A matrix product of all rows at once is faster, but BLAS rounds a row of it by its place, by the number of
    rows and by the number of threads. A vector's product with a matrix has only itself to go by.
    """
    result: Array = (rows[:, None, :] @ weight.T)[:, 0]
    return result


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), by way of tanh, which has no overflow."""
    result: Array = 0.5 * np.tanh(0.5 * x) + 0.5
    return result
