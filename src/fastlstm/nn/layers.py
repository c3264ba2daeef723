"""The LSTM layer of training: `nn.LSTM`'s weights and gate order, one bias a gate, no padding read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.rnn import PackedSequence

from fastlstm._typing import FloatArray
from fastlstm.nn import kernel_lstm
from fastlstm.nn.device import gather, to_device
from fastlstm.text.batches import DistinctTokens, PackedBatch


class Embedding(nn.Embedding):
    """[V, E] vectors of words. With `sparse` the ids of a call must rise, each named once.

    `nn.Embedding`'s own sparse gradient is sorted and summed before it can be used, which takes longer than to
    look the vectors up.
    """

    def forward(self, ids: Tensor) -> Tensor:
        """The vectors [M, E] of ids [M]."""
        if not self.sparse:
            return super().forward(ids)
        rows: Tensor = _Rows.apply(self.weight, ids)  # type: ignore[no-untyped-call]
        return rows


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.shape = weight.shape
        return weight.index_select(0, ids)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (ids,) = ctx.saved_tensors
        rising = torch.sparse_coo_tensor(ids[None], grad, ctx.shape, is_coalesced=True, check_invariants=False)
        return rising, None


def pool(outputs: Tensor, batch: PackedBatch) -> tuple[Tensor, Tensor]:
    """The largest and the mean of each text's outputs, both [B, H], from rows [N, H] on the batch's packing.

    Where several steps share the largest output, all of them get its gradient on a CPU.
    """
    if outputs.device.type == "cpu" and outputs.dtype == torch.float32:
        apply: Callable[..., tuple[Tensor, Tensor]] = _Pooled.apply
        return apply(outputs, batch)
    lengths = to_device(batch.lengths(), outputs.device)
    grid = pad_batch(outputs, batch, -math.inf)
    mean = grid.masked_fill(grid == -math.inf, 0.0).sum(dim=0) / lengths[:, None]
    return grid.amax(dim=0), mean


class _Pooled(torch.autograd.Function):
    """Step by step, as the rows lie, since PyTorch can't reduce packed rows without padding them first."""

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, batch: PackedBatch) -> tuple[Tensor, Tensor]:
        rows: FloatArray = outputs.detach().numpy()
        texts = int(batch.batch_sizes[0])
        total = np.zeros((texts, rows.shape[1]), np.float32)
        highest = np.full_like(total, -np.inf)
        start = 0
        for running in batch.batch_sizes:
            step = rows[start : start + running]
            total[:running] += step
            np.maximum(highest[:running], step, out=highest[:running])
            start += running
        lengths = batch.lengths().astype(np.float32)[:, None]
        ctx.batch_sizes, ctx.lengths = batch.batch_sizes, lengths
        result = torch.from_numpy(highest), torch.from_numpy(total / lengths)
        ctx.save_for_backward(outputs, result[0])
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_highest: Tensor, by_mean: Tensor) -> tuple[Tensor, None]:
        outputs, highest = (saved.numpy() for saved in ctx.saved_tensors)
        from_highest, from_mean = by_highest.numpy(), by_mean.numpy() / ctx.lengths
        gradients = np.empty_like(outputs)
        start = 0
        for running in ctx.batch_sizes:
            step, rows = gradients[start : start + running], slice(start, start + running)
            np.multiply(outputs[rows] == highest[:running], from_highest[:running], out=step)
            step += from_mean[:running]
            start += running
        return torch.from_numpy(gradients), None


