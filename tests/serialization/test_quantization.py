from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.random_models import MakeModel

import fastlstm
from fastlstm._typing import FloatArray
from fastlstm.config import ModelConfig
from fastlstm.errors import OptionError
from fastlstm.inference import Classifier
from fastlstm.serialization.quantization import SCALE_SUFFIX, dequantize, quantize, round_weights

QUANTIZED = ("matrix", "rows of many sizes", "zeros", "tiny")
"""The weights that become int8."""


def make_weights() -> dict[str, FloatArray]:
    generator = np.random.default_rng(0)
    weights = {
        "matrix": generator.normal(size=(9, 33)),
        "narrow": generator.normal(size=(7, 3)),
        "vector": generator.normal(size=40),
        "rows of many sizes": generator.normal(size=(6, 20)) * 10.0 ** np.arange(-3, 3)[:, None],
        "zeros": np.zeros((3, 17)),
        "tiny": np.full((2, 17), 1e-12),
    }
    return {name: array.astype(np.float32) for name, array in weights.items()}


def test_float32_does_not_change_weights() -> None:
    weights = make_weights()
    for name, array in round_weights(weights, "float32").items():
        np.testing.assert_array_equal(array, weights[name])


def test_float16_rounds_to_nearest() -> None:
    weights = make_weights()
    arrays = quantize(weights, "float16")
    assert {str(array.dtype) for array in arrays.values()} == {"float16"}
    for name, array in dequantize(arrays).items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, weights[name].astype(np.float16))


def test_int8_is_used_for_wide_matrices_only() -> None:
    arrays = quantize(make_weights(), "int8")
    assert {name for name, array in arrays.items() if array.dtype == np.int8} == set(QUANTIZED)
    scales = {name for name in arrays if name.endswith(SCALE_SUFFIX)}
    assert scales == {f"{name}{SCALE_SUFFIX}" for name in QUANTIZED}
    for name in ("narrow", "vector", *scales):
        assert arrays[name].dtype == np.float16


def test_int8_error_is_about_half_a_step_of_the_row() -> None:
    weights = make_weights()
    rounded = round_weights(weights, "int8")
    assert set(rounded) == set(weights)
    for name in QUANTIZED:
        step = np.abs(weights[name]).max(axis=1, keepdims=True) / 127
        assert (np.abs(rounded[name] - weights[name]) <= 0.55 * step + 1e-6).all()


@pytest.mark.parametrize("storage", ["float32", "float16", "int8"])
def test_rounding_twice_is_close_to_rounding_once(storage: str) -> None:
    once = round_weights(make_weights(), storage)
    for name, array in round_weights(once, storage).items():
        np.testing.assert_allclose(array, once[name], rtol=2e-3, atol=1e-7)


def test_weights_beyond_float16_raise_option_error() -> None:
    with pytest.raises(OptionError) as raised:
        quantize({"bias": np.array([1e5], np.float32)}, "float16")
    assert (raised.value.code, raised.value.array) == ("float16-overflow", "bias")


def test_unknown_storage_raises_option_error() -> None:
    with pytest.raises(OptionError) as raised:
        quantize({}, "int9")
    error = raised.value
    assert (error.code, error.option, error.value) == ("bad-option-value", "storage", "int9")
    assert "'int8'" in str(error)  # the suggestion


@pytest.mark.parametrize("storage", ["float32", "float16", "int8"])
def test_saved_model_predicts_as_the_rounded_weights(storage: str, make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model(ModelConfig(embedding_size=20, hidden_sizes=(18,), max_tokens=30, bidirectional=True))
    Classifier(model).save(tmp_path / "model", storage=storage)
    loaded = fastlstm.load(tmp_path / "model")
    rounded = round_weights(model.weights, storage)
    for name, array in rounded.items():
        np.testing.assert_array_equal(loaded.saved.weights[name], array)
    expected = Classifier(dataclasses.replace(model, weights=rounded)).predict_proba(["a film"])
    np.testing.assert_array_equal(loaded.predict_proba(["a film"]), expected)
