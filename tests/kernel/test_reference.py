"""The reference against PyTorch's LSTM, and what is promised beyond: results that do not depend on the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tests.helpers.kernel_exact import Size, batch, exact
from torch.nn.utils.rnn import PackedSequence

from fastlstm.kernel import reference
from fastlstm.kernel.bindings import SavedActivations
from fastlstm.kernel.reference import sigmoid

Array = npt.NDArray[Any]

SIZES = [(1, 1), (1, 7), (5, 1), (3, 5), (13, 11), (31, 37)]
"""Input and hidden sizes: single, odd and prime."""


@dataclass(frozen=True)
class Layer:
    weight_ih: Array
    weight_hh: Array
    bias: Array

    def forward(self, inputs: Array, batch_sizes: Array, **options: Any) -> tuple[Array, Array, Array]:
        return reference.forward(inputs, batch_sizes, self.weight_ih, self.weight_hh, self.bias, **options)


def random_layer(I: int, H: int, dtype: Any = np.float32, seed: int = 0) -> Layer:  # noqa: E741
    generator = np.random.default_rng(seed)
    return Layer(*(generator.normal(0, 0.6, shape).astype(dtype) for shape in ((4 * H, I), (4 * H, H), (4 * H,))))


def random_sequences(lengths: Sequence[int], I: int, dtype: Any = np.float32, seed: int = 1) -> list[Array]:  # noqa: E741
    generator = np.random.default_rng(seed)
    return [generator.normal(size=(length, I)).astype(dtype) for length in lengths]


def ragged(sequences: int, longest: int, seed: int = 2) -> list[int]:
    """Random lengths, longest first."""
    return sorted(np.random.default_rng(seed).integers(1, longest + 1, sequences).tolist(), reverse=True)


def packed(sequences: Sequence[Array]) -> tuple[Array, Array]:
    """Sequences that are sorted by length as packed rows, and how many of them are running at each step."""
    batch_sizes = np.array([sum(len(s) > step for s in sequences) for step in range(len(sequences[0]))], np.int64)
    rows = [sequences[k][step] for step, running in enumerate(batch_sizes) for k in range(running)]
    return np.array(rows), batch_sizes


def unpacked(rows: Array, batch_sizes: Array) -> list[Array]:
    offsets = np.cumsum(batch_sizes) - batch_sizes
    return [
        rows[[offset + k for offset, running in zip(offsets, batch_sizes, strict=True) if running > k]]
        for k in range(int(batch_sizes[0]))
    ]


def outputs_of(layer: Layer, sequences: Sequence[Array], *, reverse: bool = False) -> list[Array]:
    """Of each sequence, in the order given: its outputs, with its last hidden and cell state below them."""
    order = sorted(range(len(sequences)), key=lambda k: -len(sequences[k]))
    inputs, batch_sizes = packed([sequences[k] for k in order])
    outputs, h_n, c_n = layer.forward(inputs, batch_sizes, reverse=reverse)
    results: list[Array] = [np.empty(0)] * len(sequences)
    for position, (k, rows) in enumerate(zip(order, unpacked(outputs, batch_sizes), strict=True)):
        results[k] = np.vstack([rows, h_n[position], c_n[position]])
    return results


# The same numbers as PyTorch's.


@pytest.mark.parametrize(("I", "H"), SIZES)
@pytest.mark.parametrize("sequences", [1, 2, 7, 31, 32, 33, 67])
def test_both_directions_agree_with_pytorch(I: int, H: int, sequences: int) -> None:  # noqa: E741
    B, layers = sequences, [random_layer(I, H, np.float64, seed) for seed in (3, 4)]
    inputs, batch_sizes = packed(random_sequences(ragged(B, 11), I, np.float64))
    h0, c0 = np.random.default_rng(5).normal(size=(2, 2, B, H))

    lstm = torch.nn.LSTM(I, H, bidirectional=True, dtype=torch.float64)
    with torch.no_grad():
        for name, layer in zip(("l0", "l0_reverse"), layers, strict=True):
            lstm.get_parameter(f"weight_ih_{name}").copy_(torch.from_numpy(layer.weight_ih))
            lstm.get_parameter(f"weight_hh_{name}").copy_(torch.from_numpy(layer.weight_hh))
            lstm.get_parameter(f"bias_ih_{name}").copy_(torch.from_numpy(layer.bias))
            lstm.get_parameter(f"bias_hh_{name}").zero_()
        expected, (expected_h, expected_c) = lstm(
            PackedSequence(torch.from_numpy(inputs), torch.from_numpy(batch_sizes)),
            (torch.from_numpy(h0), torch.from_numpy(c0)),
        )

    for k, layer in enumerate(layers):
        outputs, h_n, c_n = layer.forward(inputs, batch_sizes, h0=h0[k], c0=c0[k], reverse=k == 1)
        np.testing.assert_allclose(outputs, expected.data[:, k * H : (k + 1) * H], rtol=0, atol=1e-12)
        np.testing.assert_allclose(h_n, expected_h[k], rtol=0, atol=1e-12)
        np.testing.assert_allclose(c_n, expected_c[k], rtol=0, atol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
def test_without_states_it_starts_from_zeros(reverse: bool) -> None:
    layer, (inputs, batch_sizes) = random_layer(3, 5), packed(random_sequences(ragged(7, 6), 3))
    zeros = np.zeros((7, 5), np.float32)
    came = layer.forward(inputs, batch_sizes, reverse=reverse)
    expected = layer.forward(inputs, batch_sizes, h0=zeros, c0=zeros, reverse=reverse)
    for one, other in zip(came, expected, strict=True):
        assert np.array_equal(one, other)


def test_hidden_and_cell_state_are_not_confused() -> None:
    layer, (inputs, batch_sizes) = random_layer(3, 5), packed(random_sequences([4, 4], 3))
    a, b = np.random.default_rng(0).normal(size=(2, 2, 5)).astype(np.float32)
    straight = layer.forward(inputs, batch_sizes, h0=a, c0=b)[0]
    crossed = layer.forward(inputs, batch_sizes, h0=b, c0=a)[0]
    assert abs(straight - crossed).max() > 0.01


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_have_the_type_of_the_inputs_and_the_arguments_stay(dtype: Any) -> None:
    layer, (inputs, batch_sizes) = random_layer(3, 5, dtype), packed(random_sequences(ragged(9, 6), 3, dtype))
    h0, c0 = np.random.default_rng(0).normal(size=(2, 9, 5)).astype(dtype)
    arguments = (inputs, batch_sizes, layer.weight_ih, layer.weight_hh, layer.bias, h0, c0)
    before = [array.copy() for array in arguments]
    results = layer.forward(inputs, batch_sizes, h0=h0, c0=c0)
    assert [result.dtype for result in results] == [dtype] * 3
    assert [result.shape for result in results] == [(len(inputs), 5), (9, 5), (9, 5)]
    for array, copy in zip(arguments, before, strict=True):
        assert np.array_equal(array, copy)
        assert not any(np.shares_memory(array, result) for result in results)


def test_single_precision_is_near_double_precision() -> None:
    layer, sequences = random_layer(13, 11), random_sequences(ragged(35, 40), 13)
    double = Layer(*(array.astype(np.float64) for array in (layer.weight_ih, layer.weight_hh, layer.bias)))
    single_results = outputs_of(layer, sequences)
    double_results = outputs_of(double, [s.astype(np.float64) for s in sequences])
    for one, other in zip(single_results, double_results, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-5)


# To the last bit, a sequence's results are its own.


@pytest.mark.parametrize(("I", "H"), [*SIZES, (64, 64), (64, 32)])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_batch_does_not_change_a_bit(I: int, H: int, reverse: bool) -> None:  # noqa: E741
    layer, (sequence,) = random_layer(I, H), random_sequences([9], I)
    (expected,) = outputs_of(layer, [sequence], reverse=reverse)
    for mates in (1, 5, 31, 32, 33, 70):
        lengths = np.random.default_rng(mates).integers(1, 18, mates).tolist()
        others = random_sequences(lengths, I, seed=mates)
        for place in {0, mates // 2, mates}:
            batch = [*others[:place], sequence, *others[place:]]
            assert np.array_equal(outputs_of(layer, batch, reverse=reverse)[place], expected)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_place_in_the_batch_does_not_change_a_bit(reverse: bool) -> None:
    layer, (sequence,) = random_layer(13, 16), random_sequences([6], 13)
    (expected,) = outputs_of(layer, [sequence], reverse=reverse)
    others = random_sequences([6] * 69, 13, seed=9)
    for place in range(70):
        batch = [*others[:place], sequence, *others[place:]]
        assert np.array_equal(outputs_of(layer, batch, reverse=reverse)[place], expected)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_sequence(reverse: bool, bad: float) -> None:
    layer, sequences = random_layer(5, 7), random_sequences([9, 8, 8, 6, 6, 3, 1] * 6, 5)
    expected = outputs_of(layer, sequences, reverse=reverse)
    ill = [1, 17, 40]
    for k in ill:
        sequences[k] = sequences[k].copy()
        sequences[k][len(sequences[k]) // 2, 2] = bad
    with np.errstate(invalid="ignore"):
        came = outputs_of(layer, sequences, reverse=reverse)
    for k, (one, other) in enumerate(zip(came, expected, strict=True)):
        assert np.array_equal(one, other) is (k not in ill)


# Hard inputs.


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("scale", [1e4, -1e4, 1e-40, -1e-45, 0.0])
def test_extreme_inputs_have_finite_results(scale: float, reverse: bool) -> None:
    layer = random_layer(5, 7)
    sequences = [(np.sign(s) * scale).astype(np.float32) for s in random_sequences(ragged(40, 30), 5)]
    for result in outputs_of(layer, sequences, reverse=reverse):
        assert np.isfinite(result).all()
        assert (abs(result[:-1]) <= 1).all()


def test_extreme_states_have_finite_results() -> None:
    layer, (inputs, batch_sizes) = random_layer(5, 7), packed(random_sequences([4, 3, 1], 5))
    for scale in (1e4, -1e4, 1e-40):
        states = np.full((3, 7), scale, np.float32)
        for result in layer.forward(inputs, batch_sizes, h0=states, c0=states):
            assert np.isfinite(result).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_sigmoid_is_right_and_never_overflows(dtype: Any) -> None:
    x = np.array([-1e38, -1e4, -90, -3.5, -1e-40, 0, 1e-3, 2.5, 90, 1e38], dtype)
    with np.errstate(over="ignore"):
        expected = 1 / (1 + np.exp(-x.astype(np.float64)))
    assert sigmoid(x).dtype == dtype
    np.testing.assert_allclose(sigmoid(x), expected, rtol=0, atol=2 * np.finfo(dtype).eps)


@pytest.mark.parametrize(("I", "H"), [(1, 1), (5, 1), (1, 7), (13, 11)])
def test_a_sequence_in_two_pieces_is_the_sequence(I: int, H: int) -> None:  # noqa: E741
    layer, (sequence,) = random_layer(I, H), random_sequences([23], I)
    steps, (h0, c0) = np.ones(23, np.int64), np.random.default_rng(6).normal(size=(2, 1, H)).astype(np.float32)
    whole = layer.forward(sequence, steps, h0=h0, c0=c0)
    for cut in (1, 7, 22):
        head, h, c = layer.forward(sequence[:cut], steps[:cut], h0=h0, c0=c0)
        tail, h, c = layer.forward(sequence[cut:], steps[cut:], h0=h, c0=c)
        for one, other in zip((np.vstack([head, tail]), h, c), whole, strict=True):
            assert np.array_equal(one, other)


def test_backwards_in_two_pieces_the_last_comes_first() -> None:
    layer, (sequence,), steps = random_layer(3, 5), random_sequences([11], 3), np.ones(11, np.int64)
    whole = layer.forward(sequence, steps, reverse=True)
    tail, h, c = layer.forward(sequence[4:], steps[4:], reverse=True)
    head, h, c = layer.forward(sequence[:4], steps[:4], h0=h, c0=c, reverse=True)
    for one, other in zip((np.vstack([head, tail]), h, c), whole, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_single_step_is_the_definition(reverse: bool) -> None:
    layer, (x,) = random_layer(3, 5, np.float64), random_sequences([1], 3, np.float64)
    h0, c0 = np.random.default_rng(8).normal(size=(2, 1, 5))
    gates = layer.weight_ih @ x[0] + layer.weight_hh @ h0[0] + layer.bias
    i, f, o = (1 / (1 + np.exp(-gates[at : at + 5])) for at in (0, 5, 15))
    c = f * c0[0] + i * np.tanh(gates[10:15])
    outputs, h_n, c_n = layer.forward(x, np.array([1]), h0=h0, c0=c0, reverse=reverse)
    np.testing.assert_allclose(c_n[0], c, rtol=0, atol=1e-14)
    np.testing.assert_allclose(h_n[0], o * np.tanh(c), rtol=0, atol=1e-14)
    assert np.array_equal(outputs, h_n)


@pytest.mark.parametrize("size", [Size(9, 7, 5, 13), Size(1, 3, 1, 1), Size(6, 1, 3, 7)], ids=str)
@pytest.mark.parametrize("reverse", [False, True])
def test_what_is_kept_and_its_gradients_are_those_written_out(size: Size, reverse: bool) -> None:
    b = batch(Size(size.T, size.B, size.I, size.H, reverse))
    expected, N, H = exact(b), len(b.index), size.H
    c0 = b.c0.astype(np.float64)
    kept = SavedActivations(np.empty((N, 4, H)), np.empty((N, H)))
    projected = reference.project(b.inputs.astype(np.float64), b.weight_ih, b.bias)
    reference.recur(
        projected, b.batch_sizes, b.weight_hh.astype(np.float64), h0=b.h0, c0=c0, reverse=reverse, kept=kept
    )
    np.testing.assert_allclose(kept.gates, expected["gates"], atol=1e-12)
    np.testing.assert_allclose(kept.cells, expected["cells"], atol=1e-12)
    gradient = reference.backward(
        kept,
        b.batch_sizes,
        b.weight_hh.astype(np.float64),
        c0=c0,
        reverse=reverse,
        grad_outputs=b.grad_outputs,
        grad_h_n=b.grad_h_n,
        grad_c_n=b.grad_c_n,
    )
    np.testing.assert_allclose(gradient, expected["grad_rows"], atol=1e-12)


def test_without_states_gradients_start_from_zeros() -> None:
    b = batch(Size(5, 4, 3, 7))
    zeros = np.zeros_like(b.c0)
    kept = SavedActivations(np.empty((len(b.index), 4, 7)), np.empty((len(b.index), 7)))
    reference.recur(reference.project(b.inputs, b.weight_ih, b.bias), b.batch_sizes, b.weight_hh, kept=kept)
    given: dict[str, Any] = {"c0": zeros, "grad_h_n": zeros, "grad_c_n": zeros}
    one = reference.backward(kept, b.batch_sizes, b.weight_hh, grad_outputs=b.grad_outputs)
    assert np.array_equal(
        one, reference.backward(kept, b.batch_sizes, b.weight_hh, grad_outputs=b.grad_outputs, **given)
    )
    assert not reference.backward(kept, b.batch_sizes, b.weight_hh).any()
