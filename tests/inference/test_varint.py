"""Integers as bytes of variable length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlstm.inference.varint import decode_varints, encode_varints

LARGEST = 2**31 - 1


@pytest.mark.parametrize(
    ("values", "content"),
    [
        ([], ""),
        ([0], "00"),
        ([127, 128], "7f 8001"),
        ([300, 5], "ac02 05"),
        ([16383, 16384], "ff7f 808001"),
        ([LARGEST, 0], "ffffffff07 00"),
    ],
)
def test_bytes_are_those_of_leb128(values: list[int], content: str) -> None:
    assert encode_varints(np.array(values, np.int64)) == bytes.fromhex(content)
    decoded = decode_varints(bytes.fromhex(content))
    assert decoded.dtype == np.int32
    assert decoded.tolist() == values


@given(st.lists(st.integers(0, LARGEST) | st.integers(0, 300)))
def test_decoded_integers_equal_those_encoded(values: list[int]) -> None:
    assert decode_varints(encode_varints(np.array(values, np.int32))).tolist() == values


@given(st.binary())
def test_any_bytes_are_integers_in_range_or_raise_value_error(content: bytes) -> None:
    try:
        values = decode_varints(content)
    except ValueError:
        return
    assert len(encode_varints(values)) <= len(content)
    assert (values >= 0).all()


@pytest.mark.parametrize("content", ["80", "05 ff", "ffffffff0f", "8080808008", "808080808000", "ff" * 20 + "00"])
def test_invalid_bytes_raise_value_error(content: str) -> None:
    with pytest.raises(ValueError, match="integer"):
        decode_varints(bytes.fromhex(content))
