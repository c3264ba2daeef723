"""Storage types of weights: float32, or rounded to float16 or int8 for a half or a quarter of the size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from fastlstm._typing import AnyArray, FloatArray
from fastlstm.errors import OptionError, suggest

Storage = Literal["float32", "float16", "int8"]
SCALE_SUFFIX = ".scale"
"""Suffix of the name of an int8 array's scales."""
MIN_COLUMNS = 16
"""Narrower matrices are float16 instead of int8: their scales would cost more space than int8 saves."""
MAX_INT8 = 127


def check_storage(storage: str) -> None:
    """Raise `OptionError` for an unknown storage type."""
    if storage not in get_args(Storage):
        raise OptionError(
            f"unknown storage {storage!r}; {suggest(storage, get_args(Storage))}",
            code="bad-option-value",
            option="storage",
            value=storage,
        )


def quantize(weights: Mapping[str, FloatArray], storage: str) -> dict[str, AnyArray]:
    """Return the arrays to store.

    With int8, a matrix becomes integers from -127 to 127 and one float16 scale per row, in a separate array.
    Vectors and matrices with few columns become float16.

    Raises:
        OptionError: `storage` is unknown, or a value exceeds the range of float16.
    """
    check_storage(storage)
    if storage == "float32":
        return dict(weights)
    arrays: dict[str, AnyArray] = {}
    for name, weight in weights.items():
        if storage == "int8" and weight.ndim == 2 and weight.shape[1] >= MIN_COLUMNS:
            scale = _to_float16(name, np.abs(weight).max(axis=1) / MAX_INT8)
            divisor = np.maximum(scale.astype(np.float32), np.finfo(np.float16).smallest_subnormal)[:, None]
            integers = np.clip(np.rint(weight / divisor), -MAX_INT8, MAX_INT8)
            arrays[name], arrays[name + SCALE_SUFFIX] = integers.astype(np.int8), scale
        else:
            arrays[name] = _to_float16(name, weight)
    return arrays


def dequantize(arrays: Mapping[str, AnyArray]) -> dict[str, FloatArray]:
    """Return the float32 weights that stored arrays represent."""
    weights: dict[str, FloatArray] = {}
    for name, array in arrays.items():
        if name.endswith(SCALE_SUFFIX):
            continue
        weights[name] = array.astype(np.float32, copy=False)
        if array.dtype == np.int8:
            weights[name] *= arrays[name + SCALE_SUFFIX].astype(np.float32)[:, None]
    return weights


def round_weights(weights: Mapping[str, FloatArray], storage: str) -> dict[str, FloatArray]:
    """Return the weights as they are after storing and loading. Raise the errors of `quantize`."""
    return dequantize(quantize(weights, storage))


def _to_float16(name: str, array: FloatArray) -> npt.NDArray[np.float16]:
    with np.errstate(over="ignore"):
        rounded = array.astype(np.float16)
    if not np.isfinite(rounded).all():
        raise OptionError(
            f"{name} has values above 65,504, the maximum of float16; pass `storage='float32'`",
            code="float16-overflow",
            array=name,
        )
    return rounded
