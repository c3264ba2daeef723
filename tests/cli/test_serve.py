"""`fastlstm serve`: a real server in a process of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Command
from tests.helpers.server_process import Server

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    import os

    monkeypatch.delenv("FASTLSTM_TOKEN", raising=False)
    return {**os.environ, "FASTLSTM_THREADS": "1"}


@pytest.fixture
def server(trained: Path, environment: dict[str, str]) -> Iterator[Server]:
    started = Server(["--model", f"reviews={trained}", "--model", str(trained)], environment)
    yield started
    if started.process.poll() is None:
        started.stop()


def test_it_answers_logs_and_stops(server: Server) -> None:
    assert server.names == "reviews, model"
    answer = server.client.post("/predict", json={"inputs": "a great film"})
    assert answer.json()[0]["label"] == "good"
    assert server.client.get("/").headers["content-type"].startswith("text/html")
    assert server.stop() == 0
    told = [line for line in server.lines if line["logger"] == "fastlstm.server" and line.get("path") == "/predict"]
    assert [(line["status"], line["texts"]) for line in told] == [(200, 1)]
    assert "great" not in json.dumps(server.lines)


def received(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    with connection:
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_requests_that_have_begun_when_it_is_stopped_are_answered(server: Server) -> None:
    body = json.dumps({"inputs": ["a great film"] * 9}).encode()
    head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    host, port = server.address.removeprefix("http://").split(":")
    begun = [socket.create_connection((host, int(port)), timeout=30) for _ in range(4)]
    for connection in begun:
        connection.sendall(f"{head}{len(body)}\r\n\r\n".encode() + body[:10])
    while "fastlstm_requests_going 5.0" not in server.client.get("/metrics").text:  # that one is the fifth
        time.sleep(0.02)
    server.process.send_signal(signal.SIGTERM)
    while server.accepts():
        time.sleep(0.02)
    for connection in begun:
        connection.sendall(body[10:])
    answers = [received(connection) for connection in begun]
    assert [answer.split(b"\r\n")[0] for answer in answers] == [b"HTTP/1.1 200 OK"] * 4
    assert server.stop() == 0


def test_the_token_of_the_environment_is_asked_for(trained: Path, environment: dict[str, str]) -> None:
    started = Server(["-m", str(trained)], {**environment, "FASTLSTM_TOKEN": "sesame"})
    try:
        asked = {"inputs": "a great film"}
        assert started.client.post("/predict", json=asked).status_code == 401
        bearer = {"Authorization": "Bearer sesame"}
        assert started.client.post("/predict", json=asked, headers=bearer).status_code == 200
    finally:
        assert started.stop(signal.SIGINT) == 0
    assert "sesame" not in json.dumps(started.lines)


def test_a_slow_client_and_a_half_closed_one_hold_up_nobody(server: Server) -> None:
    host, port = server.address.removeprefix("http://").split(":")
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    with socket.create_connection((host, int(port))) as slow, socket.create_connection((host, int(port))) as half:
        slow.sendall(head)
        half.sendall(head)
        half.shutdown(socket.SHUT_WR)
        assert server.client.post("/predict", json={"inputs": "a great film"}).status_code == 200


def test_a_connection_lives_on_after_a_body_that_was_refused_unread(server: Server) -> None:
    connection = http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=30)
    with contextlib.closing(connection):
        for length, status in ((10_000_000, 413), (10, 200), (2_000_000, 413), (10, 200)):
            body = json.dumps({"inputs": "x" * length})
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert (answer.status, bool(json.loads(answer.read()))) == (status, True)


def test_what_is_wrong_is_said(command: Command, trained: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = command("serve", "-m", trained, "--port", str(taken.getsockname()[1]))
    assert refused.status == 2
    assert "can't listen on 127.0.0.1:" in refused.err
    refused = command("serve", "-m", trained, "-m", trained)
    assert (refused.status, "two models are called model" in refused.err) == (2, True)
    refused = command("serve", "-m", trained, "--max-texts", "0")
    assert (refused.status, "max-texts is 0; expected at least 1" in refused.err) == (2, True)
    refused = command("serve", "-m", tmp_path / "none", "--port", "0")
    assert (refused.status, "no model at" in refused.err) == (2, True)
