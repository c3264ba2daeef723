"""The self-check lets a right kernel pass and sees a wrong one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.self_check import TOLERANCE, largest_difference


def test_every_kernel_passes(kernel: Kernel) -> None:
    assert 0 < largest_difference(kernel) <= TOLERANCE / 10


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("way", ["inputs", "projected"])
@pytest.mark.parametrize("reverse", [False, True])
def test_one_wrong_number_is_seen(
    kernel: Kernel, place: int, way: str, reverse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = kernel.forward
    wrong = 1e-3

    def forward(*arguments: Any, **options: Any) -> Any:
        came = right(*arguments, **options)
        if way in options and options["reverse"] == reverse:
            came[place].flat[-1] += wrong
        return came

    monkeypatch.setattr(kernel, "forward", forward)
    assert largest_difference(kernel) > TOLERANCE
    wrong = np.nan
    assert math.isnan(largest_difference(kernel))
