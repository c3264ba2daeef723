"""The output layer of the kernel against NumPy in float64, and bit by bit between batches."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fastlstm._typing import FloatArray
from fastlstm.inference.network import probabilities_of
from fastlstm.kernel.abi import OutputArguments
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.output import OutputCall, OutputLayer

OK, BAD_SIZE, _, BAD_POINTER = range(4)
TEMPERATURE = 1.7
SHAPES = [(1, 1), (5, 1), (16, 2), (33, 3), (1152, 1), (67, 40)]
"""F and C."""
ACTIVATIONS = ["softmax", "sigmoid"]


def make_layer(kernel: Kernel, F: int, C: int, activation: str) -> tuple[OutputLayer, FloatArray, FloatArray]:
    generator = np.random.default_rng(F + C)
    weight = (generator.standard_normal((C, F)) * 2 / F**0.5).astype(np.float32)
    bias = generator.standard_normal(C).astype(np.float32)
    return kernel.output_layer(weight, bias, TEMPERATURE, activation), weight, bias


def random_inputs(F: int, C: int, texts: int = 9) -> tuple[FloatArray, FloatArray]:
    generator = np.random.default_rng(F)
    features = generator.standard_normal((texts, F)).astype(np.float32)
    return features, generator.standard_normal((texts, C)).astype(np.float32)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("F", "C"), SHAPES)
def test_output_equals_numpy(kernel: Kernel, F: int, C: int, activation: str) -> None:
    layer, weight, bias = make_layer(kernel, F, C, activation)
    features, ngram_logits = random_inputs(F, C)
    for ngrams in (None, ngram_logits):
        exact = features.astype(np.float64) @ weight.T.astype(np.float64) + bias + (0 if ngrams is None else ngrams)
        logits = layer.logits(features, ngrams)
        np.testing.assert_allclose(logits, exact / TEMPERATURE, rtol=1e-6, atol=1e-6)
        probabilities = OutputCall(layer, features, ngrams).probabilities()
        assert probabilities.tobytes() == layer.probabilities(logits).tobytes()
        expected = probabilities_of(logits.astype(np.float64), activation == "sigmoid")
        np.testing.assert_allclose(probabilities, expected, rtol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("F", "C"), SHAPES)
def test_output_of_a_text_does_not_depend_on_its_batch(kernel: Kernel, F: int, C: int, activation: str) -> None:
    layer, _, _ = make_layer(kernel, F, C, activation)
    features, ngram_logits = random_inputs(F, C)
    expected = OutputCall(layer, features, ngram_logits).probabilities()
    for k in range(len(features)):
        row = slice(k, k + 1)
        assert (
            OutputCall(layer, features[row], ngram_logits[row]).probabilities().tobytes() == expected[k].tobytes()
        )
    order = np.random.default_rng(0).permutation(len(features))
    shuffled = OutputCall(layer, features[order], ngram_logits[order]).probabilities()
    assert shuffled.tobytes() == expected[order].tobytes()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_call_reads_the_present_values_of_its_arrays(kernel: Kernel, activation: str) -> None:
    layer, _, _ = make_layer(kernel, 33, 3, activation)
    features, ngram_logits = random_inputs(33, 3)
    call = OutputCall(layer, features, ngram_logits)
    first = call.probabilities()
    copy = first.copy()
    features *= 2
    ngram_logits -= 1
    second = call.probabilities()
    assert first.tobytes() == copy.tobytes()
    assert second.tobytes() == OutputCall(layer, features.copy(), ngram_logits.copy()).probabilities().tobytes()
    assert second.tobytes() != first.tobytes()
    assert call.logits().tobytes() == layer.logits(features, ngram_logits).tobytes()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("C", [1, 2, 4])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -3e38, 0, -0.0, 1e-40])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_special_logits_equal_numpy(kernel: Kernel, C: int, activation: str, value: float) -> None:
    layer, _, _ = make_layer(kernel, 3, C, activation)
    logits = np.random.default_rng(C).standard_normal((C + 2, C)).astype(np.float32)
    for k in range(C):
        logits[k, k] = value
    logits[C] = value
    expected = probabilities_of(logits, activation == "sigmoid")
    np.testing.assert_allclose(layer.probabilities(logits), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_no_texts_have_no_output(kernel: Kernel, activation: str) -> None:
    layer, _, _ = make_layer(kernel, 5, 1, activation)
    features, ngram_logits = random_inputs(5, 1, texts=0)
    assert layer.logits(features, ngram_logits).shape == (0, 1)
    assert OutputCall(layer, features, None).probabilities().shape == (0, layer.classes)


@pytest.mark.parametrize("change", [lambda a: a[:, 1:], lambda a: a[::2], lambda a: a.astype(np.float64)])
def test_wrong_arrays_raise_value_error(kernel: Kernel, change: Any) -> None:
    layer, _, _ = make_layer(kernel, 5, 3, "softmax")
    features, ngram_logits = random_inputs(5, 3)
    with pytest.raises(ValueError, match="features"):
        layer.logits(change(features), None)
    with pytest.raises(ValueError, match="ngram_logits"):
        layer.logits(features, change(ngram_logits))
    with pytest.raises(ValueError, match="logits"):
        layer.probabilities(change(ngram_logits))


def test_wrong_weights_raise_value_error(kernel: Kernel) -> None:
    weight, bias = np.zeros((2, 3), np.float32), np.zeros(2, np.float32)
    wrong: list[Any] = [(weight.T, bias), (weight, bias[1:]), (weight.astype(np.float64), bias)]
    for wrong_weight, wrong_bias in wrong:
        with pytest.raises(ValueError, match=r"weight|bias"):
            kernel.output_layer(wrong_weight, wrong_bias, 1.0, "softmax")


def output_arguments() -> Any:
    """Return valid arguments, which keep their arrays alive."""
    shapes = {"features": (2, 5), "weight": (3, 5), "bias": (3,), "logits": (2, 3), "probabilities": (2, 3)}
    arrays = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    pointers = {name: array.ctypes.data for name, array in arrays.items()}
    arguments: Any = OutputArguments(texts=2, F=5, C=3, temperature=1, activation=0, **pointers)
    arguments.arrays = arrays
    return arguments


def status_with(library: SimpleNamespace, **changes: Any) -> int:
    arguments = output_arguments()
    for name, value in changes.items():
        setattr(arguments, name, value)
    return int(library.output(ctypes.byref(arguments)))


def test_size_out_of_range_returns_bad_size(library: SimpleNamespace) -> None:
    assert status_with(library) == status_with(library, texts=0) == OK
    assert status_with(library, features=None, F=0) == OK
    for name in ("texts", "F", "C"):
        for bad in (-1, -(2**63), 2**41, 2**63 - 1):
            assert status_with(library, **{name: bad}) == BAD_SIZE
    for name, bad in (("F", 0), ("C", 0), ("C", 2**18 + 1), ("activation", -1), ("activation", 2)):
        assert status_with(library, **{name: bad}) == BAD_SIZE


def test_missing_array_returns_bad_pointer(library: SimpleNamespace) -> None:
    for name in ("weight", "bias", "logits"):
        assert status_with(library, **{name: None}) == BAD_POINTER
    assert status_with(library, features=None, weight=None, bias=None) == OK
    assert status_with(library, probabilities=None) == OK
    assert status_with(library, features=None, logits=None) == BAD_POINTER
