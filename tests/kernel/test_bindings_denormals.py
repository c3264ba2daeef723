"""A call leaves its caller's floating-point mode as it was, and does not depend on it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from tests.helpers.kernel_calls import METHODS, Calls


def denormals_count() -> bool:
    return bool(np.multiply(np.float32(1e-20), np.full(9, 1e-20, np.float32)).all())


@pytest.fixture
def flushing() -> Iterator[None]:
    torch = pytest.importorskip("torch")
    if not torch.set_flush_denormal(True):
        pytest.skip("PyTorch cannot flush denormals on this processor")
    yield
    torch.set_flush_denormal(False)


@pytest.mark.parametrize("method", METHODS)
def test_the_callers_denormals_count_as_before(calls: Calls, method: str) -> None:
    assert denormals_count()
    for threads in (1, 2):
        calls.kernel.threads = threads
        getattr(calls, method)()
        assert denormals_count()


@pytest.mark.parametrize("method", METHODS)
def test_the_callers_denormals_stay_flushed(calls: Calls, flushing: None, method: str) -> None:  # noqa: ARG001
    assert not denormals_count()
    getattr(calls, method)()
    assert not denormals_count()


def test_the_callers_mode_does_not_change_a_bit(calls: Calls) -> None:
    before = calls.forward()[0]
    torch = pytest.importorskip("torch")
    if not torch.set_flush_denormal(True):
        pytest.skip("PyTorch cannot flush denormals on this processor")
    try:
        assert calls.forward()[0].tobytes() == before.tobytes()
    finally:
        torch.set_flush_denormal(False)
