"""Arrays are empty_aligned, and a pool reuses memory only when no array refers to it."""

from __future__ import annotations

import multiprocessing
import weakref

import numpy as np
import pytest

from fastlstm.kernel.memory import BufferPool, empty_aligned


@pytest.mark.parametrize("shape", [(), (1,), (1, 5), (13, 7), (129, 4, 33)])
def test_arrays_are_aligned_to_cache_lines(shape: tuple[int, ...]) -> None:
    for allocate in (empty_aligned, BufferPool().take):
        array = allocate(*shape)
        assert array.shape == shape
        assert array.dtype == np.float32
        assert array.ctypes.data % 64 == 0
        assert array.flags.c_contiguous


def test_pool_reuses_only_memory_without_references() -> None:
    pool = BufferPool()
    first, second = pool.take(100, 300), pool.take(100, 300)
    assert not np.shares_memory(first, second)
    view, address = first[3:, ::2].T, first.ctypes.data
    del first
    assert not np.shares_memory(view, pool.take(100, 300))
    del view
    again = pool.take(299, 101)
    assert again.ctypes.data == address
    assert not np.shares_memory(again, second)


def test_pool_reuses_the_smallest_fitting_block_and_frees_one_that_is_too_small() -> None:
    pool = BufferPool()
    large, small = pool.take(1_000_000), pool.take(20_000)
    addresses = large.ctypes.data, small.ctypes.data
    del large, small
    assert pool.take(19_000).ctypes.data == addresses[1]
    assert pool.take(21_000_000).size == 21_000_000
    assert pool.block_count == 2


def test_unused_pool_is_freed() -> None:
    pool = BufferPool()
    pool.take(20_000)
    reference = weakref.ref(pool)
    del pool
    assert reference() is None


def test_pool_works_in_a_child_forked_while_its_lock_is_held() -> None:
    pool = BufferPool()
    with pool.lock:
        process = multiprocessing.get_context("fork").Process(target=pool.take, args=(20_000,))
        process.start()
    process.join(60)
    hangs = process.is_alive()
    process.kill()
    assert not hangs
    assert process.exitcode == 0
