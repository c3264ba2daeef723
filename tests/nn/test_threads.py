"""Numbers of threads and the denormal mode change in their context alone, and are restored."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from fastlstm.nn.numerics import training_numerics
from fastlstm.nn.threads import on_one_thread, one_thread


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    """Set PyTorch's number of threads to 3."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def threads_of_a_new_thread() -> int:
    """Return PyTorch's number of threads in a thread that has not used PyTorch before."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(torch.get_num_threads).result()


def flushes_denormals() -> bool:
    """Return whether the calling thread flushes denormals to zero."""
    return not bool(torch.tensor([1e-30]) * 1e-10)


def test_one_thread_changes_the_calling_thread_only() -> None:
    with one_thread():
        assert torch.get_num_threads() == 1
        assert threads_of_a_new_thread() == 3
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


def test_number_of_threads_is_restored_after_an_error() -> None:
    with pytest.raises(KeyError), one_thread():
        raise KeyError
    assert torch.get_num_threads() == 3


def test_generator_computes_on_one_thread_and_yields_with_all() -> None:
    seen = []

    @on_one_thread
    def generate(count: int) -> Generator[int, None, None]:
        try:
            for number in range(count):
                seen.append(torch.get_num_threads())
                yield number
        finally:
            seen.append(torch.get_num_threads())

    assert [(number, torch.get_num_threads()) for number in generate(2)] == [(0, 3), (1, 3)]
    assert seen == [1, 1, 1]
    stopped = generate(2)
    next(stopped)
    stopped.close()
    assert seen == [1] * 5
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("flushed_before", [False, True])
def test_training_numerics_restores_threads_and_denormals(flushed_before: bool) -> None:
    before = flushes_denormals()
    torch.set_flush_denormal(flushed_before)
    try:
        with training_numerics():
            assert (torch.get_num_threads(), flushes_denormals()) == (1, True)
            with training_numerics("bfloat16"):
                assert flushes_denormals()
            assert flushes_denormals()
            with ThreadPoolExecutor(1) as executor:
                assert executor.submit(torch.get_num_threads).result() == 3
        assert (torch.get_num_threads(), flushes_denormals()) == (3, flushed_before)
    finally:
        torch.set_flush_denormal(before)
