"""Health, information about the models, and metrics."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.server_client import Serve

import fastlstm


def test_health_has_no_body(serve: Serve) -> None:
    response = serve().get("/health")
    assert (response.status_code, response.content) == (200, b"")


def test_info_describes_a_model_in_the_format_of_text_embeddings_inference(serve: Serve, folder: Path) -> None:
    client = serve({"one": folder, "two": folder}, max_texts=8, batch_texts=16, queue_texts=32, max_requests=5)
    info = client.get("/info").json()
    assert info == {
        "model_id": "one",
        "model_sha": None,
        "model_dtype": "float32",
        "model_type": {
            "classifier": {
                "id2label": {"0": "negative", "1": "positive"},
                "label2id": {"negative": 0, "positive": 1},
            }
        },
        "max_concurrent_requests": 5,
        "max_input_length": 30,
        "max_batch_tokens": 480,
        "max_batch_requests": 16,
        "max_client_batch_size": 8,
        "auto_truncate": True,
        "tokenization_workers": 1,
        "version": fastlstm.__version__,
        "sha": None,
        "docker_label": None,
    }
    assert client.get("/info?model=two").json() == {**info, "model_id": "two"}
    response = client.get("/info?model=three")
    assert (response.status_code, response.json()["code"]) == (404, "unknown-model")


def test_info_has_the_actual_precision(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastlstm.inference.network.fastest_precision", lambda *_: "float32")
    assert serve(precision="auto").get("/info").json()["model_dtype"] == "float32"


def test_info_needs_the_token(serve: Serve) -> None:
    client = serve(token="sesame")
    assert client.get("/info").status_code == 401
    assert client.get("/info", headers={"Authorization": "Bearer sesame"}).status_code == 200
