from __future__ import annotations

from typing import Any

import pytest

from fastlstm.inference import network
from fastlstm.inference.explain import layers
from fastlstm.kernel import KernelInfo, find_kernel


@pytest.fixture(autouse=True, params=["kernel", "NumPy"])
def runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads the texts."""
    if request.param == "NumPy":
        for module in (network, layers):
            monkeypatch.setattr(module, "find_kernel", lambda: KernelInfo(None, "a test asks for NumPy", None))
    elif find_kernel().kernel is None:
        pytest.skip(f"no kernel: {find_kernel().why_not}")


@pytest.fixture(
    params=[
        {"pooling": "last"},
        {"pooling": "max", "bidirectional": True},
        {"pooling": "mean", "hidden_sizes": (17,)},
        {"pooling": "concat", "bidirectional": True, "hidden_sizes": (5, 7)},
        {"pooling": "concat", "hidden_sizes": (67,)},
    ],
    ids=str,
)
def shape(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Fields of a model's configuration."""
    return {"embedding_size": 5, "hidden_sizes": (4, 3), "max_tokens": 30, **request.param}
