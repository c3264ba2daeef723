"""Arrays at random alignments between canary values, so that a write or read outside of them is noticed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from tests.helpers.kernel_exact import Array

from fastlstm._typing import FloatArray

GUARD = 24  # floats before and after every array
CANARY = np.uint32(0x7FA5A5A5)  # a NaN, so that reading it is noticed too


class MismatchError(Exception):
    """A case in which the kernel is wrong."""


class GuardedArrays:
    """An allocator of arrays at random alignments between canaries."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self.bands: list[tuple[str, Array, Array]] = []

    def empty(self, name: str, *shape: int, dtype: npt.DTypeLike = np.float32) -> Array:
        words = np.dtype(dtype).itemsize // 4
        size = int(np.prod(shape)) * words
        memory: FloatArray = np.full(size + 2 * GUARD + 16, CANARY, np.uint32).view(np.float32)
        first = GUARD + int(self._generator.integers(16)) // words * words - memory.ctypes.data // 4 % 16
        self.bands.append((name, memory[:first], memory[first + size :]))
        return memory[first : first + size].view(dtype).reshape(shape)

    def copy(self, name: str, values: Array) -> Array:
        array = self.empty(name, *values.shape, dtype=values.dtype)
        array[...] = values
        return array

    def check(self) -> None:
        for name, before, after in self.bands:
            if any((band.view(np.uint32) != CANARY).any() for band in (before, after)):
                raise MismatchError(f"memory next to {name} was overwritten")
