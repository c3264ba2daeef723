"""The float64 results that the kernel tests compare with, compared with PyTorch's autograd."""

from __future__ import annotations

import pytest
import torch
from tests.helpers.kernel_exact import Size, assert_close, exact_results, random_batch
from torch.nn.utils.rnn import PackedSequence


@pytest.mark.parametrize("size", [Size(11, 7, 5, 13), Size(1, 1, 1, 1), Size(23, 31, 3, 2)], ids=str)
@pytest.mark.parametrize("reverse", [False, True])
def test_float64_results_equal_those_of_autograd(size: Size, reverse: bool) -> None:
    size = Size(size.T, size.B, size.I, size.H, reverse)
    b = random_batch(size)
    lstm = torch.nn.LSTM(size.I, size.H, bidirectional=True, dtype=torch.float64)
    name = "l0_reverse" if reverse else "l0"
    weights = [lstm.get_parameter(f"{kind}_{name}") for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    with torch.no_grad():
        for weight, value in zip(weights, (b.weight_ih, b.weight_hh, b.bias, 0 * b.bias), strict=True):
            weight.copy_(torch.from_numpy(value))
    words, h0, c0 = (torch.from_numpy(x).double().requires_grad_() for x in (b.words, b.h0, b.c0))
    inputs = words[torch.from_numpy(b.index).long()]
    inputs.retain_grad()
    packed_outputs, (h_n, c_n) = lstm(
        PackedSequence(inputs, torch.from_numpy(b.batch_sizes)), (h0.expand(2, -1, -1), c0.expand(2, -1, -1))
    )
    outputs = packed_outputs.data[:, size.H :] if reverse else packed_outputs.data[:, : size.H]
    results = {"outputs": outputs, "h_n": h_n[int(reverse)], "c_n": c_n[int(reverse)]}
    actual = {name: value.detach().numpy() for name, value in results.items()}
    assert b.grad_outputs is not None
    gradients = [torch.from_numpy(x).double() for x in (b.grad_outputs, b.grad_h_n, b.grad_c_n)]
    torch.autograd.backward(list(results.values()), gradients)
    for grad, leaf in zip(
        ("grad_inputs", "grad_words", "grad_weight_ih", "grad_weight_hh", "grad_bias", "grad_h0", "grad_c0"),
        (inputs, words, *weights[:3], h0, c0),
        strict=True,
    ):
        assert leaf.grad is not None
        actual[grad] = leaf.grad.numpy()
    assert_close(actual, exact_results(size), 1e-12)
