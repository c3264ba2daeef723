from __future__ import annotations

import numpy as np
import pytest

from fastlstm._typing import FloatArray
from fastlstm.kernel.arguments import pointer


def read_only(array: FloatArray) -> FloatArray:
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 4), np.float32),
        np.zeros((3, 4), np.float32)[1:],
        np.zeros((3, 4), np.float32)[:, 1:3],
        np.zeros((0, 4), np.float32),
        read_only(np.zeros(4, np.float32)),
    ],
    ids=["whole", "rows", "strided", "empty", "read-only"],
)
def test_pointer_is_the_address_of_the_first_element(array: FloatArray) -> None:
    assert pointer(array) == array.ctypes.data


def test_pointer_of_no_array_is_none() -> None:
    assert pointer(None) is None
