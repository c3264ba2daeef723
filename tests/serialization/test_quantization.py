import dataclasses
from pathlib import Path

import numpy as np
import pytest

import fastlstm
from fastlstm.config import ModelConfig
from fastlstm.errors import OptionError
from fastlstm.inference import Classifier
from fastlstm.serialization.quantization import SCALE, dequantize, quantize, round_weights


def some_weights() -> dict[str, np.ndarray]:
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


def test_float32_is_kept_as_it_is() -> None:
    weights = some_weights()
    for name, array in round_weights(weights, "float32").items():
        np.testing.assert_array_equal(array, weights[name])


def test_float16_is_the_nearest() -> None:
    weights = some_weights()
    arrays = quantize(weights, "float16")
    assert {str(array.dtype) for array in arrays.values()} == {"float16"}
    for name, array in dequantize(arrays).items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, weights[name].astype(np.float16))


def test_int8_is_off_by_half_a_step_of_its_row_at_most() -> None:
    weights = some_weights()
    arrays = quantize(weights, "int8")
    assert str(arrays["matrix"].dtype) == "int8"
    assert {name for name in arrays if name.endswith(SCALE)} == {
        f"{name}{SCALE}" for name in ("matrix", "rows of many sizes", "zeros", "tiny")
    }
    for name in ("narrow", "vector"):
        assert str(arrays[name].dtype) == "float16"
    came = dequantize(arrays)
    assert set(came) == set(weights)
    for name in ("matrix", "rows of many sizes", "zeros", "tiny"):
        step = np.abs(weights[name]).max(axis=1, keepdims=True) / 127
        assert (np.abs(came[name] - weights[name]) <= 0.55 * step + 1e-6).all()


@pytest.mark.parametrize("storage", ["float32", "float16", "int8"])
def test_what_is_rounded_once_stays_as_it_is(storage: str) -> None:
    once = round_weights(some_weights(), storage)
    for name, array in round_weights(once, storage).items():
        np.testing.assert_allclose(array, once[name], rtol=2e-3, atol=1e-7)


def test_weights_too_large_for_half_precision_are_refused() -> None:
    with pytest.raises(OptionError, match="bias has weights above 65,504"):
        quantize({"bias": np.array([1e5], np.float32)}, "float16")


def test_an_unknown_storage_is_refused() -> None:
    with pytest.raises(OptionError, match="did you mean 'int8'"):
        quantize({}, "int9")


@pytest.mark.parametrize("storage", ["float32", "float16", "int8"])
def test_a_saved_model_answers_as_its_golden_texts_say(storage: str, make_model: object, tmp_path: Path) -> None:
    assert callable(make_model)
    model = make_model(ModelConfig(embedding_size=20, hidden_sizes=(18,), max_tokens=30, bidirectional=True))
    Classifier(model).save(tmp_path / "model", storage=storage)
    loaded = fastlstm.load(tmp_path / "model")
    for name, array in round_weights(model.weights, storage).items():
        np.testing.assert_array_equal(loaded.model.weights[name], array)
    golden = fastlstm.load(tmp_path / "model").predict_proba(["a film"])
    own = Classifier(dataclasses.replace(model, weights=round_weights(model.weights, storage))).predict_proba(
        ["a film"]
    )
    np.testing.assert_array_equal(golden, own)
