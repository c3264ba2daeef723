"""The LSTM's definition in NumPy: obvious, slow, and what every faster one is held to.

Legend: T steps, B sequences, N rows (all sequences' steps together), I input, H hidden units.

Hochreiter & Schmidhuber (1997), with the forget gate of Gers, Schmidhuber & Cummins (2000):

    i, f, g, o = split(W_ih x_t + W_hh h_{t-1} + b, 4)
    c_t = sigmoid(f) * c_{t-1} + sigmoid(i) * tanh(g)
    h_t = sigmoid(o) * tanh(c_t)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

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
) -> tuple[Array, Array, Array]:
    """`forward` over inputs that are projected already [N, 4H]."""
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
        i, f, g, o = np.split(projected[rows] + times(h_n[:running], weight_hh), 4, axis=1)
        c_n[:running] = sigmoid(f) * c_n[:running] + sigmoid(i) * np.tanh(g)
        h_n[:running] = sigmoid(o) * np.tanh(c_n[:running])
        outputs[rows] = h_n[:running]
    return outputs, h_n, c_n


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
