"""The kernel's low precisions written out: rounded weights and states, all other arithmetic in float64."""

from __future__ import annotations

import numpy as np
from tests.helpers.kernel_exact import Array, Batch, Results

LOW_PRECISIONS = ("bfloat16", "int8")


def round_to_bfloat16(values: Array) -> Array:
    """Round to 8 bits of mantissa, ties to even. Returns float64."""
    bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    nearest = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    result: Array = nearest.astype(np.uint32).view(np.float32).astype(np.float64)
    return result


def round_weight(precision: str, weight: Array) -> Array:
    """Round weights to bfloat16, or to int8 with one scale per row. Returns float64."""
    if precision == "bfloat16":
        return round_to_bfloat16(weight)
    scale = np.abs(weight).max(axis=1, keepdims=True) / np.float32(127)
    scale = np.where(scale == 0, np.float32(1), scale)
    result: Array = np.round(weight / scale) * scale.astype(np.float64)
    return result


def round_state(precision: str, h: Array) -> Array:
    """Round states to bfloat16, or clip them to [-1, 1] and round them to 1/127. Returns float64."""
    if precision == "bfloat16":
        return round_to_bfloat16(h)
    result: Array = np.round(np.clip(h, -1, 1).astype(np.float32) * np.float32(127)) / 127.0
    return result


def tanh_of(precision: str, x: Array) -> Array:
    """Return tanh(x), in int8 as the quotient of csrc/gates-inl.h."""
    if precision != "int8":
        result: Array = np.tanh(x)
        return result
    x = np.clip(x, -5, 5)
    z = x * x
    quotient: Array = x * (1 + z * (0.102735852 + 0.000677901455 * z)) / (1 + z * (0.435847893 + 0.0129038556 * z))
    return quotient


def sigmoid_of(precision: str, x: Array) -> Array:
    """Return sigmoid(x), from `tanh_of`."""
    return 0.5 + 0.5 * tanh_of(precision, x / 2)


def compute_rounded(batch: Batch, precision: str, *, projected: bool) -> Results:
    """Return `outputs` [N, H], `h_n` and `c_n` [B, H]. Projected rows are not rounded."""
    weight_hh = round_weight(precision, batch.weight_hh)
    inputs, weight_ih = batch.inputs.astype(np.float64), batch.weight_ih.astype(np.float64)
    if not projected:
        inputs, weight_ih = round_state(precision, inputs), round_weight(precision, batch.weight_ih)
    projected_inputs = inputs @ weight_ih.T + batch.bias
    h, c = batch.h0.astype(np.float64), batch.c0.astype(np.float64)
    outputs = np.empty((len(inputs), h.shape[1]))
    ends = np.cumsum(batch.batch_sizes)
    steps = [slice(end - n, end) for end, n in zip(ends, batch.batch_sizes, strict=True)]
    for rows in reversed(steps) if batch.reverse else steps:
        n = rows.stop - rows.start
        i, f, g, o = np.split(projected_inputs[rows] + round_state(precision, h[:n]) @ weight_hh.T, 4, axis=1)
        i, f, o = (sigmoid_of(precision, gate) for gate in (i, f, o))
        c[:n] = f * c[:n] + i * tanh_of(precision, g)
        h[:n] = o * tanh_of(precision, c[:n])
        outputs[rows] = h[:n]
    return {"outputs": outputs, "h_n": h, "c_n": c}


def compute_rounded_gradients(batch: Batch, outputs: Array, gates: Array, cells: Array) -> Results:
    """Return the gradients of a bfloat16 backward pass, under the names that `compute_exact` uses.

    `outputs` [N, H], `gates` [N, 4, H] and `cells` [N, H] are those of the forward pass. Every operand of a matrix
    product is rounded: weights, inputs, h, and the gradients with respect to the gates.
    """
    weight_ih, weight_hh = round_to_bfloat16(batch.weight_ih), round_to_bfloat16(batch.weight_hh)
    x, h0, c0 = round_to_bfloat16(batch.inputs), round_to_bfloat16(batch.h0), batch.c0.astype(np.float64)
    dh, dc = batch.grad_h_n.astype(np.float64), batch.grad_c_n.astype(np.float64)
    outputs, gates, cells = outputs.astype(np.float64), gates.astype(np.float64), cells.astype(np.float64)
    N, H, ends = len(x), weight_hh.shape[1], np.cumsum(batch.batch_sizes)
    steps = [slice(end - n, end) for end, n in zip(ends, batch.batch_sizes, strict=True)]
    if batch.reverse:
        steps.reverse()
    grad_rows, h_previous = np.empty((N, 4, H)), np.empty((N, H))
    for step in reversed(range(len(steps))):
        rows, earlier = steps[step], steps[step - 1]
        n = rows.stop - rows.start
        h_previous[rows], c_previous = h0[:n], c0[:n].copy()
        if step > 0:
            running = min(n, earlier.stop - earlier.start)
            h_previous[rows][:running] = round_to_bfloat16(outputs[earlier][:running])
            c_previous[:running] = cells[earlier][:running]
        d = dh[:n] if batch.grad_outputs is None else dh[:n] + batch.grad_outputs[rows]
        i, f, g, o = np.moveaxis(gates[rows], 1, 0)
        tanh_cells = np.tanh(cells[rows])
        dc_now = dc[:n] + d * o * (1 - tanh_cells**2)
        grad_rows[rows] = np.stack(
            [
                dc_now * g * i * (1 - i),
                dc_now * c_previous * f * (1 - f),
                dc_now * i * (1 - g**2),
                d * tanh_cells * o * (1 - o),
            ],
            1,
        )
        dc[:n] = dc_now * f
        dh[:n] = round_to_bfloat16(grad_rows[rows]).reshape(n, 4 * H) @ weight_hh
    flat = round_to_bfloat16(grad_rows).reshape(N, 4 * H)
    return {
        "grad_rows": grad_rows, "grad_inputs": flat @ weight_ih, "grad_weight_ih": flat.T @ x,
        "grad_weight_hh": flat.T @ h_previous, "grad_bias": grad_rows.sum(0).reshape(4 * H),
        "grad_h0": dh, "grad_c0": dc,
    }  # fmt: skip
