from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from tests.helpers.damaged_models import Files, Place, complaint, replaced

from fastlstm.errors import CorruptModelError
from fastlstm.serialization.classifier import SavedModel, read_classifier, write_classifier
from fastlstm.serialization.folder import WEIGHTS
from fastlstm.text.ngrams import NUMBERS


def tensors(files: Files) -> dict[str, Any]:
    return safetensors.numpy.load(files[WEIGHTS])


def wrong_type(arrays: dict[str, Any], dtype: str) -> dict[str, Any]:
    return {**arrays, "lstm.0.forward.bias": arrays["lstm.0.forward.bias"].astype(dtype)}


@pytest.mark.parametrize("dtype", ["float64", "int8", "int32", "bool", "complex64"])
def test_weights_of_another_type_are_corrupt(files: Files, place: Place, dtype: str) -> None:
    damaged = replaced(files, WEIGHTS, safetensors.numpy.save(wrong_type(tensors(files), dtype)))
    expected = f"{WEIGHTS}: lstm.0.forward.bias is {dtype} [16]; expected float32 [16]"
    complaint(place(damaged), CorruptModelError, expected)


def test_weights_stored_in_half_precision_are_read_as_float32(files: Files, place: Place) -> None:
    halved = {name: array.astype(np.float16) for name, array in tensors(files).items()}
    model = read_classifier(place(replaced(files, WEIGHTS, safetensors.numpy.save(halved))))
    assert {str(array.dtype) for array in model.weights.values()} == {"float32"}
    np.testing.assert_array_equal(model.weights["output.weight"], halved["output.weight"].astype(np.float32))


def test_scales_that_do_not_belong_to_whole_numbers_are_corrupt(files: Files, place: Place) -> None:
    arrays = {**tensors(files), "embedding.weight.scale": np.ones(40, np.float16)}
    complaint(
        place(replaced(files, WEIGHTS, safetensors.numpy.save(arrays))),
        CorruptModelError,
        "embedding.weight is float32 [40, 5]; expected int8 [40, 5]",
    )


def test_scales_of_another_number_are_corrupt(files: Files, place: Place) -> None:
    arrays = {**tensors(files), "embedding.weight": np.ones((40, 5), np.int8)}
    arrays["embedding.weight.scale"] = np.ones(39, np.float16)
    complaint(
        place(replaced(files, WEIGHTS, safetensors.numpy.save(arrays))),
        CorruptModelError,
        "embedding.weight.scale is float16 [39]; expected float16 [40]",
    )


def wide(model: SavedModel, numbers: list[int]) -> SavedModel:
    """The model with a wide part of these n-grams."""
    logits = len(model.weights["output.bias"])
    return dataclasses.replace(
        model,
        config=dataclasses.replace(model.config, ngrams=len(numbers)),
        weights={**model.weights, "wide.weight": np.ones((len(numbers), logits), np.float32)},
        numbers={"wide.ngrams": np.array(numbers, np.int32)},
    )


def test_a_wide_part_comes_back_as_it_was_saved(tiny_model: SavedModel, tmp_path: Path) -> None:
    model = wide(tiny_model, [0, 7, NUMBERS - 1])
    write_classifier(model, tmp_path / "model", card="", golden=[], extras={})
    came = read_classifier(tmp_path / "model")
    assert came.config == model.config
    np.testing.assert_array_equal(came.numbers["wide.ngrams"], model.numbers["wide.ngrams"])
    np.testing.assert_array_equal(came.weights["wide.weight"], model.weights["wide.weight"])


@pytest.mark.parametrize("numbers", [[3, 3], [5, 4], [-1, 4], [4, NUMBERS]])
def test_ngrams_that_do_not_rise_in_their_range_are_corrupt(
    tiny_model: SavedModel, tmp_path: Path, numbers: list[int]
) -> None:
    write_classifier(wide(tiny_model, numbers), tmp_path / "model", card="", golden=[], extras={})
    complaint(tmp_path / "model", CorruptModelError, "wide.ngrams does not rise within 0 to")


@pytest.mark.parametrize("shape", [(15,), (17,), (0,), (16, 1), (1, 16), (4, 4), ()])
def test_weights_of_another_shape_are_corrupt(files: Files, place: Place, shape: tuple[int, ...]) -> None:
    arrays = {**tensors(files), "lstm.0.forward.bias": np.ones(shape, np.float32)}
    expected = f"{WEIGHTS}: lstm.0.forward.bias is float32 {list(shape)}; expected float32 [16]"
    complaint(place(replaced(files, WEIGHTS, safetensors.numpy.save(arrays))), CorruptModelError, expected)


def test_a_missing_weight_is_corrupt(files: Files, place: Place) -> None:
    for name, array in tensors(files).items():
        arrays = {other: value for other, value in tensors(files).items() if other != name}
        expected = f"{WEIGHTS}: {name} is missing; expected float32 {list(array.shape)}"
        complaint(place(replaced(files, WEIGHTS, safetensors.numpy.save(arrays))), CorruptModelError, expected)


def test_a_weight_that_nothing_needs_is_corrupt(files: Files, place: Place) -> None:
    arrays = {**tensors(files), "lstm.2.bias\n": np.ones(1, np.float32)}
    folder = place(replaced(files, WEIGHTS, safetensors.numpy.save(arrays)))
    complaint(folder, CorruptModelError, f"{WEIGHTS} has more than the model needs: ['lstm.2.bias\\n']")


def header(values: object, data: bytes = b"") -> bytes:
    """A safetensors file with the given header, right or wrong."""
    encoded = values if isinstance(values, bytes) else json.dumps(values).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        b"\xff" * 8 + b"{}",
        b"\x80\x04K\x01.",
        header(b"[" * 10_000),
        header(b"\xff\xfe"),
        header({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)),
        header({"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}, bytes(4)),
        header({"a": {"dtype": "F4", "shape": [8], "data_offsets": [0, 4]}}, bytes(4)),
        header({"a": {"dtype": "Q7", "shape": [4], "data_offsets": [0, 4]}}, bytes(4)),
        header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)),
        header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, bytes(4)),
        header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 400]}}, bytes(4)),
        header({"a": {"dtype": "F32", "shape": [2**62, 0], "data_offsets": [0, 0]}}),
        header({"a": {"dtype": "F32", "shape": [2**64 - 1] * 2, "data_offsets": [0, 4]}}, bytes(4)),
    ],
)
def test_weights_that_are_no_safetensors_file_are_corrupt(files: Files, place: Place, content: bytes) -> None:
    damaged = replaced(files, WEIGHTS, content)
    complaint(place(damaged), CorruptModelError, f"{WEIGHTS} is not a safetensors file")