def pytorch_lstm(
    layer: nn.LSTM, inputs: Tensor, batch: PackedBatch, *, reverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Outputs [N, H] and last hidden states [B, H] of `layer`, which has one layer and reads forward.

    Args:
        inputs: [N, I], the batch's rows, on the layer's device.
        reverse: read every sequence from its last step to its first.
    """
    # cuDNN reads packed rows as they are. On a CPU PyTorch is many times faster on padded ones.
    read = _packed if inputs.is_cuda else _padded
    if not reverse:
        return read(layer, inputs, batch)
    turn = batch.turned()
    outputs, last = read(layer, gather(inputs, turn), batch)
    return gather(outputs, turn), last


def both_directions(
    forward: nn.LSTM, backward: nn.LSTM, inputs: Tensor, batch: PackedBatch
) -> list[tuple[Tensor, Tensor]]:
    """`pytorch_lstm` of two layers, the second one in reverse, both over the same inputs: cuDNN runs them side by side."""
    names = "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"
    weights: list[Tensor] = [layer.get_parameter(name) for layer in (forward, backward) for name in names]
    zeros = inputs.new_zeros(2, int(batch.batch_sizes[0]), forward.hidden_size)
    sizes = torch.from_numpy(batch.batch_sizes)
    outputs, last, _ = torch.lstm(inputs, sizes, [zeros, zeros], weights, True, 1, 0.0, True, True)
    return list(zip(outputs.chunk(2, dim=1), last, strict=True))


def _packed(layer: nn.LSTM, inputs: Tensor, batch: PackedBatch) -> tuple[Tensor, Tensor]:
    outputs, (last, _) = layer(PackedSequence(inputs, torch.from_numpy(batch.batch_sizes)))
    return outputs.data, last[0]


def _padded(layer: nn.LSTM, inputs: Tensor, batch: PackedBatch) -> tuple[Tensor, Tensor]:
    outputs, _ = layer(pad_batch(inputs, batch, 0.0))
    steps, sequences = (torch.from_numpy(places) for places in batch.places())
    ends = torch.from_numpy(batch.lengths() - 1)
    return outputs[steps, sequences], outputs[ends, torch.arange(len(ends))]


def pad_batch(rows: Tensor, batch: PackedBatch, fill: float) -> Tensor:
    """[T, B, F] from a packed batch's rows [N, F], filled up behind each sequence's end."""
    steps, sequences = (to_device(places, rows.device) for places in batch.places())
    grid = rows.new_full((len(batch.batch_sizes), int(batch.batch_sizes[0]), rows.shape[1]), fill)
    with torch.autocast(rows.device.type, enabled=False):  # which would not put float16 rows into their own kind
        return grid.index_put((steps, sequences), rows)


class LSTMDirection(nn.Module):
    """One LSTM layer that reads every sequence of a packed batch in one direction.

    float32 on a CPU is read by the kernel where there is one, everything else by PyTorch.

    The weights are those of `nn.LSTM` (gates i, f, g, o), whose second bias adds nothing that the first
    doesn't and is kept at zero. They start as Keras starts them: Glorot-uniform input weights, orthogonal
    recurrent ones, zero biases but for the forget gate's, 1 (Jozefowicz, Zaremba & Sutskever 2015).
    """

    def __init__(self, input_size: int, hidden_size: int, *, reverse: bool = False) -> None:
        super().__init__()
        self.reverse = reverse
        self.lstm = nn.LSTM(input_size, hidden_size)
        self.lstm.get_parameter("bias_hh_l0").requires_grad_(False).zero_()
        nn.init.xavier_uniform_(self.weight_ih)
        nn.init.orthogonal_(self.weight_hh)
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
        self, inputs: Tensor, batch: PackedBatch, read: DistinctTokens | None = None
    ) -> tuple[Tensor, Tensor]:
        """Reads a batch.

        Args:
            inputs: [N, I], the batch's rows; with `read` [M, I], the rows that it names.
            batch: how the rows belong to sequences.
            read: which row of `inputs` each of the batch's rows is. The kernel multiplies each by the input
                weights once, however often it is read.

        Returns:
            The hidden state at every step [N, H], and the one after the last step read [B, H].
        """
        if uses_kernel(inputs):
            weights = self.weight_ih, self.weight_hh, self.bias
            outputs, last, _ = kernel_lstm.kernel_lstm(
                inputs, *weights, batch.batch_sizes, read=read, reverse=self.reverse
            )
            return outputs, last
        if read is not None:
            inputs = gather(inputs, read.index)
        return pytorch_lstm(self.lstm, inputs, batch, reverse=self.reverse)


def run_layer(
    directions: Iterable[nn.Module], inputs: Tensor, batch: PackedBatch, read: DistinctTokens | None
) -> list[tuple[Tensor, Tensor]]:
    """What each direction of a layer gives, as `LSTMDirection` does. A GPU in training reads both at once."""
    layers = [direction for direction in directions if isinstance(direction, LSTMDirection)]
    if len(layers) == 2 and inputs.is_cuda and torch.is_autocast_enabled("cuda"):
        if read is not None:
            inputs = gather(inputs, read.index)
        return both_directions(layers[0].lstm, layers[1].lstm, inputs, batch)
    return [layer(inputs, batch, read) for layer in layers]


def uses_kernel(inputs: Tensor) -> bool:
    """Whether the kernel reads such inputs."""
    return inputs.device.type == "cpu" and inputs.dtype == torch.float32 and kernel_lstm.kernel() is not None
