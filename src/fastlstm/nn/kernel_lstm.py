"""The compiled kernel under PyTorch's autograd: one LSTM layer in one direction over a packed batch, on a CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastlstm._typing import FloatArray, IndexArray
from fastlstm.kernel import find_kernel
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.memory import BufferPool
from fastlstm.text.batches import DistinctTokens

CPU = torch.device("cpu")


@cache
def kernel() -> Kernel | None:
    """The kernel, with memory of training's own; None where there is none."""
    found = find_kernel().kernel
    return None if found is None else found.allocating(BufferPool().take)


_precision = ContextVar("_precision", default="float32")


@contextlib.contextmanager
def multiply_precision(precision: str) -> Iterator[None]:
    """Passes that keep what backward needs multiply in `precision`, where this processor can; others in float32."""
    before = _precision.set(precision)
    try:
        yield
    finally:
        _precision.reset(before)


def precision() -> str:
    """What training's products are taken of here and now."""
    return effective_precision(_precision.get())


def effective_precision(asked: str, device: torch.device = CPU) -> str:
    """The precision that is asked for; on a CPU "float32" where there is no kernel or the processor lacks it."""
    if device.type != "cpu":
        return asked
    there = kernel()
    return asked if there is not None and there.has(asked) else "float32"


def kernel_lstm(
    inputs: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor,
    batch_sizes: IndexArray,
    *,
    read: DistinctTokens | None = None,
    h0: Tensor | None = None,
    c0: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs [N, H] and last states h and c [B, H]; differentiable once by every tensor given.

    Args:
        inputs: [N, I] float32 on the CPU, as are all tensors; with `read` [M, I].
        weight_ih, weight_hh, bias: [4H, I], [4H, H] and [4H], gates in the order i, f, g, o.
        batch_sizes: [T], as lstm.h says.
        read: which row of `inputs` each of the N steps reads; each row is multiplied by weight_ih once, however
            often it is read.
        h0, c0: [B, H], zeros if None.
        reverse: read every sequence from its last step to its first.
    """
    keep = torch.is_grad_enabled()
    apply: Callable[..., tuple[Tensor, Tensor, Tensor]] = _LSTM.apply
    return apply(inputs, weight_ih, weight_hh, bias, h0, c0, batch_sizes, read, reverse, keep)


class _LSTM(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias: Tensor,
        h0: Tensor | None,
        c0: Tensor | None,
        batch_sizes: IndexArray,
        read: DistinctTokens | None,
        reverse: bool,
        keep: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        native = _kernel()
        kept = native.keep(int(batch_sizes.sum()), weight_hh.shape[1]) if keep else None
        of = precision() if keep else "float32"
        rows, by_inputs, by_states, starts = _array(inputs), _array(weight_ih), _array(weight_hh), _array(bias)
        projected = None
        if read is not None:
            packed = native.pack(by_inputs, by_states, starts)
            projected = native.project(packed, rows)
        if read is None or of != "float32":
            packed = native.pack(by_inputs if read is None else None, by_states, starts, of)
        results = native.forward(
            packed,
            batch_sizes,
            inputs=rows if read is None else None,
            projected=projected,
            index=None if read is None else read.index,
            h0=_maybe(h0),
            c0=_maybe(c0),
            reverse=reverse,
            kept=kept,
        )
        outputs, h_n, c_n = (torch.from_numpy(result) for result in results)
        if keep:
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(inputs, weight_ih, weight_hh, h0, c0, outputs)
            ctx.batch_sizes, ctx.read, ctx.reverse, ctx.kept = batch_sizes, read, reverse, kept
            ctx.precision = of
        return outputs, h_n, c_n

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_outputs: Tensor | None, grad_h_n: Tensor | None, grad_c_n: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        inputs, weight_ih, weight_hh, h0, c0, outputs = ctx.saved_tensors
        native, read, kept = _kernel(), ctx.read, ctx.kept
        if kept is None:
            raise RuntimeError("this graph's backward pass has run, and what it needs is gone; run forward again")
        ctx.kept = None
        gradients = native.backward(
            ctx.batch_sizes,
            _array(weight_hh),
            outputs.numpy(),
            kept,
            inputs=_array(inputs) if read is None else None,
            weight_ih=_array(weight_ih) if read is None else None,
            h0=_maybe(h0),
            c0=_maybe(c0),
            reverse=ctx.reverse,
            grad_outputs=_maybe(grad_outputs),
            grad_h_n=_maybe(grad_h_n),
            grad_c_n=_maybe(grad_c_n),
            want_inputs=ctx.needs_input_grad[0],
            want_states=ctx.needs_input_grad[4] or ctx.needs_input_grad[5],
            precision=ctx.precision,
        )
        by_inputs, by_weight_ih = gradients.inputs, gradients.weight_ih
        if read is not None:
            by_inputs, by_weight_ih = native.project_backward(
                kept.gates, read.order, read.starts, _array(inputs), _array(weight_ih)
            )
        by_weights = (by_inputs, by_weight_ih, gradients.weight_hh, gradients.bias, gradients.h0, gradients.c0)
        return *(None if g is None else torch.from_numpy(g) for g in by_weights), None, None, None, None


def _kernel() -> Kernel:
    found = kernel()
    assert found is not None, "callers ask whether there is a kernel first"
    return found


def _array(tensor: Tensor) -> FloatArray:
    """The tensor's own memory, where it is contiguous."""
    array: FloatArray = tensor.detach().contiguous().numpy()
    return array


def _maybe(tensor: Tensor | None) -> FloatArray | None:
    return None if tensor is None else _array(tensor)
