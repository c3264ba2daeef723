from __future__ import annotations

import pytest

from fastlstm.inference import network
from fastlstm.inference.explain import layers
from fastlstm.kernel import KernelInfo, find_kernel


@pytest.fixture(params=["kernel", "NumPy"])
def runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test on the compiled kernel and on NumPy."""
    if request.param == "NumPy":
        for module in (network, layers):
            monkeypatch.setattr(module, "find_kernel", lambda: KernelInfo(None, "disabled by a test", None))
    elif find_kernel().kernel is None:
        pytest.skip("no compiled kernel")
