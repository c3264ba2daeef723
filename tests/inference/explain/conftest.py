from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(autouse=True)
def each_runtime(runtime: None) -> None:
    """Run all tests on the compiled kernel and on NumPy."""


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
def config_fields(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Fields of a `ModelConfig`, for models of different shapes."""
    return {"embedding_size": 5, "hidden_sizes": (4, 3), "max_tokens": 30, **request.param}
