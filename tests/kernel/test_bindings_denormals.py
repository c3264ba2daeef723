"""A call restores its caller's floating-point mode and does not depend on it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from tests.helpers.kernel_calls import METHODS, Calls


def denormals_are_kept() -> bool:
    return bool(np.multiply(np.float32(1e-20), np.full(9, 1e-20, np.float32)).all())


@pytest.fixture
def flush_denormals() -> Iterator[None]:
    torch = pytest.importorskip("torch")
    if not torch.set_flush_denormal(True):
        pytest.skip("PyTorch cannot flush denormals on this processor")
    yield
    torch.set_flush_denormal(False)


@pytest.mark.parametrize("method", METHODS)
def test_call_keeps_flushing_of_denormals_off(calls: Calls, method: str) -> None:
    assert denormals_are_kept()
    for threads in (1, 2):
        calls.kernel.threads = threads
        getattr(calls, method)()
        assert denormals_are_kept()


@pytest.mark.usefixtures("flush_denormals")
@pytest.mark.parametrize("method", METHODS)
def test_call_keeps_flushing_of_denormals_on(calls: Calls, method: str) -> None:
    assert not denormals_are_kept()
    getattr(calls, method)()
    assert not denormals_are_kept()


def test_results_do_not_depend_on_the_callers_mode(calls: Calls) -> None:
    expected = calls.forward()[0]
    torch = pytest.importorskip("torch")
    if not torch.set_flush_denormal(True):
        pytest.skip("PyTorch cannot flush denormals on this processor")
    try:
        assert calls.forward()[0].tobytes() == expected.tobytes()
    finally:
        torch.set_flush_denormal(False)
