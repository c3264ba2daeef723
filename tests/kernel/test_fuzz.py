"""A few of the random cases that `scripts/fuzz_kernel.py` runs many of."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tests.helpers import kernel_fuzz as fuzz

from fastlstm.kernel.bindings import Kernel


def test_random_calls_are_right_and_write_where_they_should(kernel: Kernel, library: SimpleNamespace) -> None:
    worst = fuzz.run(library, kernel.isa, 0, range(300), 0.5)
    assert {"outputs", "grad_weight_hh", "grad_words", "grad_inputs"} <= set(worst)


def test_a_mismatch_names_its_case(
    kernel: Kernel, library: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "TOLERANCE", 0.0)
    with pytest.raises(fuzz.MismatchError, match=rf"(?s)seed 7, case \d+: errors larger than .*isa='{kernel.isa}'"):
        fuzz.run(library, kernel.isa, 7, range(50), 1.0)


def test_what_is_written_beside_an_array_is_seen(kernel: Kernel, library: SimpleNamespace) -> None:
    class Careless(fuzz.Guarded):
        def check(self) -> None:
            self._bands[0][2][0] = 0
            super().check()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fuzz, "Guarded", Careless)
        with pytest.raises(fuzz.MismatchError, match="written beside weight_ih"):
            fuzz.run(library, kernel.isa, 0, range(1), 1.0)
