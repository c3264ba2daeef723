"""The NumPy reference against PyTorch's LSTM, and its results for one sequence in any batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.kernel_exact import Array, Size, compute_exact, random_batch
from torch.nn.utils.rnn import PackedSequence

from fastlstm.kernel import reference
from fastlstm.kernel.bindings import SavedActivations
from fastlstm.kernel.reference import sigmoid

SIZES = [(1, 1), (1, 7), (5, 1), (3, 5), (13, 11), (31, 37)]
"""Input and hidden sizes: one, odd and prime."""


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


def random_lengths(sequences: int, max_length: int, seed: int = 2) -> list[int]:
    """Return random lengths, longest first."""
    return sorted(np.random.default_rng(seed).integers(1, max_length + 1, sequences).tolist(), reverse=True)


def pack(sequences: Sequence[Array]) -> tuple[Array, Array]:
    """Pack sequences sorted by length. Return their rows and the number of running sequences at each step."""
    batch_sizes = np.array([sum(len(s) > step for s in sequences) for step in range(len(sequences[0]))], np.int64)
    rows = [sequences[k][step] for step, running in enumerate(batch_sizes) for k in range(running)]
    return np.array(rows), batch_sizes


def unpack(rows: Array, batch_sizes: Array) -> list[Array]:
    offsets = np.cumsum(batch_sizes) - batch_sizes
    return [
        rows[[offset + k for offset, running in zip(offsets, batch_sizes, strict=True) if running > k]]
        for k in range(int(batch_sizes[0]))
    ]


def compute_outputs(layer: Layer, sequences: Sequence[Array], *, reverse: bool = False) -> list[Array]:
    """Return each sequence's outputs, followed by its last hidden and cell state, in the order of `sequences`."""
    order = sorted(range(len(sequences)), key=lambda k: -len(sequences[k]))
    inputs, batch_sizes = pack([sequences[k] for k in order])
    outputs, h_n, c_n = layer.forward(inputs, batch_sizes, reverse=reverse)
    results: list[Array] = [np.empty(0)] * len(sequences)
    for position, (k, rows) in enumerate(zip(order, unpack(outputs, batch_sizes), strict=True)):
        results[k] = np.vstack([rows, h_n[position], c_n[position]])
    return results


# Equality with PyTorch.


@pytest.mark.parametrize(("I", "H"), SIZES)
@pytest.mark.parametrize("sequences", [1, 2, 7, 31, 32, 33, 67])
def test_both_directions_match_pytorch(I: int, H: int, sequences: int) -> None:  # noqa: E741
    B, layers = sequences, [random_layer(I, H, np.float64, seed) for seed in (3, 4)]
    inputs, batch_sizes = pack(random_sequences(random_lengths(B, 11), I, np.float64))
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
def test_missing_states_are_zeros(reverse: bool) -> None:
    layer, (inputs, batch_sizes) = random_layer(3, 5), pack(random_sequences(random_lengths(7, 6), 3))
    zeros = np.zeros((7, 5), np.float32)
    actual = layer.forward(inputs, batch_sizes, reverse=reverse)
    expected = layer.forward(inputs, batch_sizes, h0=zeros, c0=zeros, reverse=reverse)
    for one, other in zip(actual, expected, strict=True):
        assert np.array_equal(one, other)


def test_hidden_and_cell_state_are_not_swapped() -> None:
    layer, (inputs, batch_sizes) = random_layer(3, 5), pack(random_sequences([4, 4], 3))
    a, b = np.random.default_rng(0).normal(size=(2, 2, 5)).astype(np.float32)
    outputs = layer.forward(inputs, batch_sizes, h0=a, c0=b)[0]
    swapped = layer.forward(inputs, batch_sizes, h0=b, c0=a)[0]
    assert abs(outputs - swapped).max() > 0.01


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_have_the_dtype_of_the_inputs_and_arguments_do_not_change(dtype: Any) -> None:
    layer, (inputs, batch_sizes) = random_layer(3, 5, dtype), pack(random_sequences(random_lengths(9, 6), 3, dtype))
    h0, c0 = np.random.default_rng(0).normal(size=(2, 9, 5)).astype(dtype)
    arguments = (inputs, batch_sizes, layer.weight_ih, layer.weight_hh, layer.bias, h0, c0)
    copies = [array.copy() for array in arguments]
    results = layer.forward(inputs, batch_sizes, h0=h0, c0=c0)
    assert [result.dtype for result in results] == [dtype] * 3
    assert [result.shape for result in results] == [(len(inputs), 5), (9, 5), (9, 5)]
    for array, copy in zip(arguments, copies, strict=True):
        assert np.array_equal(array, copy)
        assert not any(np.shares_memory(array, result) for result in results)


