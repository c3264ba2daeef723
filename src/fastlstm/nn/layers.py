"""PyTorch layers of training: embedding, pooling, and an LSTM layer with the kernel and PyTorch as back ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.rnn import PackedSequence

from fastlstm._typing import FloatArray
from fastlstm.nn import kernel_lstm
from fastlstm.nn.device import gather, to_device
from fastlstm.text.batches import DistinctTokens, PackedBatch

Layer = TypeVar("Layer", bound=nn.Module)


def make_layer(kind: Callable[..., Layer], *sizes: int, generator: torch.Generator | None) -> Layer:
    """Return a float32 layer of PyTorch on the CPU, whose weights the caller initializes.

    PyTorch's constructors draw from the generator of the process. This function draws as many numbers from `generator`,
    so that a seed gives the weights that `torch.manual_seed` would give; None is the generator of the process.
    """
    layer = kind(*sizes, device="meta", dtype=torch.float32).to_empty(device="cpu")
    for parameter in layer.parameters():
        if isinstance(layer, nn.Embedding):
            nn.init.normal_(parameter, generator=generator)
        else:
            nn.init.uniform_(parameter, generator=generator)
    return layer


class Embedding(nn.Embedding):
    """Word vectors [V, E]. With `sparse`, the ids of a call must be strictly increasing.

    The sparse gradient of `nn.Embedding` must be sorted and summed, which takes longer than the lookup itself.
    """

    def forward(self, ids: Tensor) -> Tensor:
        """Return the vectors [M, E] of ids [M]."""
        if not self.sparse:
            return super().forward(ids)
        vectors: Tensor = _SparseLookup.apply(self.weight, ids)  # type: ignore[no-untyped-call]
        return vectors


class _SparseLookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.shape = weight.shape
        return weight.index_select(0, ids)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (ids,) = ctx.saved_tensors
        gradient = torch.sparse_coo_tensor(ids[None], grad, ctx.shape, is_coalesced=True, check_invariants=False)
        return gradient, None


def pool(outputs: Tensor, batch: PackedBatch) -> tuple[Tensor, Tensor]:
    """Return the maximum and the mean [B, H] of each text's outputs, from packed rows [N, H].

    On a CPU, all steps that share the maximum receive its gradient.
    """
    if outputs.device.type == "cpu" and outputs.dtype == torch.float32:
        apply: Callable[..., tuple[Tensor, Tensor]] = _PackedPool.apply
        return apply(outputs, batch)
    lengths = to_device(batch.lengths(), outputs.device)
    grid = pad_batch(outputs, batch, -math.inf)
    mean = grid.masked_fill(grid == -math.inf, 0.0).sum(dim=0) / lengths[:, None]
    return grid.amax(dim=0), mean


class _PackedPool(torch.autograd.Function):
    """Pool packed rows step by step: PyTorch can reduce them only after padding."""

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, batch: PackedBatch) -> tuple[Tensor, Tensor]:
        rows: FloatArray = outputs.detach().numpy()
        texts = int(batch.batch_sizes[0])
        total = np.zeros((texts, rows.shape[1]), np.float32)
        maximum = np.full_like(total, -np.inf)
        start = 0
        for size in batch.batch_sizes:
            step = rows[start : start + size]
            total[:size] += step
            np.maximum(maximum[:size], step, out=maximum[:size])
            start += size
        lengths = batch.lengths().astype(np.float32)[:, None]
        ctx.batch_sizes, ctx.lengths = batch.batch_sizes, lengths
        result = torch.from_numpy(maximum), torch.from_numpy(total / lengths)
        ctx.save_for_backward(outputs, result[0])
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_maximum: Tensor, grad_mean: Tensor) -> tuple[Tensor, None]:
        outputs, maximum = (saved.numpy() for saved in ctx.saved_tensors)
        from_maximum, from_mean = grad_maximum.numpy(), grad_mean.numpy() / ctx.lengths
        gradients = np.empty_like(outputs)
        start = 0
        for size in ctx.batch_sizes:
            step, rows = gradients[start : start + size], slice(start, start + size)
            np.multiply(outputs[rows] == maximum[:size], from_maximum[:size], out=step)
            step += from_mean[:size]
            start += size
        return torch.from_numpy(gradients), None


class LSTMDirection(nn.Module):
    """One LSTM layer in one direction over a packed batch.

    The kernel computes float32 on a CPU, if there is a kernel; PyTorch computes everything else.

    The weights are those of `nn.LSTM` (gates i, f, g, o). Its second bias is redundant and stays zero. The weights
    are initialized as in Keras: Glorot-uniform input weights, orthogonal recurrent weights, biases 0 except 1 for
    the forget gate (Jozefowicz, Zaremba & Sutskever 2015).
    """

    def __init__(
        self, input_size: int, hidden_size: int, *, reverse: bool = False, generator: torch.Generator | None = None
    ) -> None:
        """Create the layer with fresh weights from `generator`; None is the generator of the process."""
        super().__init__()
        self.reverse = reverse
        self.lstm = make_layer(nn.LSTM, input_size, hidden_size, generator=generator)
        self.lstm.get_parameter("bias_hh_l0").requires_grad_(False).zero_()
        nn.init.xavier_uniform_(self.weight_ih, generator=generator)
        nn.init.orthogonal_(self.weight_hh, generator=generator)
        with torch.no_grad():
            self.bias.zero_()[hidden_size : 2 * hidden_size] = 1

    @property
    def weight_ih(self) -> nn.Parameter:
        """[4H, I]"""
        return self.lstm.get_parameter("weight_ih_l0")

    @property
    def weight_hh(self) -> nn.Parameter:
        """[4H, H]"""
        return self.lstm.get_parameter("weight_hh_l0")

    @property
    def bias(self) -> nn.Parameter:
        """[4H]"""
        return self.lstm.get_parameter("bias_ih_l0")

    def forward(
        self, inputs: Tensor, batch: PackedBatch, distinct: DistinctTokens | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the hidden states of all steps [N, H] and the final hidden states [B, H].

        Args:
            inputs: [N, I], the batch's packed rows; with `distinct` [M, I], the M distinct ones.
            batch: The packing.
            distinct: Maps each packed row to its row of `inputs`. The kernel multiplies each distinct row by the
                input weights only once.
        """
        if uses_kernel(inputs):
            weights = self.weight_ih, self.weight_hh, self.bias
            outputs, final, _ = kernel_lstm.kernel_lstm(
                inputs, *weights, batch.batch_sizes, distinct=distinct, reverse=self.reverse
            )
            return outputs, final
        if distinct is not None:
            inputs = gather(inputs, distinct.index)
        return pytorch_lstm(self.lstm, inputs, batch, reverse=self.reverse)


