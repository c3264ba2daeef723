"""A few random kernel calls. `scripts/fuzz_kernel.py` runs many."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tests.helpers import kernel_fuzz as fuzz
from tests.helpers.kernel_guards import GuardedArrays, MismatchError

from fastlstm.kernel.bindings import Kernel


def test_random_calls_match_float64_and_write_only_their_arrays(kernel: Kernel, library: SimpleNamespace) -> None:
    worst = fuzz.run_cases(library, kernel.isa, 0, range(300), 0.5)
    assert {"outputs", "grad_weight_hh", "grad_words", "grad_inputs"} <= set(worst)


def test_mismatch_names_its_seed_and_case(
    kernel: Kernel, library: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "TOLERANCE", 0.0)
    with pytest.raises(MismatchError, match=rf"(?s)seed 7, case \d+: .*isa='{kernel.isa}'"):
        fuzz.run_cases(library, kernel.isa, 7, range(50), 1.0)


def test_write_next_to_an_array_is_reported(kernel: Kernel, library: SimpleNamespace) -> None:
    class Overwritten(GuardedArrays):
        def check(self) -> None:
            self.bands[0][2][0] = 0
            super().check()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fuzz, "GuardedArrays", Overwritten)
        with pytest.raises(MismatchError, match="weight_ih"):
            fuzz.run_cases(library, kernel.isa, 0, range(1), 1.0)
