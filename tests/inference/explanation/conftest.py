from __future__ import annotations

from typing import Any

import pytest

from fastlstm.inference import network
from fastlstm.inference.explanation import layers
from fastlstm.kernel import Found, find


@pytest.fixture(autouse=True, params=["kernel", "NumPy"])
def runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads the texts."""
    if request.param == "NumPy":
        for module in (network, layers):
            monkeypatch.setattr(module, "find", lambda: Found(None, "a test asks for NumPy", None))
    elif find().kernel is None:
        pytest.skip(f"no kernel: {find().why_not}")


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
