"""What the kernel is called with: arrays are checked before their addresses are given away, its answers after."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastlstm._typing import FloatArray, IndexArray

_ERRORS = {
    1: "a size is out of range, or the batch sizes rise or end below 1",
    2: "an index lies outside the array it points into",
    3: "an array is missing",
    5: "this processor has not the instructions for this precision",
}


def pointer(array: npt.NDArray[Any] | None) -> int | None:
    """Where its numbers begin. The kernel reads no further than `check_array` has made sure of."""
    return None if array is None else array.ctypes.data


def check_array(
    name: str,
    array: npt.NDArray[Any] | None,
    shape: tuple[int, ...],
    dtype: Any = np.float32,
    *,
    written: bool = False,
) -> None:
    """Raises `ValueError` for another shape or type, or gaps; and, if it is to be `written`, a read-only one."""
    if array is None:
        return
    flags = array.flags
    if array.shape != shape or array.dtype != dtype or not flags.c_contiguous or not flags.aligned:
        ill = "" if flags.c_contiguous and flags.aligned else ", not contiguous or not aligned"
        expected = f"{np.dtype(dtype)} {list(shape)}, contiguous"
        raise ValueError(f"{name} is {array.dtype} {list(array.shape)}{ill}; expected {expected}")
    _check_writable(name, array, written)


def _check_writable(name: str, array: npt.NDArray[Any], written: bool) -> None:
    if written and not array.flags.writeable:
        raise ValueError(f"{name} is read-only; expected an array that can be written to")


def sizes_of(batch_sizes: IndexArray) -> tuple[int, int]:
    """How many sequences there are, and how many rows."""
    check_array("batch_sizes", batch_sizes, (max(batch_sizes.size, 1),), np.int64)
    if batch_sizes.min() < 1:
        raise ValueError(f"a step of the batch has {batch_sizes.min()} sequences; expected at least 1")
    return int(batch_sizes[0]), int(batch_sizes.sum())


def stride(name: str, array: FloatArray, shape: tuple[int, int], *, written: bool = False) -> int:
    """How many numbers lie from one row to the next; the rows themselves are contiguous."""
    if (
        array.shape != shape
        or array.dtype != np.float32
        or not array.flags.aligned
        or array.strides[1] != 4
        or array.strides[0] < 4 * shape[1]
        or array.strides[0] % 4
    ):
        raise ValueError(f"{name} is {array.dtype} {list(array.shape)}; expected float32 {list(shape)}, whole rows")
    _check_writable(name, array, written)
    return array.strides[0] // 4


def raise_for(status: int) -> None:
    """Raises what a call's status says went wrong: `ValueError`, `MemoryError`."""
    if status == 4:
        raise MemoryError("the kernel found no memory for its workspace")
    if status:
        raise ValueError(_ERRORS.get(status, f"the kernel returned {status}"))
