"""The compiled kernel as an autograd function: one LSTM layer, one direction, over a packed batch, on a CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastlstm._typing import FloatArray, IndexArray
from fastlstm.config.options import Precision
from fastlstm.kernel import find_kernel
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.memory import BufferPool
from fastlstm.precision import AUTO, fastest_precision
from fastlstm.text.batches import DistinctTokens

CPU = torch.device("cpu")


@cache
def kernel() -> Kernel | None:
    """Return the kernel with a separate buffer pool for training; None if there is no kernel."""
    native = find_kernel().kernel
    return None if native is None else native.with_allocator(BufferPool().take)


_precision = ContextVar("_precision", default="float32")


@contextlib.contextmanager
def multiply_precision(precision: str) -> Iterator[None]:
    """Multiply in `precision` in this context, if the CPU supports it: forward passes with gradients only.

    Passes without gradients multiply in float32.
    """
    token = _precision.set(precision)
    try:
        yield
    finally:
        _precision.reset(token)


def current_precision() -> str:
    """Return the precision of training in the current context."""
    return effective_precision(_precision.get())


def training_precision(
    requested: Precision, hidden_sizes: Sequence[int], batch_size: int, device: torch.device = CPU
) -> Precision:
    """Return the precision that training computes in: for "auto" on a CPU, the fastest one for these sizes.

    Other values as in `effective_precision`.
    """
    if requested == AUTO and device.type == "cpu":
        actual = fastest_precision("training", hidden_sizes, find_kernel(), sequences=(batch_size,))
    else:
        actual = effective_precision(requested, device)
    return cast("Precision", actual)


def effective_precision(requested: str, device: torch.device = CPU) -> str:
    """Return the precision that training computes in if `requested` is not "auto".

    On a CPU it is "float32" if there is no kernel, or if the CPU does not support the requested one. On a GPU it has
    no effect.
    """
    if device.type != "cpu":
        return requested
    native = kernel()
    return requested if native is not None and native.supports(requested) else "float32"


def kernel_lstm(
    inputs: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor,
    batch_sizes: IndexArray,
    *,
    distinct: DistinctTokens | None = None,
    h0: Tensor | None = None,
    c0: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return outputs [N, H] and final states h and c [B, H]. Every tensor argument is differentiable once.

    All tensors are float32 on the CPU.

    Args:
        inputs: [N, I], the packed rows; with `distinct` [M, I], the M distinct ones.
        weight_ih, weight_hh, bias: [4H, I], [4H, H] and [4H], gates in the order i, f, g, o.
        batch_sizes: [T], the number of sequences in each step, see lstm.h.
        distinct: Maps each of the N packed rows to its row of `inputs`. Each distinct row is multiplied by
            `weight_ih` only once.
        h0, c0: [B, H], initial states; zeros if None.
        reverse: Process every sequence from its last step to its first.
    """
    needs_gradients = torch.is_grad_enabled()
    apply: Callable[..., tuple[Tensor, Tensor, Tensor]] = _LSTM.apply
    return apply(inputs, weight_ih, weight_hh, bias, h0, c0, batch_sizes, distinct, reverse, needs_gradients)


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
        distinct: DistinctTokens | None,
        reverse: bool,
        needs_gradients: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        native = require_kernel()
        activations = (
            native.allocate_activations(int(batch_sizes.sum()), weight_hh.shape[1]) if needs_gradients else None
        )
        precision = current_precision() if needs_gradients else "float32"
        rows, w_ih, w_hh, b = _array(inputs), _array(weight_ih), _array(weight_hh), _array(bias)
        projected = None
        if distinct is not None:
            packed = native.pack(w_ih, w_hh, b)
            projected = native.project(packed, rows)
        if distinct is None or precision != "float32":
            packed = native.pack(w_ih if distinct is None else None, w_hh, b, precision)
        results = native.forward(
            packed,
            batch_sizes,
            inputs=rows if distinct is None else None,
            projected=projected,
            index=None if distinct is None else distinct.index,
            h0=_optional_array(h0),
            c0=_optional_array(c0),
            reverse=reverse,
            activations=activations,
        )
        outputs, h_n, c_n = (torch.from_numpy(result) for result in results)
        if needs_gradients:
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(inputs, weight_ih, weight_hh, h0, c0, outputs)
            ctx.batch_sizes, ctx.distinct, ctx.reverse, ctx.activations = (
                batch_sizes,
                distinct,
                reverse,
                activations,
            )
            ctx.precision = precision
        return outputs, h_n, c_n

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_outputs: Tensor | None, grad_h_n: Tensor | None, grad_c_n: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        inputs, weight_ih, weight_hh, h0, c0, outputs = ctx.saved_tensors
        native, distinct, activations = require_kernel(), ctx.distinct, ctx.activations
        if activations is None:
            raise RuntimeError("backward ran before and freed the saved activations; run forward again")
        ctx.activations = None
        gradients = native.backward(
            ctx.batch_sizes,
            _array(weight_hh),
            outputs.numpy(),
            activations,
            inputs=_array(inputs) if distinct is None else None,
            weight_ih=_array(weight_ih) if distinct is None else None,
            h0=_optional_array(h0),
            c0=_optional_array(c0),
            reverse=ctx.reverse,
            grad_outputs=_optional_array(grad_outputs),
            grad_h_n=_optional_array(grad_h_n),
            grad_c_n=_optional_array(grad_c_n),
            want_inputs=ctx.needs_input_grad[0],
            want_states=ctx.needs_input_grad[4] or ctx.needs_input_grad[5],
            precision=ctx.precision,
        )
        grad_inputs, grad_weight_ih = gradients.inputs, gradients.weight_ih
        if distinct is not None:
            grad_inputs, grad_weight_ih = native.project_backward(
                activations.gates, distinct.order, distinct.starts, _array(inputs), _array(weight_ih)
            )
        grads = grad_inputs, grad_weight_ih, gradients.weight_hh, gradients.bias, gradients.h0, gradients.c0
        return *(None if g is None else torch.from_numpy(g) for g in grads), None, None, None, None


def require_kernel() -> Kernel:
    """Return the kernel. Callers check `uses_kernel` first."""
    native = kernel()
    assert native is not None, "callers check uses_kernel first"
    return native


def _array(tensor: Tensor) -> FloatArray:
    """Return the tensor as an array, without a copy if it is contiguous."""
    array: FloatArray = tensor.detach().contiguous().numpy()
    return array


def _optional_array(tensor: Tensor | None) -> FloatArray | None:
    return None if tensor is None else _array(tensor)
