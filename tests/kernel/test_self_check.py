"""The self-check accepts a correct kernel and detects a wrong one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.self_check import TOLERANCE, largest_difference


def test_every_kernel_passes_the_self_check(kernel: Kernel) -> None:
    assert 0 < largest_difference(kernel) <= TOLERANCE / 10


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("source", ["inputs", "projected"])
@pytest.mark.parametrize("reverse", [False, True])
def test_one_wrong_value_is_detected(
    kernel: Kernel, place: int, source: str, reverse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = kernel.forward
    error = 1e-3

    def forward(*arguments: Any, **options: Any) -> Any:
        results = original(*arguments, **options)
        if source in options and options["reverse"] == reverse:
            results[place].flat[-1] += error
        return results

    monkeypatch.setattr(kernel, "forward", forward)
    assert largest_difference(kernel) > TOLERANCE
    error = np.nan
    assert math.isnan(largest_difference(kernel))
