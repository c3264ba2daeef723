"""The LSTM layer computes what nn.LSTM computes on packed rows, with the kernel and with PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from fastlstm.nn import kernel_lstm
from fastlstm.nn.layers import LSTMDirection, make_layer, uses_kernel
from fastlstm.text.batches import PackedBatch, pack_batch

TEXTS = [np.arange(length, dtype=np.int32) * 7 % 11 for length in (7, 7, 5, 3, 1)]
BATCH = pack_batch(TEXTS)

needs_kernel = pytest.mark.skipif(kernel_lstm.kernel() is None, reason="the kernel was not built")
float64_and_kernel = pytest.mark.parametrize(
    "dtype", [torch.float64, pytest.param(torch.float32, marks=needs_kernel)]
)


def random_rows(features: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(len(BATCH.ids), features, generator=generator, dtype=torch.float64).to(dtype)


def make_layers(reverse: bool) -> tuple[LSTMDirection, nn.LSTM]:
    """Return a layer, and an nn.LSTM whose last direction has the same weights."""
    torch.manual_seed(11)
    layer = LSTMDirection(3, 5, reverse=reverse).double()
    with torch.no_grad():
        for weight in (layer.weight_ih, layer.weight_hh, layer.bias):
            weight.uniform_(-1, 1)
    reference = nn.LSTM(3, 5, bidirectional=reverse).double()
    suffix = "l0_reverse" if reverse else "l0"
    with torch.no_grad():
        reference.get_parameter(f"weight_ih_{suffix}").copy_(layer.weight_ih)
        reference.get_parameter(f"weight_hh_{suffix}").copy_(layer.weight_hh)
        reference.get_parameter(f"bias_ih_{suffix}").copy_(layer.bias)
        reference.get_parameter(f"bias_hh_{suffix}").zero_()
    return layer, reference


def run_reference(reference: nn.LSTM, inputs: Tensor, batch: PackedBatch) -> tuple[Tensor, Tensor]:
    """Return outputs and final states of the last direction."""
    outputs, (h_n, _) = reference(PackedSequence(inputs, torch.from_numpy(batch.batch_sizes)))
    return outputs.data[:, -5:], h_n[-1]


@pytest.mark.parametrize("reverse", [False, True])
@float64_and_kernel
def test_outputs_and_gradients_are_those_of_nn_lstm(reverse: bool, dtype: torch.dtype) -> None:
    layer, reference = make_layers(reverse)
    layer.to(dtype)
    inputs = random_rows(3, dtype).requires_grad_()
    assert uses_kernel(inputs) == (dtype == torch.float32)
    outputs, final = layer(inputs, BATCH)
    expected_inputs = random_rows(3).requires_grad_()
    expected_outputs, expected_final = run_reference(reference, expected_inputs, BATCH)

    def assert_close(actual: Tensor | None, expected: Tensor | None) -> None:
        assert actual is not None
        atol, rtol = (1e-11, 0.0) if dtype == torch.float64 else (2e-6, 1e-5)
        torch.testing.assert_close(actual.double(), expected, atol=atol, rtol=rtol)

    assert_close(outputs, expected_outputs)
    assert_close(final, expected_final)
    torch.autograd.backward(outputs.square().sum() + final.sum())
    torch.autograd.backward(expected_outputs.square().sum() + expected_final.sum())
    suffix = "l0_reverse" if reverse else "l0"
    for name, weight in (("weight_ih", layer.weight_ih), ("weight_hh", layer.weight_hh), ("bias_ih", layer.bias)):
        assert_close(weight.grad, reference.get_parameter(f"{name}_{suffix}").grad)
    assert_close(inputs.grad, expected_inputs.grad)


@pytest.mark.parametrize("reverse", [False, True])
@float64_and_kernel
def test_distinct_rows_give_the_results_of_repeated_rows(reverse: bool, dtype: torch.dtype) -> None:
    layer, _ = make_layers(reverse)
    layer.to(dtype)
    distinct = BATCH.distinct
    index = torch.from_numpy(distinct.index).long()
    rows = random_rows(3, dtype)[: len(distinct.ids)].requires_grad_()
    repeated = rows.detach()[index].requires_grad_()
    results = []
    for inputs, argument in ((rows, distinct), (repeated, None)):
        layer.zero_grad()
        outputs, final = layer(inputs, BATCH, argument)
        torch.autograd.backward(outputs.square().sum() + final.sum())
        gradients = (weight.grad for weight in (layer.weight_ih, layer.weight_hh, layer.bias))
        results.append([outputs, final, *gradients])
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, atol=tolerance, rtol=tolerance)
    assert repeated.grad is not None
    assert rows.grad is not None
    summed = torch.zeros_like(rows).index_add_(0, index, repeated.grad)
    torch.testing.assert_close(rows.grad, summed, atol=tolerance, rtol=tolerance)


@needs_kernel
def test_initial_and_final_states_and_their_gradients_are_those_of_nn_lstm() -> None:
    _, reference = make_layers(False)
    w_ih, w_hh, bias = (
        reference.get_parameter(f"{name}_l0").detach().float() for name in ("weight_ih", "weight_hh", "bias_ih")
    )
    h0, c0 = (random_rows(5)[start : start + 5].requires_grad_() for start in (0, 9))
    packed = PackedSequence(random_rows(3), torch.from_numpy(BATCH.batch_sizes))
    expected_outputs, (expected_h, expected_c) = reference(packed, (h0[None], c0[None]))
    torch.autograd.backward(expected_h.sum() + (2 * expected_c).sum() + expected_outputs.data.square().sum())
    states = [state.detach().float().requires_grad_() for state in (h0, c0)]
    outputs, h_n, c_n = kernel_lstm.kernel_lstm(
        random_rows(3).float(), w_ih, w_hh, bias, BATCH.batch_sizes, h0=states[0], c0=states[1]
    )
    torch.testing.assert_close(c_n.double(), expected_c[0], atol=1e-6, rtol=1e-5)
    torch.autograd.backward(h_n.sum() + (2 * c_n).sum() + outputs.square().sum())
    for state, expected in zip(states, (h0, c0), strict=True):
        assert state.grad is not None
        torch.testing.assert_close(state.grad.double(), expected.grad, atol=1e-5, rtol=1e-5)


@needs_kernel
def test_a_second_backward_pass_raises_runtime_error() -> None:
    layer = LSTMDirection(3, 5)
    outputs, _ = layer(random_rows(3, torch.float32), BATCH)
    loss = outputs.sum()
    torch.autograd.backward(loss, retain_graph=True)
    with pytest.raises(RuntimeError, match="backward"):
        torch.autograd.backward(loss)


@needs_kernel
def test_without_gradients_the_result_is_the_same_and_has_no_graph() -> None:
    layer = LSTMDirection(3, 5)
    with torch.no_grad():
        outputs, final = layer(random_rows(3, torch.float32), BATCH)
    assert outputs.grad_fn is None
    assert torch.equal(final, layer(random_rows(3, torch.float32), BATCH)[1])


def test_the_second_bias_stays_zero_and_the_forget_gate_starts_at_one() -> None:
    layer = LSTMDirection(3, 5)
    assert not layer.lstm.get_parameter("bias_hh_l0").requires_grad
    assert torch.count_nonzero(layer.lstm.get_parameter("bias_hh_l0")) == 0
    assert layer.bias.tolist() == [0] * 5 + [1] * 5 + [0] * 10


@pytest.mark.parametrize(("kind", "sizes"), [(nn.Embedding, (9, 5)), (nn.Linear, (5, 3)), (nn.LSTM, (5, 3))])
def test_make_layer_draws_what_the_constructor_would_draw(kind: Any, sizes: tuple[int, ...]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        kind(*sizes)
        expected = torch.rand(3)
        before = torch.get_rng_state()
        generator = torch.Generator().manual_seed(4)
        layer = make_layer(kind, *sizes, generator=generator)
        assert torch.equal(torch.rand(3, generator=generator), expected)
        assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.requires_grad and parameter.device.type == "cpu" for parameter in layer.parameters())
