"""Limits, tokens, request ids, and what the log and the metrics hold."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.server.conftest import Serve

from fastlstm.server.app import make_app
from fastlstm.server.main import JSONLines
from fastlstm.server.metrics import Metrics
from fastlstm.server.middleware import RequestMiddleware
from fastlstm.server.settings import Settings

TEXT = "a secret of a movie"


def test_a_body_that_is_too_large_is_refused_announced_or_not(serve: Serve) -> None:
    client = serve(max_body_bytes=100)
    large = json.dumps({"inputs": "x" * 200}).encode()
    json_type = {"content-type": "application/json"}
    for content in (large, iter([large[:50], large[50:]])):
        came = client.post("/predict", content=content, headers=json_type)
        assert came.status_code == 413
        assert "more than 100 bytes" in came.json()["error"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(serve: Serve, kind: str) -> None:
    came = serve().post("/predict", content=b'{"inputs": "x"}', headers={"content-type": kind})
    assert came.status_code == 415
    assert "expected application/json" in came.json()["error"]


def test_a_token_is_asked_of_all_but_the_page_and_health(serve: Serve) -> None:
    client = serve(token="open sesame")
    for path in ("/", "/page/page.js", "/v2/health/live", "/v2/health/ready"):
        assert client.get(path).status_code == 200
    for headers in ({}, {"Authorization": "Bearer open"}, {"Authorization": "open sesame"}):
        for came in (
            client.post("/predict", json={"inputs": "x"}, headers=headers),
            client.get("/metrics", headers=headers),
        ):
            assert came.status_code == 401
            assert came.headers["www-authenticate"] == "Bearer"
    right = {"Authorization": "Bearer open sesame"}
    assert client.post("/predict", json={"inputs": "x"}, headers=right).status_code == 200


def test_every_answer_has_an_id_its_own_or_the_client_s(serve: Serve) -> None:
    client = serve()
    ids = {client.get(path).headers["x-request-id"] for path in ("/v2", "/models", "/nowhere")}
    assert len(ids) == 3
    assert client.get("/v2", headers={"x-request-id": "abc-1.2"}).headers["x-request-id"] == "abc-1.2"
    for ill in ("a b", "x" * 65, "", "a/b"):
        assert client.get("/v2", headers={"x-request-id": ill}).headers["x-request-id"] != ill


@pytest.mark.parametrize("log_texts", [False, True])
def test_log_lines_are_json_and_hold_texts_only_where_asked(
    serve: Serve, caplog: pytest.LogCaptureFixture, log_texts: bool
) -> None:
    client = serve(log_texts=log_texts)
    with caplog.at_level(logging.INFO, "fastlstm.server"):
        client.post("/predict", json={"inputs": [TEXT, TEXT]})
        client.post("/predict", json={"inputs": TEXT, "extra": TEXT})
    lines = [JSONLines().format(record) for record in caplog.records if record.name == "fastlstm.server"]
    first, second = map(json.loads, lines)
    assert (first["status"], first["path"], second["status"]) == (200, "/predict", 422)
    assert first["texts"] == ([TEXT, TEXT] if log_texts else 2)
    assert (TEXT in "".join(lines)) == log_texts


def test_a_failure_is_told_with_its_id_and_harms_no_other(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    client = serve()

    def broken(*_: object) -> None:
        raise RuntimeError("broken on purpose")

    with monkeypatch.context() as patched:
        patched.setattr("fastlstm.server.routes._scores", broken)
        came = client.post("/predict", json={"inputs": TEXT}, headers={"x-request-id": "mine"})
        assert came.status_code == 500
        assert came.json() == {
            "error": "something went wrong here; name mine in a report",
            "error_type": "internal",
        }
    assert client.post("/predict", json={"inputs": TEXT}).status_code == 200


def test_metrics_count_requests_texts_and_batches(serve: Serve, folder: Path) -> None:
    client = serve({"one": folder})
    for _ in range(3):
        client.post("/predict", json={"inputs": [TEXT, TEXT]})
    client.get("/nowhere")
    told = client.get("/metrics").text
    assert 'fastlstm_requests_total{path="/predict",status="200"} 3.0' in told
    assert 'fastlstm_requests_total{path="other",status="404"} 1.0' in told
    assert 'fastlstm_texts_total{model="one"} 6.0' in told
    assert 'fastlstm_batch_texts_count{model="one"} 3.0' in told


def test_the_page_has_a_strict_policy_and_no_outside_address(serve: Serve) -> None:
    client = serve()
    page = client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for path in ("/", "/page/page.js", "/page/words.js", "/page/style.css"):
        body = client.get(path).text
        assert "http://" not in body
        assert "https://" not in body
        assert "innerHTML" not in body
        assert " style=" not in body


def test_more_requests_than_may_be_are_told_to_come_again_but_not_health(folder: Path) -> None:
    guard = guarded(Settings(models={"m": folder}, max_requests=1))
    guard._going = 1  # one is being answered
    client = TestClient(guard)
    refused = client.post("/predict", json={"inputs": TEXT})
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"
    assert client.get("/v2/health/live").status_code == 200


def guarded(settings: Settings) -> RequestMiddleware:
    """An application behind a guard with these settings."""
    app = make_app(settings)
    return RequestMiddleware(app, settings, Metrics(), app.state.store)


def test_while_a_model_takes_no_texts_nothing_is_made_of_bodies_and_a_line_a_second_is_told(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    guard = guarded(Settings(models={"m": folder}))
    guard._store.get(None).batcher.refusing = True
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{no json", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    with caplog.at_level(logging.INFO, "fastlstm.server"):
        for path in ("/predict", "/v2/models/m/infer", "/predict"):
            scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
            asyncio.run(guard(scope, receive, send))
    assert [message["status"] for message in sent[::2]] == [429] * 3
    assert (b"retry-after", b"1") in sent[0]["headers"]
    assert [(record.message, vars(record)["refused_so_far"]) for record in caplog.records] == [("overloaded", 1)]
    told = guard._metrics.exposition()
    assert b'path="/predict",status="429"} 2.0' in told
    assert b'path="/v2/models/{name}/infer",status="429"} 1.0' in told
    client = TestClient(guard)
    assert client.get("/models").status_code == 200
    assert client.get("/predict").status_code == 405
    assert client.post("/nothing/predict", json={}).status_code == 404


def test_more_explanations_than_may_wait_are_told_to_come_again(serve: Serve) -> None:
    client = serve()
    client.app.state.explanations = 32  # type: ignore[attr-defined]
    refused = client.post("/explain", json={"text": TEXT})
    assert refused.status_code == 429
    assert "32 explanations wait" in refused.json()["error"]


def test_a_body_that_does_not_come_is_not_waited_for(folder: Path) -> None:
    settings = Settings(models={"m": folder}, body_seconds=0.05)
    guard = guarded(settings)
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(10)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/predict", "headers": [(b"content-type", b"application/json")],
    }  # fmt: skip
    asyncio.run(guard(scope, receive, send))
    assert sent[0]["status"] == 408
    assert b"the body was not here after 0.05 s" in sent[1]["body"]
