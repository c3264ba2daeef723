"""PyTorch's own LSTM over a packed batch: on a GPU, and on a CPU for which there is no kernel."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from fastlstm.batches import Packed
from fastlstm.training.transfer import sent, taken


def lstm(layer: nn.LSTM, inputs: Tensor, batch: Packed, *, reverse: bool = False) -> tuple[Tensor, Tensor]:
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
    outputs, last = read(layer, taken(inputs, turn), batch)
    return taken(outputs, turn), last


def both_directions(
    forward: nn.LSTM, backward: nn.LSTM, inputs: Tensor, batch: Packed
) -> list[tuple[Tensor, Tensor]]:
    """`lstm` of two layers, the second one in reverse, both over the same inputs: cuDNN runs them side by side."""
    names = "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"
    weights: list[Tensor] = [layer.get_parameter(name) for layer in (forward, backward) for name in names]
    zeros = inputs.new_zeros(2, int(batch.batch_sizes[0]), forward.hidden_size)
    sizes = torch.from_numpy(batch.batch_sizes)
    outputs, last, _ = torch.lstm(inputs, sizes, [zeros, zeros], weights, True, 1, 0.0, True, True)
    return list(zip(outputs.chunk(2, dim=1), last, strict=True))


def _packed(layer: nn.LSTM, inputs: Tensor, batch: Packed) -> tuple[Tensor, Tensor]:
    outputs, (last, _) = layer(PackedSequence(inputs, torch.from_numpy(batch.batch_sizes)))
    return outputs.data, last[0]


def _padded(layer: nn.LSTM, inputs: Tensor, batch: Packed) -> tuple[Tensor, Tensor]:
    outputs, _ = layer(padded(inputs, batch, 0.0))
    steps, sequences = (torch.from_numpy(places) for places in batch.places())
    ends = torch.from_numpy(batch.lengths() - 1)
    return outputs[steps, sequences], outputs[ends, torch.arange(len(ends))]


def padded(rows: Tensor, batch: Packed, fill: float) -> Tensor:
    """[T, B, F] from a packed batch's rows [N, F], filled up behind each sequence's end."""
    steps, sequences = (sent(places, rows.device) for places in batch.places())
    grid = rows.new_full((len(batch.batch_sizes), int(batch.batch_sizes[0]), rows.shape[1]), fill)
    with torch.autocast(rows.device.type, enabled=False):  # which would not put float16 rows into their own kind
        return grid.index_put((steps, sequences), rows)
