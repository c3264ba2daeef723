"""Integers as bytes, few for small ones: LEB128, the variable-length code of Protocol Buffers and DWARF.

Each byte holds 7 bits of an integer, the lowest first. Its highest bit is set unless it is the integer's last byte.
"""

from __future__ import annotations

import numpy as np

from fastlstm._typing import IndexArray, TokenIds

MAX_VARINT_BYTES = 5
"""Bytes of the largest int32."""
_SHIFTS = np.arange(0, 7 * MAX_VARINT_BYTES, 7)


def encode_varints(values: IndexArray | TokenIds) -> bytes:
    """Return the bytes of integers [n], each at least 0 and below 2^31."""
    shifted = values.astype(np.int64)[:, None] >> _SHIFTS
    is_needed = shifted > 0
    is_needed[:, 0] = True
    has_next = np.zeros_like(is_needed)
    has_next[:, :-1] = is_needed[:, 1:]
    return (shifted & 127 | has_next << 7)[is_needed].astype(np.uint8).tobytes()


def decode_varints(content: bytes) -> TokenIds:
    """Return the integers [n], int32, of `encode_varints`. Raise `ValueError` if `content` is invalid."""
    encoded = np.frombuffer(content, np.uint8)
    ends = np.flatnonzero(encoded < 128)
    lengths = np.diff(ends, prepend=-1)
    if lengths.sum() != len(encoded):
        raise ValueError("the last integer is incomplete")
    if lengths.max(initial=0) > MAX_VARINT_BYTES:
        raise ValueError("an integer is too long")
    starts = ends + 1 - lengths
    position = np.arange(len(encoded)) - np.repeat(starts, lengths)
    bits = (encoded & 127).astype(np.int64) << 7 * position
    values = np.add.reduceat(bits, starts) if len(starts) else np.empty(0, np.int64)
    if values.max(initial=0) > np.iinfo(np.int32).max:
        raise ValueError("an integer is too large")
    return values.astype(np.int32)
