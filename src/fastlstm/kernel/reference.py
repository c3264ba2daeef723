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

TILE_ROWS = 32
"""Sequences a matrix product takes at once, always that many, filled up with zeros.

BLAS chooses its loop, and with it the last bits of a sum, by the shape of the product. One shape for every
batch makes a sequence's result independent of how many others run beside it.
"""


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
    sequences, units = int(batch_sizes[0]), weight_hh.shape[1]
    dtype = inputs.dtype
    outputs = np.empty((len(inputs), units), dtype)
    h_n = np.zeros((sequences, units), dtype) if h0 is None else h0.astype(dtype)
    c_n = np.zeros((sequences, units), dtype) if c0 is None else c0.astype(dtype)
    offsets = np.concatenate(([0], np.cumsum(batch_sizes)))
    steps = range(len(batch_sizes) - 1, -1, -1) if reverse else range(len(batch_sizes))
    for first in range(0, sequences, TILE_ROWS):
        x, h, c = (np.zeros((TILE_ROWS, size), dtype) for size in (weight_ih.shape[1], units, units))
        tile = slice(first, min(first + TILE_ROWS, sequences))
        h[: tile.stop - first], c[: tile.stop - first] = h_n[tile], c_n[tile]
        for t in steps:
            running = min(int(batch_sizes[t]), tile.stop) - first
            if running <= 0:
                continue
            rows = slice(offsets[t] + first, offsets[t] + first + running)
            x[:running] = inputs[rows]
            gates = x @ weight_ih.T + h @ weight_hh.T + bias
            i, f, g, o = np.split(gates, 4, axis=1)
            next_c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            next_h = sigmoid(o) * np.tanh(next_c)
            c[:running], h[:running] = next_c[:running], next_h[:running]
            outputs[rows] = h[:running]
        h_n[tile], c_n[tile] = h[: tile.stop - first], c[: tile.stop - first]
    return outputs, h_n, c_n


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), by way of tanh, which has no overflow."""
    result: Array = 0.5 * np.tanh(0.5 * x) + 0.5
    return result
