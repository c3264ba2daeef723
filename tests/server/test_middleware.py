"""The middleware: limits, authentication, request ids, log lines and metrics; and the page's headers."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from tests.helpers.server_client import Serve

from fastlstm.server.app import CONTENT_SECURITY_POLICY, make_app
from fastlstm.server.main import JSONFormatter
from fastlstm.server.metrics import Metrics
from fastlstm.server.middleware import RequestMiddleware
from fastlstm.server.registry import ModelRegistry
from fastlstm.server.routes import MAX_PENDING_EXPLANATIONS
from fastlstm.server.settings import Settings

TEXT = "a secret review of a movie"
JSON = (b"content-type", b"application/json")


def post_scope(path: str) -> Scope:
    return {"type": "http", "method": "POST", "path": path, "headers": [JSON]}


@pytest.mark.parametrize("chunked", [False, True])
def test_body_over_the_limit_is_rejected(serve: Serve, chunked: bool) -> None:
    body = json.dumps({"inputs": "x" * 200}).encode()
    content = iter([body[:50], body[50:]]) if chunked else body
    response = serve(max_body_bytes=100).post(
        "/predict", content=content, headers={"content-type": "application/json"}
    )
    assert (response.status_code, response.json()["error_type"]) == (413, "validation")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_other_content_types_are_rejected(serve: Serve, content_type: str) -> None:
    response = serve().post("/predict", content=b'{"inputs": "x"}', headers={"content-type": content_type})
    assert (response.status_code, response.json()["error_type"]) == (415, "validation")


def test_all_requests_but_page_and_health_need_the_token(serve: Serve) -> None:
    client = serve(token="open sesame")
    for path in ("/", "/page/page.js", "/health", "/v2/health/live", "/v2/health/ready"):
        assert client.get(path).status_code == 200
    for headers in ({}, {"Authorization": "Bearer open"}, {"Authorization": "open sesame"}):
        for response in (
            client.post("/predict", json={"inputs": "x"}, headers=headers),
            client.get("/metrics", headers=headers),
        ):
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
    authorized = {"Authorization": "Bearer open sesame"}
    assert client.post("/predict", json={"inputs": "x"}, headers=authorized).status_code == 200


def test_every_response_has_a_request_id(serve: Serve) -> None:
    client = serve()
    ids = {client.get(path).headers["x-request-id"] for path in ("/v2", "/models", "/nowhere")}
    assert len(ids) == 3
    assert client.get("/v2", headers={"x-request-id": "abc-1.2"}).headers["x-request-id"] == "abc-1.2"


@pytest.mark.parametrize("client_id", ["a b", "x" * 65, "", "a/b"])
def test_malformed_client_request_id_is_replaced(serve: Serve, client_id: str) -> None:
    response = serve().get("/v2", headers={"x-request-id": client_id})
    assert response.headers["x-request-id"] != client_id


@pytest.mark.parametrize("log_texts", [False, True])
def test_log_lines_are_json_and_contain_texts_only_on_request(
    serve: Serve, caplog: pytest.LogCaptureFixture, log_texts: bool
) -> None:
    client = serve(log_texts=log_texts)
    with caplog.at_level(logging.INFO, "fastlstm.server"):
        client.post("/predict", json={"inputs": [TEXT, TEXT]})
        client.post("/predict", json={"inputs": TEXT, "extra": TEXT})
    lines = [JSONFormatter().format(record) for record in caplog.records if record.name == "fastlstm.server"]
    first, second = map(json.loads, lines)
    assert (first["status"], first["path"], second["status"]) == (200, "/predict", 422)
    assert first["texts"] == ([TEXT, TEXT] if log_texts else 2)
    assert (TEXT in "".join(lines)) == log_texts


def test_characters_that_a_terminal_obeys_or_hides_are_escaped_in_log_lines(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    text = "a\x1b[31m\x07\x7f\x9b2J\u2028\u202e\u200b\ufeff 很好 é 👍"
    with caplog.at_level(logging.INFO, "fastlstm.server"):
        serve(log_texts=True).post("/predict", json={"inputs": text})
    line = JSONFormatter().format(caplog.records[-1])
    assert json.loads(line)["texts"] == [text]
    assert all(character.isprintable() for character in line)
    assert "很好 é 👍" in line
    record = logging.makeLogRecord({"msg": "\ud800"})
    assert JSONFormatter().format(record).encode()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/page/page.js", 200),
        ("/health", 200),
        ("/v2/health/live", 200),
        ("/v2/models/small", 200),
        ("/models", 200),
        ("/metrics", 200),
        ("/predict", 405),
        ("/nowhere", 404),
    ],
)
def test_head_has_the_status_and_headers_of_get_and_no_body(serve: Serve, path: str, status: int) -> None:
    client = serve()
    head, get = client.head(path), client.get(path)
    assert (head.status_code, get.status_code, head.content) == (status, status, b"")
    assert head.headers.get("content-type") == get.headers.get("content-type")


def test_unknown_paths_and_methods_have_codes(serve: Serve) -> None:
    client = serve()
    assert client.get("/nowhere").json()["code"] == "unknown-path"
    response = client.get("/predict")
    assert (response.status_code, response.json()["code"]) == (405, "wrong-method")
    assert response.headers["allow"] == "POST"
    assert client.post("/models", json={}).headers["allow"] == "GET, HEAD"


ORIGIN = "https://app.example"


def test_other_origins_are_not_allowed_by_default(serve: Serve) -> None:
    client = serve()
    response = client.post("/predict", json={"inputs": "x"}, headers={"Origin": ORIGIN})
    assert not [name for name in response.headers if name.startswith("access-control")]
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    assert client.options("/predict", headers=preflight).status_code == 405


@pytest.mark.parametrize(("origins", "allowed"), [((ORIGIN,), ORIGIN), (("*",), "*")])
def test_allowed_origins_get_their_headers_for_errors_too(
    serve: Serve, origins: tuple[str, ...], allowed: str
) -> None:
    client = serve(cors_origins=origins, token="sesame", max_body_bytes=100)
    preflight = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    response = client.options("/predict", headers=preflight)  # without the token, as browsers send it
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, allowed)
    token = {"Authorization": "Bearer sesame"}
    for headers, length, status in ((token, 1, 200), ({}, 1, 401), (token, 200, 413)):
        response = client.post("/predict", json={"inputs": "x" * length}, headers={"Origin": ORIGIN, **headers})
        assert (response.status_code, response.headers["access-control-allow-origin"]) == (status, allowed)


def test_origins_that_are_not_allowed_get_no_headers(serve: Serve) -> None:
    client = serve(cors_origins=(ORIGIN,))
    response = client.post("/predict", json={"inputs": "x"}, headers={"Origin": "https://other.example"})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


def test_unexpected_exception_returns_500_with_the_request_id(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()

    def fail(*_: object) -> None:
        raise RuntimeError("failure on purpose")

    with monkeypatch.context() as patched:
        patched.setattr(ModelRegistry, "get", fail)
        response = client.post("/predict", json={"inputs": TEXT}, headers={"x-request-id": "my-id"})
        assert (response.status_code, response.json()["error_type"]) == (500, "internal")
        assert "my-id" in response.json()["error"]
        assert "on purpose" not in response.text
    assert client.post("/predict", json={"inputs": TEXT}).status_code == 200


def test_metrics_count_requests_texts_and_batches(serve: Serve, folder: Path) -> None:
    client = serve({"one": folder})
    for _ in range(3):
        client.post("/predict", json={"inputs": [TEXT, TEXT]})
    client.get("/nowhere")
    lines = client.get("/metrics").text.splitlines()
    assert {
        'fastlstm_requests_total{path="/predict",status="200"} 3.0',
        'fastlstm_requests_total{path="other",status="404"} 1.0',
        'fastlstm_texts_total{model="one"} 6.0',
        'fastlstm_batch_texts_count{model="one"} 3.0',
    } <= set(lines)


def test_page_has_a_strict_policy_and_no_external_address(serve: Serve) -> None:
    client = serve()
    page = client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for path in ("/", "/page/page.js", "/page/messages.js", "/page/style.css", "/docs", "/page/docs.js"):
        response = client.get(path)
        assert response.status_code == 200
        for forbidden in ("http://", "https://", "innerHTML", " style="):
            assert forbidden not in response.text


def test_api_documentation_has_the_policy_of_the_page_and_needs_no_token(serve: Serve) -> None:
    client = serve(token="sesame")
    assert client.get("/docs").headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    for path in ("/docs/assets/swagger-ui.css", "/docs/assets/swagger-ui-bundle.js", "/openapi.json"):
        assert client.get(path).status_code == 200


def test_too_many_concurrent_requests_are_rejected_except_monitoring(folder: Path) -> None:
    settings = Settings(models={"m": folder}, max_requests=1)

    async def test() -> None:
        release = asyncio.Event()

        async def respond(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
            if scope["path"] == "/slow":
                await release.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        metrics = Metrics()
        middleware = RequestMiddleware(respond, settings, metrics, ModelRegistry(settings, metrics))

        async def status_of(path: str) -> tuple[int, dict[bytes, bytes]]:
            sent: list[Message] = []

            async def receive() -> Message:
                return {"type": "http.request", "body": b"{}", "more_body": False}

            async def send(message: Message) -> None:
                sent.append(message)

            await middleware(post_scope(path), receive, send)
            return sent[0]["status"], dict(sent[0]["headers"])

        slow = asyncio.create_task(status_of("/slow"))
        await asyncio.sleep(0)
        status, headers = await status_of("/predict")
        assert (status, headers[b"retry-after"]) == (429, b"1")
        assert (await status_of("/v2/health/live"))[0] == 200
        assert (await status_of("/health"))[0] == 200
        assert (await status_of("/metrics"))[0] == 200
        release.set()
        assert (await slow)[0] == 200
        assert (await status_of("/predict"))[0] == 200

    asyncio.run(test())


def test_full_queue_rejects_before_parsing_and_logs_one_line_per_second(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(models={"m": folder})
    app, metrics = make_app(settings), Metrics()
    middleware = RequestMiddleware(app, settings, metrics, app.state.registry)
    app.state.registry.get(None).batcher.rejecting = True
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{not json", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    with caplog.at_level(logging.INFO, "fastlstm.server"):
        for path in ("/predict", "/v2/models/m/infer", "/v2/models/m/versions/1/infer", "/predict"):
            asyncio.run(middleware(post_scope(path), receive, send))
    assert [message["status"] for message in sent[::2]] == [429] * 4
    assert (b"retry-after", b"1") in sent[0]["headers"]
    assert [(record.levelno, vars(record)["refused_so_far"]) for record in caplog.records] == [(logging.WARNING, 1)]
    exposition = metrics.exposition()
    assert b'path="/predict",status="429"} 2.0' in exposition
    assert b'path="/v2/models/{name}/infer",status="429"} 1.0' in exposition
    assert b'path="/v2/models/{name}/versions/{version}/infer",status="429"} 1.0' in exposition
    client = TestClient(middleware)
    assert client.get("/models").status_code == 200
    assert client.get("/predict").status_code == 405
    assert client.post("/nothing/predict", json={}).status_code == 404


@pytest.mark.parametrize(
    ("version", "headers", "received"),
    [
        ("1.1", [], 0),
        ("1.1", [(b"connection", b"Keep-Alive")], 0),
        ("1.1", [(b"connection", b"Close")], 1),
        ("1.0", [], 1),
    ],
)
def test_full_queue_rejects_before_receiving_the_body_if_the_connection_stays_open(
    folder: Path, version: str, headers: list[tuple[bytes, bytes]], received: int
) -> None:
    settings, metrics = Settings(models={"m": folder}), Metrics()
    app = make_app(settings)
    middleware = RequestMiddleware(app, settings, metrics, app.state.registry)
    app.state.registry.get(None).batcher.rejecting = True
    sent: list[Any] = []
    calls: list[None] = []

    async def receive() -> Any:
        calls.append(None)
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        **post_scope("/predict"),
        "http_version": version,
        "headers": [JSON, (b"x-request-id", b"a"), *headers],
    }
    asyncio.run(middleware(scope, receive, send))
    assert len(calls) == received
    assert (sent[0]["status"], json.loads(sent[1]["body"])["code"]) == (429, "queue-full")
    assert {(b"retry-after", b"1"), (b"x-request-id", b"a"), (b"content-type", b"application/json")} <= set(
        sent[0]["headers"]
    )
    assert b'path="/predict",status="429"} 1.0' in metrics.exposition()


def test_full_queue_rejects_invalid_tokens_with_401(folder: Path) -> None:
    settings = Settings(models={"m": folder}, token="sesame")
    app = make_app(settings)
    app.state.registry.get(None).batcher.rejecting = True
    client = TestClient(app)
    assert client.post("/predict", json={"inputs": TEXT}).status_code == 401
    authorized = {"Authorization": "Bearer sesame"}
    assert client.post("/predict", json={"inputs": TEXT}, headers=authorized).status_code == 429


def test_too_many_pending_explanations_are_rejected(serve: Serve) -> None:
    client = serve()
    client.app.state.explanations = MAX_PENDING_EXPLANATIONS  # type: ignore[attr-defined]
    response = client.post("/explain", json={"text": TEXT})
    assert (response.status_code, response.json()["error_type"]) == (429, "overloaded")
    assert client.codes == ["too-many-explanations"]


def test_slow_body_times_out(folder: Path) -> None:
    settings = Settings(models={"m": folder}, body_seconds=0.05)
    app = make_app(settings)
    middleware = RequestMiddleware(app, settings, Metrics(), app.state.registry)
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(10)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(middleware(post_scope("/predict"), receive, send))
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["error_type"] == "timeout"
