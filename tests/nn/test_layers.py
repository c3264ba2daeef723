"""The layer is nn.LSTM over packed rows: same outputs, same gradients, one bias a gate, on kernel and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from fastlstm.nn import kernel_lstm
from fastlstm.nn.layers import LSTMDirection, uses_kernel
from fastlstm.text.batches import PackedBatch, pack_batch

TEXTS = [np.arange(length, dtype=np.int32) * 7 % 11 for length in (7, 7, 5, 3, 1)]
BATCH = pack_batch(TEXTS)

needs_kernel = pytest.mark.skipif(kernel_lstm.kernel() is None, reason="the kernel was not built")


def rows(features: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(len(BATCH.ids), features, generator=generator, dtype=torch.float64).to(dtype)


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


def peer_reads(peer: nn.LSTM, inputs: Tensor, batch: PackedBatch) -> tuple[Tensor, Tensor]:
    """Outputs and last states of the direction read last."""
    outputs, (h_n, _) = peer(PackedSequence(inputs, torch.from_numpy(batch.batch_sizes)))
    return outputs.data[:, -5:], h_n[-1]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, pytest.param(torch.float32, marks=needs_kernel)])
def test_outputs_and_gradients_are_those_of_nn_lstm(reverse: bool, dtype: torch.dtype) -> None:
    layer, peer = layer_pair(reverse)
    layer.to(dtype)
    inputs = rows(3, dtype).requires_grad_()
    assert uses_kernel(inputs) == (dtype == torch.float32)
    outputs, last = layer(inputs, BATCH)
    peer_inputs = rows(3).requires_grad_()
    peer_outputs, peer_last = peer_reads(peer, peer_inputs, BATCH)

    def assert_close(mine: Tensor | None, theirs: Tensor | None) -> None:
        assert mine is not None
        atol, rtol = (1e-11, 0.0) if dtype == torch.float64 else (2e-6, 1e-5)
        torch.testing.assert_close(mine.double(), theirs, atol=atol, rtol=rtol)

    assert_close(outputs, peer_outputs)
    assert_close(last, peer_last)
    torch.autograd.backward(outputs.square().sum() + last.sum())
    torch.autograd.backward(peer_outputs.square().sum() + peer_last.sum())
    suffix = "l0_reverse" if reverse else "l0"
    for name, mine in (("weight_ih", layer.weight_ih), ("weight_hh", layer.weight_hh), ("bias_ih", layer.bias)):
        assert_close(mine.grad, peer.get_parameter(f"{name}_{suffix}").grad)
    assert_close(inputs.grad, peer_inputs.grad)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, pytest.param(torch.float32, marks=needs_kernel)])
def test_rows_that_are_read_several_times_give_what_their_copies_give(reverse: bool, dtype: torch.dtype) -> None:
    layer, _ = layer_pair(reverse)
    layer.to(dtype)
    read = BATCH.distinct
    few = rows(3, dtype)[: len(read.ids)].requires_grad_()
    many = few.detach()[torch.from_numpy(read.index).long()].requires_grad_()
    results = []
    for inputs, reading in ((few, read), (many, None)):
        layer.zero_grad()
        outputs, last = layer(inputs, BATCH, reading)
        torch.autograd.backward(outputs.square().sum() + last.sum())
        results.append([outputs, last, *(weight.grad for weight in (layer.weight_ih, layer.weight_hh, layer.bias))])
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, atol=tolerance, rtol=tolerance)
    assert many.grad is not None
    assert few.grad is not None
    summed = torch.zeros_like(few).index_add_(0, torch.from_numpy(read.index).long(), many.grad)
    torch.testing.assert_close(few.grad, summed, atol=tolerance, rtol=tolerance)


@needs_kernel
def test_states_go_in_and_come_out_with_their_gradients() -> None:
    _, peer = layer_pair(False)
    w_ih, w_hh, bias = (
        peer.get_parameter(f"{name}_l0").detach().float() for name in ("weight_ih", "weight_hh", "bias_ih")
    )
    h0, c0 = (rows(5)[start : start + 5].requires_grad_() for start in (0, 9))
    outputs, (h_n, c_n) = peer(PackedSequence(rows(3), torch.from_numpy(BATCH.batch_sizes)), (h0[None], c0[None]))
    torch.autograd.backward(h_n.sum() + (2 * c_n).sum() + outputs.data.square().sum())
    mine = [state.detach().float().requires_grad_() for state in (h0, c0)]
    read = kernel_lstm.kernel_lstm(rows(3).float(), w_ih, w_hh, bias, BATCH.batch_sizes, h0=mine[0], c0=mine[1])
    torch.testing.assert_close(read[2].double(), c_n[0], atol=1e-6, rtol=1e-5)
    torch.autograd.backward(read[1].sum() + (2 * read[2]).sum() + read[0].square().sum())
    for state, peer_state in zip(mine, (h0, c0), strict=True):
        assert state.grad is not None
        torch.testing.assert_close(state.grad.double(), peer_state.grad, atol=1e-5, rtol=1e-5)


@needs_kernel
def test_a_graph_s_backward_pass_runs_once() -> None:
    layer = LSTMDirection(3, 5)
    outputs, _ = layer(rows(3, torch.float32), BATCH)
    loss = outputs.sum()
    torch.autograd.backward(loss, retain_graph=True)
    with pytest.raises(RuntimeError, match="run forward again"):
        torch.autograd.backward(loss)


@needs_kernel
def test_nothing_is_kept_where_no_gradient_is_wanted() -> None:
    layer = LSTMDirection(3, 5)
    with torch.no_grad():
        outputs, last = layer(rows(3, torch.float32), BATCH)
    assert outputs.grad_fn is None
    assert torch.equal(last, layer(rows(3, torch.float32), BATCH)[1])


def test_the_second_bias_of_nn_lstm_stays_zero_and_the_forget_gate_starts_open() -> None:
    layer = LSTMDirection(3, 5)
    assert not layer.lstm.get_parameter("bias_hh_l0").requires_grad
    assert torch.count_nonzero(layer.lstm.get_parameter("bias_hh_l0")) == 0
    assert layer.bias.tolist() == [0] * 5 + [1] * 5 + [0] * 10
