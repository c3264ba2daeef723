from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from tests.helpers.damaged_models import MakeFolder, ModelFiles, corrupt_error, with_file

from fastlstm.errors import CorruptModelError
from fastlstm.serialization.classifier import SavedModel, read_classifier, write_classifier
from fastlstm.serialization.folder import WEIGHTS
from fastlstm.text.ngrams import NGRAM_ID_COUNT

BIAS = "lstm.0.forward.bias"


def load_arrays(files: ModelFiles) -> dict[str, Any]:
    return safetensors.numpy.load(files[WEIGHTS])


def error_of(arrays: dict[str, Any], files: ModelFiles, make_folder: MakeFolder) -> CorruptModelError:
    """Return the error that reading a model with these arrays raises."""
    folder = make_folder(with_file(files, WEIGHTS, safetensors.numpy.save(arrays)))
    return corrupt_error(folder, WEIGHTS)


def facts(error: CorruptModelError) -> tuple[str, str, str]:
    return error.array, error.actual, error.expected


@pytest.mark.parametrize("dtype", ["float64", "int8", "int32", "bool", "complex64"])
def test_weights_of_another_type_are_corrupt(model_files: ModelFiles, make_folder: MakeFolder, dtype: str) -> None:
    arrays = load_arrays(model_files)
    arrays[BIAS] = arrays[BIAS].astype(dtype)
    error = error_of(arrays, model_files, make_folder)
    assert facts(error) == (BIAS, f"{dtype} [16]", "float32 [16]")


def test_float16_weights_are_read_as_float32(model_files: ModelFiles, make_folder: MakeFolder) -> None:
    rounded = {name: array.astype(np.float16) for name, array in load_arrays(model_files).items()}
    model = read_classifier(make_folder(with_file(model_files, WEIGHTS, safetensors.numpy.save(rounded))))
    assert {str(array.dtype) for array in model.weights.values()} == {"float32"}
    np.testing.assert_array_equal(model.weights["output.weight"], rounded["output.weight"].astype(np.float32))


def test_scales_of_float32_weights_are_corrupt(model_files: ModelFiles, make_folder: MakeFolder) -> None:
    arrays = {**load_arrays(model_files), "embedding.weight.scale": np.ones(40, np.float16)}
    error = error_of(arrays, model_files, make_folder)
    assert facts(error) == ("embedding.weight", "float32 [40, 5]", "int8 [40, 5]")


def test_wrong_number_of_scales_is_corrupt(model_files: ModelFiles, make_folder: MakeFolder) -> None:
    arrays = {**load_arrays(model_files), "embedding.weight": np.ones((40, 5), np.int8)}
    arrays["embedding.weight.scale"] = np.ones(39, np.float16)
    error = error_of(arrays, model_files, make_folder)
    assert facts(error) == ("embedding.weight.scale", "float16 [39]", "float16 [40]")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_weights_are_corrupt(model_files: ModelFiles, make_folder: MakeFolder, value: float) -> None:
    arrays = load_arrays(model_files)
    arrays[BIAS] = arrays[BIAS].copy()
    arrays[BIAS][3] = value
    error = error_of(arrays, model_files, make_folder)
    assert (error.array, error.actual) == (BIAS, "non-finite")


def with_wide_part(model: SavedModel, ngram_ids: list[int]) -> SavedModel:
    """Return the model with weights for these n-gram ids."""
    logits = len(model.weights["output.bias"])
    return dataclasses.replace(
        model,
        config=dataclasses.replace(model.config, ngrams=len(ngram_ids)),
        weights={**model.weights, "wide.weight": np.ones((len(ngram_ids), logits), np.float32)},
        integer_arrays={"wide.ngrams": np.array(ngram_ids, np.int32)},
    )


def test_wide_part_is_read_as_it_was_written(tiny_model: SavedModel, tmp_path: Path) -> None:
    model = with_wide_part(tiny_model, [0, 7, NGRAM_ID_COUNT - 1])
    write_classifier(model, tmp_path / "model", card="", golden=[], extras={})
    loaded = read_classifier(tmp_path / "model")
    assert loaded.config == model.config
    np.testing.assert_array_equal(loaded.integer_arrays["wide.ngrams"], model.integer_arrays["wide.ngrams"])
    np.testing.assert_array_equal(loaded.weights["wide.weight"], model.weights["wide.weight"])


@pytest.mark.parametrize("ngram_ids", [[3, 3], [5, 4], [-1, 4], [4, NGRAM_ID_COUNT]])
def test_ngram_ids_not_increasing_or_out_of_range_are_corrupt(
    tiny_model: SavedModel, tmp_path: Path, ngram_ids: list[int]
) -> None:
    write_classifier(with_wide_part(tiny_model, ngram_ids), tmp_path / "model", card="", golden=[], extras={})
    assert corrupt_error(tmp_path / "model", WEIGHTS).array == "wide.ngrams"


@pytest.mark.parametrize("shape", [(15,), (17,), (0,), (16, 1), (1, 16), (4, 4), ()])
def test_weights_of_another_shape_are_corrupt(
    model_files: ModelFiles, make_folder: MakeFolder, shape: tuple[int, ...]
) -> None:
    arrays = {**load_arrays(model_files), BIAS: np.ones(shape, np.float32)}
    error = error_of(arrays, model_files, make_folder)
    assert facts(error) == (BIAS, f"float32 {list(shape)}", "float32 [16]")


def test_missing_weight_is_corrupt(model_files: ModelFiles, make_folder: MakeFolder) -> None:
    for name, array in load_arrays(model_files).items():
        arrays = {other: value for other, value in load_arrays(model_files).items() if other != name}
        error = error_of(arrays, model_files, make_folder)
        assert facts(error) == (name, "missing", f"float32 {list(array.shape)}")


def test_unexpected_weight_is_corrupt(model_files: ModelFiles, make_folder: MakeFolder) -> None:
    arrays = {**load_arrays(model_files), "lstm.2.bias\n": np.ones(1, np.float32)}
    assert error_of(arrays, model_files, make_folder).arrays == ["lstm.2.bias\n"]


def safetensors_file(header: object, data: bytes = b"") -> bytes:
    """Return a safetensors file with this header, valid or not."""
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        b"\xff" * 8 + b"{}",
        b"\x80\x04K\x01.",
        safetensors_file(b"[" * 10_000),
        safetensors_file(b"\xff\xfe"),
        safetensors_file({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)),
        safetensors_file({"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}, bytes(4)),
        safetensors_file({"a": {"dtype": "F4", "shape": [8], "data_offsets": [0, 4]}}, bytes(4)),
        safetensors_file({"a": {"dtype": "Q7", "shape": [4], "data_offsets": [0, 4]}}, bytes(4)),
        safetensors_file({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)),
        safetensors_file({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, bytes(4)),
        safetensors_file({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 400]}}, bytes(4)),
        safetensors_file({"a": {"dtype": "F32", "shape": [2**62, 0], "data_offsets": [0, 0]}}),
        safetensors_file({"a": {"dtype": "F32", "shape": [2**64 - 1] * 2, "data_offsets": [0, 4]}}, bytes(4)),
    ],
)
def test_invalid_safetensors_file_is_corrupt(
    model_files: ModelFiles, make_folder: MakeFolder, content: bytes
) -> None:
    error = corrupt_error(make_folder(with_file(model_files, WEIGHTS, content)), WEIGHTS)
    assert isinstance(error.__cause__, safetensors.SafetensorError | KeyError | ValueError)
