"""The layer is nn.LSTM without padding: same outputs, same gradients, one bias a gate."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from fastlstm.training.layer import LSTMDirection

LENGTHS = torch.tensor([5, 1, 7, 3, 7])


def batch(input_size: int, fill: float) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(7, 5, input_size, generator=generator, dtype=torch.float64)
    behind = torch.arange(7)[:, None] >= LENGTHS
    return inputs.masked_fill(behind[:, :, None], fill)


def layer_pair(reverse: bool) -> tuple[LSTMDirection, nn.LSTM]:
    torch.manual_seed(11)
    layer = LSTMDirection(3, 5, reverse=reverse).double()
    with torch.no_grad():
        for weights in (layer.weight_ih, layer.weight_hh, layer.bias):
            weights.uniform_(-1, 1)
    peer = nn.LSTM(3, 5, bidirectional=reverse).double()
    suffix = "l0_reverse" if reverse else "l0"
    with torch.no_grad():
        peer.get_parameter(f"weight_ih_{suffix}").copy_(layer.weight_ih)
        peer.get_parameter(f"weight_hh_{suffix}").copy_(layer.weight_hh)
        peer.get_parameter(f"bias_ih_{suffix}").copy_(layer.bias)
        peer.get_parameter(f"bias_hh_{suffix}").zero_()
    return layer, peer


@pytest.mark.parametrize("reverse", [False, True])
def test_outputs_and_gradients_are_those_of_a_packed_lstm(reverse: bool) -> None:
    layer, peer = layer_pair(reverse)
    inputs = batch(3, 0.0).requires_grad_()
    outputs, last = layer(inputs, LENGTHS)
    behind = (torch.arange(7)[:, None] >= LENGTHS)[:, :, None]
    outputs = outputs.masked_fill(behind, 0)

    peer_inputs = inputs.detach().clone().requires_grad_()
    packed, (h_n, _) = peer(pack_padded_sequence(peer_inputs, LENGTHS, enforce_sorted=False))
    peer_outputs = pad_packed_sequence(packed)[0][:, :, -5:]

    torch.testing.assert_close(outputs, peer_outputs, atol=1e-12, rtol=0)
    torch.testing.assert_close(last, h_n[-1], atol=1e-12, rtol=0)
    torch.autograd.backward(outputs.square().sum() + last.sum())
    torch.autograd.backward(peer_outputs.square().sum() + h_n[-1].sum())
    suffix = "l0_reverse" if reverse else "l0"
    for name, mine in (("weight_ih", layer.weight_ih), ("weight_hh", layer.weight_hh), ("bias_ih", layer.bias)):
        theirs = peer.get_parameter(f"{name}_{suffix}").grad
        torch.testing.assert_close(mine.grad, theirs, atol=1e-11, rtol=0)
    torch.testing.assert_close(inputs.grad, peer_inputs.grad, atol=1e-11, rtol=0)


@pytest.mark.parametrize("reverse", [False, True])
def test_padding_never_enters(reverse: bool) -> None:
    layer, _ = layer_pair(reverse)
    _, with_zeros = layer(batch(3, 0.0), LENGTHS)
    _, with_noise = layer(batch(3, 1e6), LENGTHS)
    assert torch.equal(with_zeros, with_noise)


def test_the_second_bias_of_nn_lstm_stays_zero_and_the_forget_gate_starts_open() -> None:
    layer = LSTMDirection(3, 5)
    assert not layer.lstm.get_parameter("bias_hh_l0").requires_grad
    assert torch.count_nonzero(layer.lstm.get_parameter("bias_hh_l0")) == 0
    assert layer.bias.tolist() == [0] * 5 + [1] * 5 + [0] * 10
