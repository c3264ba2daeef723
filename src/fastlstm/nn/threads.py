"""PyTorch's number of threads, set for the calling thread alone.

A run computes on one thread of PyTorch, for three reasons. PyTorch's idle workers spin on the cores that the kernel's
threads need. The order of PyTorch's sums depends on the number of threads, so with one thread the bits of a result do
not. And GCC's OpenMP runtime waits for ever for its workers after a fork, but it needs none for one thread.

`torch.set_num_threads` is not used, because it also changes the threads that other threads start with. The runtimes
below it, OpenMP and MKL, have a number for each calling thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Callable, Generator, Iterator
from typing import ParamSpec, TypeVar

import torch

Parameters = ParamSpec("Parameters")
Event = TypeVar("Event")


def use_one_thread() -> Callable[[], None]:
    """Let PyTorch compute on the calling thread alone.

    Does nothing if PyTorch was built without OpenMP.

    Returns:
        A function that undoes it, to be called by the same thread.
    """
    set_openmp, set_mkl = _setters()
    openmp = torch.get_num_threads()  # this call also initializes PyTorch's number for a new thread
    set_openmp(1)
    mkl = set_mkl(1)

    def undo() -> None:
        set_openmp(openmp)
        set_mkl(mkl)

    return undo


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch compute on the calling thread alone in this context. Contexts may be nested."""
    undo = use_one_thread()
    try:
        yield
    finally:
        undo()


def on_one_thread(
    function: Callable[Parameters, Generator[Event, None, None]],
) -> Callable[Parameters, Generator[Event, None, None]]:
    """Decorate a generator function, so that it computes in `one_thread`. Between two events, nothing is changed."""

    @functools.wraps(function)
    def generate(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Generator[Event, None, None]:
        events = function(*args, **kwargs)
        try:
            while True:
                with one_thread():
                    try:
                        event = next(events)
                    except StopIteration:
                        return
                yield event
        finally:
            with one_thread():
                events.close()

    return generate


@functools.cache
def _setters() -> tuple[Callable[[int], object], Callable[[int], int]]:
    """Return the functions that set the calling thread's number in PyTorch's OpenMP and MKL.

    MKL's returns the previous number; 0 is the default. A function that does not exist does nothing.
    """
    try:
        library = ctypes.CDLL(torch._C.__file__)  # finds the symbols of the libraries that PyTorch is linked to
    except OSError:
        return _do_nothing, _do_nothing
    return (
        getattr(library, "omp_set_num_threads", _do_nothing),
        getattr(library, "MKL_Set_Num_Threads_Local", _do_nothing),
    )


def _do_nothing(_number: int) -> int:
    return 0