def test_float32_is_close_to_float64() -> None:
    layer, sequences = random_layer(13, 11), random_sequences(random_lengths(35, 40), 13)
    double = Layer(*(array.astype(np.float64) for array in (layer.weight_ih, layer.weight_hh, layer.bias)))
    float32_results = compute_outputs(layer, sequences)
    float64_results = compute_outputs(double, [s.astype(np.float64) for s in sequences])
    for one, other in zip(float32_results, float64_results, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-5)


# The batch does not change the results of a sequence.


@pytest.mark.parametrize(("I", "H"), [*SIZES, (64, 64), (64, 32)])
@pytest.mark.parametrize("reverse", [False, True])
def test_other_sequences_of_the_batch_do_not_change_results(I: int, H: int, reverse: bool) -> None:  # noqa: E741
    layer, (sequence,) = random_layer(I, H), random_sequences([9], I)
    (expected,) = compute_outputs(layer, [sequence], reverse=reverse)
    for count in (1, 5, 31, 32, 33, 70):
        lengths = np.random.default_rng(count).integers(1, 18, count).tolist()
        others = random_sequences(lengths, I, seed=count)
        for position in {0, count // 2, count}:
            batch = [*others[:position], sequence, *others[position:]]
            assert np.array_equal(compute_outputs(layer, batch, reverse=reverse)[position], expected)


@pytest.mark.parametrize("reverse", [False, True])
def test_position_in_the_batch_does_not_change_results(reverse: bool) -> None:
    layer, (sequence,) = random_layer(13, 16), random_sequences([6], 13)
    (expected,) = compute_outputs(layer, [sequence], reverse=reverse)
    others = random_sequences([6] * 69, 13, seed=9)
    for position in range(70):
        batch = [*others[:position], sequence, *others[position:]]
        assert np.array_equal(compute_outputs(layer, batch, reverse=reverse)[position], expected)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_input_affects_only_its_sequence(reverse: bool, bad: float) -> None:
    layer, sequences = random_layer(5, 7), random_sequences([9, 8, 8, 6, 6, 3, 1] * 6, 5)
    expected = compute_outputs(layer, sequences, reverse=reverse)
    bad_sequences = [1, 17, 40]
    for k in bad_sequences:
        sequences[k] = sequences[k].copy()
        sequences[k][len(sequences[k]) // 2, 2] = bad
    with np.errstate(invalid="ignore"):
        actual = compute_outputs(layer, sequences, reverse=reverse)
    for k, (one, other) in enumerate(zip(actual, expected, strict=True)):
        assert np.array_equal(one, other) is (k not in bad_sequences)


# Extreme values and single calls.


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("scale", [1e4, -1e4, 1e-40, -1e-45, 0.0])
def test_extreme_inputs_have_finite_results(scale: float, reverse: bool) -> None:
    layer = random_layer(5, 7)
    sequences = [(np.sign(s) * scale).astype(np.float32) for s in random_sequences(random_lengths(40, 30), 5)]
    for result in compute_outputs(layer, sequences, reverse=reverse):
        assert np.isfinite(result).all()
        assert (abs(result[:-1]) <= 1).all()


def test_extreme_states_have_finite_results() -> None:
    layer, (inputs, batch_sizes) = random_layer(5, 7), pack(random_sequences([4, 3, 1], 5))
    for scale in (1e4, -1e4, 1e-40):
        states = np.full((3, 7), scale, np.float32)
        for result in layer.forward(inputs, batch_sizes, h0=states, c0=states):
            assert np.isfinite(result).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_matches_float64_and_never_overflows(dtype: Any) -> None:
    x = np.array([-1e38, -1e4, -90, -3.5, -1e-40, 0, 1e-3, 2.5, 90, 1e38], dtype)
    with np.errstate(over="ignore"):
        expected = 1 / (1 + np.exp(-x.astype(np.float64)))
    assert sigmoid(x).dtype == dtype
    np.testing.assert_allclose(sigmoid(x), expected, rtol=0, atol=2 * np.finfo(dtype).eps)


@pytest.mark.parametrize(("I", "H"), [(1, 1), (5, 1), (1, 7), (13, 11)])
def test_two_calls_with_saved_states_equal_one_call(I: int, H: int) -> None:  # noqa: E741
    layer, (sequence,) = random_layer(I, H), random_sequences([23], I)
    steps, (h0, c0) = np.ones(23, np.int64), np.random.default_rng(6).normal(size=(2, 1, H)).astype(np.float32)
    expected = layer.forward(sequence, steps, h0=h0, c0=c0)
    for cut in (1, 7, 22):
        head, h, c = layer.forward(sequence[:cut], steps[:cut], h0=h0, c0=c0)
        tail, h, c = layer.forward(sequence[cut:], steps[cut:], h0=h, c0=c)
        for one, other in zip((np.vstack([head, tail]), h, c), expected, strict=True):
            assert np.array_equal(one, other)


def test_reverse_pass_in_two_calls_starts_with_the_last_steps() -> None:
    layer, (sequence,), steps = random_layer(3, 5), random_sequences([11], 3), np.ones(11, np.int64)
    expected = layer.forward(sequence, steps, reverse=True)
    tail, h, c = layer.forward(sequence[4:], steps[4:], reverse=True)
    head, h, c = layer.forward(sequence[:4], steps[:4], h0=h, c0=c, reverse=True)
    for one, other in zip((np.vstack([head, tail]), h, c), expected, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("reverse", [False, True])
def test_single_step_matches_the_definition(reverse: bool) -> None:
    layer, (x,) = random_layer(3, 5, np.float64), random_sequences([1], 3, np.float64)
    h0, c0 = np.random.default_rng(8).normal(size=(2, 1, 5))
    gates = layer.weight_ih @ x[0] + layer.weight_hh @ h0[0] + layer.bias
    i, f, o = (1 / (1 + np.exp(-gates[start : start + 5])) for start in (0, 5, 15))
    c = f * c0[0] + i * np.tanh(gates[10:15])
    outputs, h_n, c_n = layer.forward(x, np.array([1]), h0=h0, c0=c0, reverse=reverse)
    np.testing.assert_allclose(c_n[0], c, rtol=0, atol=1e-14)
    np.testing.assert_allclose(h_n[0], o * np.tanh(c), rtol=0, atol=1e-14)
    assert np.array_equal(outputs, h_n)


@pytest.mark.parametrize("size", [Size(9, 7, 5, 13), Size(1, 3, 1, 1), Size(6, 1, 3, 7)], ids=str)
@pytest.mark.parametrize("reverse", [False, True])
def test_saved_activations_and_gradients_match_float64(size: Size, reverse: bool) -> None:
    b = random_batch(Size(size.T, size.B, size.I, size.H, reverse))
    expected, N, H = compute_exact(b), len(b.index), size.H
    c0 = b.c0.astype(np.float64)
    activations = SavedActivations(np.empty((N, 4, H)), np.empty((N, H)))
    projected = reference.project(b.inputs.astype(np.float64), b.weight_ih, b.bias)
    reference.recur(
        projected,
        b.batch_sizes,
        b.weight_hh.astype(np.float64),
        h0=b.h0,
        c0=c0,
        reverse=reverse,
        activations=activations,
    )
    np.testing.assert_allclose(activations.gates, expected["gates"], atol=1e-12)
    np.testing.assert_allclose(activations.cells, expected["cells"], atol=1e-12)
    gradient = reference.backward(
        activations,
        b.batch_sizes,
        b.weight_hh.astype(np.float64),
        c0=c0,
        reverse=reverse,
        grad_outputs=b.grad_outputs,
        grad_h_n=b.grad_h_n,
        grad_c_n=b.grad_c_n,
    )
    np.testing.assert_allclose(gradient, expected["grad_rows"], atol=1e-12)


def test_missing_state_gradients_are_zeros() -> None:
    b = random_batch(Size(5, 4, 3, 7))
    zeros = np.zeros_like(b.c0)
    activations = SavedActivations(np.empty((len(b.index), 4, 7)), np.empty((len(b.index), 7)))
    reference.recur(
        reference.project(b.inputs, b.weight_ih, b.bias), b.batch_sizes, b.weight_hh, activations=activations
    )
    explicit: dict[str, Any] = {"c0": zeros, "grad_h_n": zeros, "grad_c_n": zeros}
    one = reference.backward(activations, b.batch_sizes, b.weight_hh, grad_outputs=b.grad_outputs)
    assert np.array_equal(
        one, reference.backward(activations, b.batch_sizes, b.weight_hh, grad_outputs=b.grad_outputs, **explicit)
    )
    assert not reference.backward(activations, b.batch_sizes, b.weight_hh).any()
