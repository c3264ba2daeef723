"""Memory of float32 arrays: aligned to cache lines, and reused if that is faster."""

from __future__ import annotations

import math
import os
import sys
import threading
import weakref

import numpy as np

from fastlstm._typing import FloatArray

_ALIGNMENT = 64  # bytes: a vector that crosses a cache line loads at half the speed
_MIN_POOLED = 1 << 14  # floats: the allocator is as fast for smaller arrays


def empty_aligned(*shape: int) -> FloatArray:
    """Return a float32 array, not initialized, that starts at a cache line."""
    return _aligned_view(np.empty(math.prod(shape) + _ALIGNMENT // 4, np.float32), shape)


class BufferPool:
    """Allocates arrays like `empty_aligned`, in memory of earlier arrays that are no longer used.

    New memory is slow at the first write, since the system clears it page by page; how slow depends on the system
    (benchmarks/kernel.py). Memory is reused when nothing refers to its array or to a view of it.

    Attributes:
        lock: Held by the thread that takes an array.
    """

    def __init__(self) -> None:
        self._blocks: list[FloatArray] = []
        self.lock = threading.Lock()
        _POOLS.add(self)

    @property
    def block_count(self) -> int:
        """Number of blocks of memory, in use or free."""
        return len(self._blocks)

    def renew_lock(self) -> None:
        """Replace the lock after a fork: a thread of the parent process may hold it."""
        self.lock = threading.Lock()

    def take(self, *shape: int) -> FloatArray:
        """Return a float32 array, not initialized."""
        size = math.prod(shape) + _ALIGNMENT // 4
        if size < _MIN_POOLED:
            return empty_aligned(*shape)
        with self.lock:
            free = [i for i in range(len(self._blocks)) if sys.getrefcount(self._blocks[i]) == _UNUSED]
            fitting = [i for i in free if self._blocks[i].size >= size]
            if fitting:
                return _aligned_view(self._blocks[min(fitting, key=lambda i: self._blocks[i].size)], shape)
            if free:  # all are too small: replace the largest
                del self._blocks[max(free, key=lambda i: self._blocks[i].size)]
            self._blocks.append(np.empty(size + size // 4, np.float32))
            return _aligned_view(self._blocks[-1], shape)


_POOLS: weakref.WeakSet[BufferPool] = weakref.WeakSet()


def _renew_locks() -> None:
    for pool in _POOLS:
        pool.renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


def _aligned_view(memory: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    start = -memory.ctypes.data % _ALIGNMENT // 4
    return memory[start : start + math.prod(shape)].reshape(shape)


_ONE_BLOCK = [np.empty(1, np.float32)]
_UNUSED = sys.getrefcount(_ONE_BLOCK[0])  # the reference of the list, and that of the call
