"""How weights are kept in a file: as they are, or rounded to take a half or a quarter of the space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from fastlstm._typing import FloatArray
from fastlstm.errors import OptionError, suggest

Storage = Literal["float32", "float16", "int8"]
SCALE = ".scale"
"""What follows the name of an int8 array in the name of its scales."""
MIN_COLUMNS = 16
"""Matrices with fewer columns are kept as float16 where others are int8: scales would take the space."""
MAX_INT8 = 127


def check_storage(storage: str) -> None:
    """Raises `OptionError`, with the near name, for one that is unknown."""
    if storage not in get_args(Storage):
        raise OptionError(f"unknown storage {storage!r}; {suggest(storage, get_args(Storage))}")


def quantize(weights: Mapping[str, FloatArray], storage: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays to write for these weights.

    As float16, or as int8: a matrix then is whole numbers from -127 to 127, row by row times a scale of float16, in
    an array of its own; vectors, and matrices of few columns, are float16.

    Raises `OptionError` for an unknown `storage`, and for weights that are too large for float16.
    """
    check_storage(storage)
    if storage == "float32":
        return dict(weights)
    result: dict[str, npt.NDArray[Any]] = {}
    for name, array in weights.items():
        if storage == "int8" and array.ndim == 2 and array.shape[1] >= MIN_COLUMNS:
            scale = _float16(name, np.abs(array).max(axis=1) / MAX_INT8)
            divisor = np.maximum(scale.astype(np.float32), np.finfo(np.float16).smallest_subnormal)[:, None]
            whole = np.clip(np.rint(array / divisor), -MAX_INT8, MAX_INT8)
            result[name], result[name + SCALE] = whole.astype(np.int8), scale
        else:
            result[name] = _float16(name, array)
    return result


def dequantize(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, FloatArray]:
    """The float32 weights that such arrays stand for, those of int8 times their scales."""
    result: dict[str, FloatArray] = {}
    for name, array in arrays.items():
        if name.endswith(SCALE):
            continue
        result[name] = array.astype(np.float32, copy=False)
        if array.dtype == np.int8:
            result[name] *= arrays[name + SCALE].astype(np.float32)[:, None]
    return result


def round_weights(weights: Mapping[str, FloatArray], storage: str) -> dict[str, FloatArray]:
    """What becomes of weights that are stored so and read again."""
    return dequantize(quantize(weights, storage))


def _float16(name: str, array: FloatArray) -> npt.NDArray[np.float16]:
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float16)
    if not np.isfinite(narrow).all():
        raise OptionError(f"{name} has weights above 65,504, the largest of float16; keep them as float32")
    return narrow