def run_layer(
    directions: Iterable[nn.Module], inputs: Tensor, batch: PackedBatch, distinct: DistinctTokens | None
) -> list[tuple[Tensor, Tensor]]:
    """Return the results of `LSTMDirection` for each direction. In training, a GPU computes both in one call."""
    layers = [direction for direction in directions if isinstance(direction, LSTMDirection)]
    if len(layers) == 2 and inputs.is_cuda and torch.is_autocast_enabled("cuda"):
        if distinct is not None:
            inputs = gather(inputs, distinct.index)
        return both_directions(layers[0].lstm, layers[1].lstm, inputs, batch)
    return [layer(inputs, batch, distinct) for layer in layers]


def uses_kernel(inputs: Tensor) -> bool:
    """Return whether the kernel computes with such inputs."""
    return inputs.device.type == "cpu" and inputs.dtype == torch.float32 and kernel_lstm.kernel() is not None


def pytorch_lstm(
    layer: nn.LSTM, inputs: Tensor, batch: PackedBatch, *, reverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Return outputs [N, H] and final hidden states [B, H] of a forward `nn.LSTM` with one layer.

    Args:
        layer: The layer.
        inputs: [N, I], the batch's packed rows, on the layer's device.
        batch: The packing.
        reverse: Process every sequence from its last step to its first.
    """
    # cuDNN reads packed rows as they are. On a CPU PyTorch is many times faster on padded ones.
    run = _run_packed if inputs.is_cuda else _run_padded
    if not reverse:
        return run(layer, inputs, batch)
    index = batch.reversed_index()
    outputs, final = run(layer, gather(inputs, index), batch)
    return gather(outputs, index), final


def both_directions(
    forward: nn.LSTM, backward: nn.LSTM, inputs: Tensor, batch: PackedBatch
) -> list[tuple[Tensor, Tensor]]:
    """Return the results of `pytorch_lstm` for two layers, the second one in reverse, in one cuDNN call."""
    names = "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"
    weights: list[Tensor] = [layer.get_parameter(name) for layer in (forward, backward) for name in names]
    zeros = inputs.new_zeros(2, int(batch.batch_sizes[0]), forward.hidden_size)
    sizes = torch.from_numpy(batch.batch_sizes)
    outputs, final, _ = torch.lstm(inputs, sizes, [zeros, zeros], weights, True, 1, 0.0, True, True)
    return list(zip(outputs.chunk(2, dim=1), final, strict=True))


def _run_packed(layer: nn.LSTM, inputs: Tensor, batch: PackedBatch) -> tuple[Tensor, Tensor]:
    outputs, (final, _) = layer(PackedSequence(inputs, torch.from_numpy(batch.batch_sizes)))
    return outputs.data, final[0]


def _run_padded(layer: nn.LSTM, inputs: Tensor, batch: PackedBatch) -> tuple[Tensor, Tensor]:
    outputs, _ = layer(pad_batch(inputs, batch, 0.0))
    steps, sequences = (torch.from_numpy(index) for index in batch.positions())
    ends = torch.from_numpy(batch.lengths() - 1)
    return outputs[steps, sequences], outputs[ends, torch.arange(len(ends))]


def pad_batch(rows: Tensor, batch: PackedBatch, fill: float) -> Tensor:
    """Return packed rows [N, F] as a padded grid [T, B, F]."""
    steps, sequences = (to_device(index, rows.device) for index in batch.positions())
    grid = rows.new_full((len(batch.batch_sizes), int(batch.batch_sizes[0]), rows.shape[1]), fill)
    with torch.autocast(rows.device.type, enabled=False):  # autocast would change the dtype
        return grid.index_put((steps, sequences), rows)
