"""Memory for float32 arrays: aligned as vectors like it, and used again where that pays."""

from __future__ import annotations

import math
import os
import sys
import threading

import numpy as np

from fastlstm._typing import FloatArray

_ALIGNMENT = 64  # bytes: a vector that crosses a cache line loads at half the speed
_LARGE = 1 << 14  # numbers: less comes back from the allocator as fast as from a pool


def aligned(*shape: int) -> FloatArray:
    """float32 [shape], not filled, at an address that vectors like."""
    return _shaped(np.empty(math.prod(shape) + _ALIGNMENT // 4, np.float32), shape)


class BufferPool:
    """Gives out arrays as `aligned` does, in memory that earlier ones have left.

    New memory is slow the first time it is written to, since the system clears it page by page; how slow is the
    system's matter (`benchmarks/kernel.py` measures it). An array is free again once nothing refers to it or to
    a view of it.
    """

    def __init__(self) -> None:
        self._memories: list[FloatArray] = []
        self._renew_lock()
        if hasattr(os, "register_at_fork"):  # a thread that held it does not survive a fork
            os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def take(self, *shape: int) -> FloatArray:
        """float32 [shape], not filled."""
        size = math.prod(shape) + _ALIGNMENT // 4
        if size < _LARGE:
            return aligned(*shape)
        with self._lock:
            free = [i for i in range(len(self._memories)) if sys.getrefcount(self._memories[i]) == _UNUSED]
            fitting = [i for i in free if self._memories[i].size >= size]
            if fitting:
                return _shaped(self._memories[min(fitting, key=lambda i: self._memories[i].size)], shape)
            if free:  # all too small: the largest makes room for one that fits
                del self._memories[max(free, key=lambda i: self._memories[i].size)]
            self._memories.append(np.empty(size + size // 4, np.float32))
            return _shaped(self._memories[-1], shape)


def _shaped(memory: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    start = -memory.ctypes.data % _ALIGNMENT // 4
    return memory[start : start + math.prod(shape)].reshape(shape)


_ONE = [np.empty(1, np.float32)]
_UNUSED = sys.getrefcount(_ONE[0])  # the list's reference, and what asking adds
