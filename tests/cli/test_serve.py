"""`fastlstm serve`: a real server in a separate process."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.helpers.command_line import Command
from tests.helpers.server_process import Server

from fastlstm.cli.serve import server_url

pytest.importorskip("fastapi")
pytest.importorskip("httpx")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.delenv("FASTLSTM_TOKEN", raising=False)
    return {**os.environ, "FASTLSTM_THREADS": "1"}


@pytest.fixture
def server(trained: Path, environment: dict[str, str]) -> Iterator[Server]:
    server = Server(["--model", f"reviews={trained}", "--model", str(trained)], environment)
    yield server
    if server.process.poll() is None:
        server.stop()


def host_and_port(server: Server) -> tuple[str, int]:
    host, port = server.address.removeprefix("http://").split(":")
    return host, int(port)


def receive_all(connection: socket.socket) -> bytes:
    """Return everything received until the server closes the connection."""
    with connection:
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_server_responds_logs_requests_and_stops(server: Server) -> None:
    assert server.names == "reviews, model"
    response = server.client.post("/predict", json={"inputs": "a great film"})
    assert response.json()[0]["label"] == "good"
    assert server.client.get("/").headers["content-type"].startswith("text/html")
    assert server.stop() == 0
    lines = [
        line for line in server.lines if line["logger"] == "fastlstm.server" and line.get("path") == "/predict"
    ]
    assert [(line["status"], line["texts"]) for line in lines] == [(200, 1)]
    assert "great" not in json.dumps(server.lines)


def test_requests_in_progress_are_completed_when_stopping(server: Server) -> None:
    body = json.dumps({"inputs": ["a great film"] * 9}).encode()
    head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    connections = [socket.create_connection(host_and_port(server), timeout=30) for _ in range(4)]
    for connection in connections:
        connection.sendall(f"{head}{len(body)}\r\n\r\n".encode() + body[:10])
    while (
        "fastlstm_requests_in_progress 5.0" not in server.client.get("/metrics").text
    ):  # this request is the fifth
        time.sleep(0.02)
    server.process.send_signal(signal.SIGTERM)
    while server.accepts_connections():
        time.sleep(0.02)
    for connection in connections:
        connection.sendall(body[10:])
    responses = [receive_all(connection) for connection in connections]
    assert [response.split(b"\r\n")[0] for response in responses] == [b"HTTP/1.1 200 OK"] * 4
    assert server.stop() == 0


def test_token_in_the_environment_is_required(trained: Path, environment: dict[str, str]) -> None:
    server = Server(["-m", str(trained)], {**environment, "FASTLSTM_TOKEN": "sesame"})
    try:
        body = {"inputs": "a great film"}
        assert server.client.post("/predict", json=body).status_code == 401
        headers = {"Authorization": "Bearer sesame"}
        assert server.client.post("/predict", json=body, headers=headers).status_code == 200
    finally:
        assert server.stop(signal.SIGINT) == 0
    assert "sesame" not in json.dumps(server.lines)


def test_slow_and_half_closed_connections_do_not_block_others(server: Server) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    address = host_and_port(server)
    with socket.create_connection(address) as slow, socket.create_connection(address) as half_closed:
        slow.sendall(head)
        half_closed.sendall(head)
        half_closed.shutdown(socket.SHUT_WR)
        assert server.client.post("/predict", json={"inputs": "a great film"}).status_code == 200


def test_connection_is_reusable_after_a_rejected_body(server: Server) -> None:
    connection = http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=30)
    with contextlib.closing(connection):
        for length, status in ((10_000_000, 413), (10, 200), (2_000_000, 413), (10, 200)):
            body = json.dumps({"inputs": "x" * length})
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            assert (response.status, bool(json.loads(response.read()))) == (status, True)


def test_head_has_no_body_and_the_connection_stays_usable(server: Server) -> None:
    connection = http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=30)
    with contextlib.closing(connection):
        for path in ("/health", "/", "/page/page.js", "/v2/health/live", "/models"):
            connection.request("HEAD", path)
            response = connection.getresponse()
            assert (response.status, response.read()) == (200, b"")


def test_request_with_two_content_lengths_is_rejected(server: Server) -> None:
    with socket.create_connection(host_and_port(server), timeout=30) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b'Content-Length: 15\r\nContent-Length: 3\r\nConnection: close\r\n\r\n{"inputs": "a"}'
        )
        assert connection.recv(1 << 16).split(b"\r\n")[0].split()[1] == b"400"
    assert server.client.get("/health").status_code == 200


def test_urls_of_ipv6_addresses_have_brackets() -> None:
    assert server_url("127.0.0.1", 80) == "http://127.0.0.1:80"
    assert server_url("::1", 8000) == "http://[::1]:8000"


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_server_listens_on_an_ipv6_address(trained: Path, environment: dict[str, str], host: str) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = Server(["-m", str(trained), "--host", host], environment)
    try:
        assert server.address.startswith("http://[::1]:")
        assert server.client.get("/health").status_code == 200
    finally:
        assert server.stop() == 0


def test_port_in_use_exits_with_status_2(command: Command, trained: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        result = command("serve", "-m", trained, "--port", listener.getsockname()[1])
    assert (result.status, result.code) == (2, "cannot-listen")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("-m", "MODEL", "-m", "MODEL"), "duplicate-model-name"),
        (("-m", "MODEL", "--max-texts", "0"), "bad-option-value"),
        (("-m", "MODEL", "--cors-origin", "https://app.example/path"), "bad-option-value"),
        (("-m", "MODEL", "--host", "a..b"), "cannot-listen"),
        (("-m", "MODEL", "--host", "[::1"), "cannot-listen"),
        (("-m", "no-such-folder"), "model-not-found"),
    ],
)
def test_invalid_options_exit_with_status_2(
    command: Command, trained: Path, arguments: tuple[str, ...], code: str
) -> None:
    words = [str(trained) if argument == "MODEL" else argument for argument in arguments]
    result = command("serve", *words, "--port", "0")
    assert (result.status, result.code) == (2, code)
