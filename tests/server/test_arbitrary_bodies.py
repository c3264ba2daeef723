"""Arbitrary request bodies never cause a 5xx response."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlstm.server.app import make_app
from fastlstm.server.settings import Settings

PATHS = ("/predict", "/explain", "/v2/models/small/infer", "/v2/models/small/versions/1/infer")
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
TENSORS = st.fixed_dictionaries(
    {"name": st.just("text") | VALUES, "datatype": st.just("BYTES") | VALUES,
     "shape": st.sampled_from([[1], [1, 1], [1, 2], [2, 1], [0, 1], [-1]]) | VALUES,
     "data": st.just(["x"]) | st.lists(VALUES, max_size=3) | st.lists(st.lists(VALUES, max_size=2), max_size=2)}
)  # fmt: skip
BODIES = st.dictionaries(
    st.sampled_from(
        [
            *(
                "inputs",
                "text",
                "truncate",
                "truncation_direction",
                "raw_scores",
                "model",
                "label",
                "label_unknown",
            ),
            *("method", "gates", "id", "outputs", "parameters"),
        ]
    ),
    VALUES
    | st.sampled_from(["a great film", [["a"], ["great film"]], True, "Left", {"label_unknown": True}])
    | st.lists(TENSORS, max_size=2),
    max_size=4,
)


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    app = make_app(Settings(models={"small": folder}, reload_seconds=0, max_characters=200, max_texts=4))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@settings(max_examples=250, derandomize=True, deadline=None)
@given(path=st.sampled_from(PATHS), body=BODIES | VALUES)
def test_arbitrary_json_gets_a_json_response_below_500(client: TestClient, path: str, body: Any) -> None:
    response = client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
    assert response.status_code in (200, 400, 404, 413, 422), response.text
    assert response.status_code == 200 or response.json()["code"]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(path=st.sampled_from(PATHS), body=st.binary(max_size=60))
def test_arbitrary_bytes_are_rejected(client: TestClient, path: str, body: bytes) -> None:
    response = client.post(path, content=body, headers={"content-type": "application/json"})
    assert response.status_code in (400, 422), response.text
