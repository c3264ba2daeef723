"""What the kernel's narrow precisions compute, written out: weights and states rounded, the rest in float64."""

from __future__ import annotations

import numpy as np
from tests.helpers.kernel_exact import Array, Batch, Results

NARROW = ("bfloat16", "int8")


def bfloat16(values: Array) -> Array:
    """The nearest numbers with 8 bits of mantissa, even ones where two are as near."""
    bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    nearest = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    result: Array = nearest.astype(np.uint32).view(np.float32).astype(np.float64)
    return result


def weight_in(precision: str, weight: Array) -> Array:
    if precision == "bfloat16":
        return bfloat16(weight)
    scale = np.abs(weight).max(axis=1, keepdims=True) / np.float32(127)
    scale = np.where(scale == 0, np.float32(1), scale)
    result: Array = np.round(weight / scale) * scale.astype(np.float64)
    return result


def state_in(precision: str, h: Array) -> Array:
    if precision == "bfloat16":
        return bfloat16(h)
    result: Array = np.round(np.clip(h, -1, 1).astype(np.float32) * np.float32(127)) / 127.0
    return result


def rounded(batch: Batch, precision: str, *, projected: bool) -> Results:
    """`outputs` [N, H], `h_n` and `c_n` [B, H]; rows that were projected are not rounded."""
    weight_hh = weight_in(precision, batch.weight_hh)
    inputs, weight_ih = batch.inputs.astype(np.float64), batch.weight_ih.astype(np.float64)
    if not projected:
        inputs, weight_ih = state_in(precision, inputs), weight_in(precision, batch.weight_ih)
    before = inputs @ weight_ih.T + batch.bias
    h, c = batch.h0.astype(np.float64), batch.c0.astype(np.float64)
    outputs = np.empty((len(inputs), h.shape[1]))
    ends = np.cumsum(batch.batch_sizes)
    steps = [slice(end - n, end) for end, n in zip(ends, batch.batch_sizes, strict=True)]
    for rows in reversed(steps) if batch.reverse else steps:
        n = rows.stop - rows.start
        i, f, g, o = np.split(before[rows] + state_in(precision, h[:n]) @ weight_hh.T, 4, axis=1)
        c[:n] = c[:n] / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h[:n] = np.tanh(c[:n]) / (1 + np.exp(-o))
        outputs[rows] = h[:n]
    return {"outputs": outputs, "h_n": h, "c_n": c}


def rounded_gradients(batch: Batch, outputs: Array, gates: Array, cells: Array) -> Results:
    """What the backward pass in bfloat16 makes of what a forward pass left: [N, H], [N, 4, H] and [N, H].

    The names of `exact`. Every operand of a product is rounded: weights, inputs, h, and the gradients by the gates.
    """
    weight_ih, weight_hh = bfloat16(batch.weight_ih), bfloat16(batch.weight_hh)
    x, h0, c0 = bfloat16(batch.inputs), bfloat16(batch.h0), batch.c0.astype(np.float64)
    dh, dc = batch.grad_h_n.astype(np.float64), batch.grad_c_n.astype(np.float64)
    outputs, gates, cells = outputs.astype(np.float64), gates.astype(np.float64), cells.astype(np.float64)
    N, H, ends = len(x), weight_hh.shape[1], np.cumsum(batch.batch_sizes)
    steps = [slice(end - n, end) for end, n in zip(ends, batch.batch_sizes, strict=True)]
    if batch.reverse:
        steps.reverse()
    grad_rows, h_before = np.empty((N, 4, H)), np.empty((N, H))
    for number in reversed(range(len(steps))):
        rows, earlier = steps[number], steps[number - 1]
        n = rows.stop - rows.start
        h_before[rows], c_before = h0[:n], c0[:n].copy()
        if number > 0:
            running = min(n, earlier.stop - earlier.start)
            h_before[rows][:running] = bfloat16(outputs[earlier][:running])
            c_before[:running] = cells[earlier][:running]
        d = dh[:n] if batch.grad_outputs is None else dh[:n] + batch.grad_outputs[rows]
        i, f, g, o = np.moveaxis(gates[rows], 1, 0)
        t = np.tanh(cells[rows])
        dc_now = dc[:n] + d * o * (1 - t**2)
        grad_rows[rows] = np.stack(
            [
                dc_now * g * i * (1 - i),
                dc_now * c_before * f * (1 - f),
                dc_now * i * (1 - g**2),
                d * t * o * (1 - o),
            ],
            1,
        )
        dc[:n] = dc_now * f
        dh[:n] = bfloat16(grad_rows[rows]).reshape(n, 4 * H) @ weight_hh
    flat = bfloat16(grad_rows).reshape(N, 4 * H)
    return {
        "grad_rows": grad_rows, "grad_inputs": flat @ weight_ih, "grad_weight_ih": flat.T @ x,
        "grad_weight_hh": flat.T @ h_before, "grad_bias": grad_rows.sum(0).reshape(4 * H),
        "grad_h0": dh, "grad_c0": dc,
    }  # fmt: skip
