"""Checks of the kernel's arguments, before their addresses are passed on, and of its status, afterwards."""

from __future__ import annotations

from ctypes import addressof, c_char
from typing import Any

import numpy as np
import numpy.typing as npt

from fastlstm._typing import FloatArray, IndexArray

_NO_MEMORY = 4
_ERRORS = {
    1: "a size is out of range, or the batch sizes increase or end below 1",
    2: "an index is outside the array that it points into",
    3: "a required array is missing",
    5: "this processor does not support the precision",
}


def pointer(array: npt.NDArray[Any] | None) -> int | None:
    """Return the address of the array's data. The kernel reads no more than `check_array` has checked."""
    if array is None:
        return None
    try:
        # A fourth of the time of `array.ctypes.data`. Arrays are buffers, although older stubs do not say so.
        return addressof(c_char.from_buffer(array))  # type: ignore[arg-type,unused-ignore]
    except (BufferError, TypeError, ValueError):  # read-only, strided or empty
        return array.ctypes.data


def check_array(
    name: str,
    array: npt.NDArray[Any] | None,
    shape: tuple[int, ...],
    dtype: Any = np.float32,
    *,
    writeable: bool = False,
) -> None:
    """Raise `ValueError` if an array has another shape or dtype, is not contiguous or not aligned.

    `writeable` also requires an array that is not read-only. None is accepted.
    """
    if array is None:
        return
    flags = array.flags
    if array.shape != shape or array.dtype != dtype or not flags.c_contiguous or not flags.aligned:
        layout = "" if flags.c_contiguous and flags.aligned else ", not contiguous or not aligned"
        expected = f"{np.dtype(dtype)} {list(shape)}, contiguous"
        raise ValueError(f"{name} is {array.dtype} {list(array.shape)}{layout}; expected {expected}")
    if writeable:
        _check_writeable(name, array)


def check_rows(name: str, array: FloatArray, shape: tuple[int, int], *, writeable: bool = False) -> int:
    """Return the number of floats from one row to the next. The rows must be contiguous, the array need not be.

    Raises `ValueError` as `check_array`.
    """
    if (
        array.shape != shape
        or array.dtype != np.float32
        or not array.flags.aligned
        or array.strides[1] != 4
        or array.strides[0] < 4 * shape[1]
        or array.strides[0] % 4
    ):
        expected = f"float32 {list(shape)}, contiguous rows"
        raise ValueError(f"{name} is {array.dtype} {list(array.shape)}; expected {expected}")
    if writeable:
        _check_writeable(name, array)
    return array.strides[0] // 4


def _check_writeable(name: str, array: npt.NDArray[Any]) -> None:
    if not array.flags.writeable:
        raise ValueError(f"{name} is read-only; expected a writeable array")


def check_batch_sizes(batch_sizes: IndexArray) -> tuple[int, int]:
    """Return B, the number of sequences, and N, the number of rows. Raises `ValueError`."""
    check_array("batch_sizes", batch_sizes, (max(batch_sizes.size, 1),), np.int64)
    if batch_sizes.min() < 1:
        raise ValueError(f"batch_sizes has a step of {batch_sizes.min()} sequences; expected at least 1")
    return int(batch_sizes[0]), int(batch_sizes.sum())


def check_status(status: int) -> None:
    """Raise the error of a call's status: `MemoryError` or `ValueError`."""
    if status == _NO_MEMORY:
        raise MemoryError("the kernel could not allocate its workspace")
    if status:
        raise ValueError(_ERRORS.get(status, f"the kernel returned the unknown status {status}"))
