"""`fastlstm serve --workers`: several real processes on one address."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.helpers.server_process import Server

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")


@pytest.fixture
def server(trained: Path) -> Iterator[Server]:
    server = Server(["-m", str(trained), "--workers", "2"], dict(os.environ))
    yield server
    if server.process.poll() is None:
        server.stop()


def started_workers(server: Server) -> list[int]:
    """Return the process ids of all workers started so far, in order."""
    messages = [line["message"] for line in list(server.lines)]
    matches = [re.fullmatch(r"Started server process \[(\d+)\]", message) for message in messages]
    return [int(match[1]) for match in matches if match]


def wait_for_workers(server: Server, count: int) -> list[int]:
    deadline = time.monotonic() + 60
    while len(started_workers(server)) < count:
        assert time.monotonic() < deadline, server.lines
        time.sleep(0.05)
    return started_workers(server)


def count_predictions(server: Server) -> float:
    """Return the number of successful predictions in /metrics, on a new connection to any of the workers."""
    text = httpx.get(f"{server.address}/metrics", timeout=30).text
    match = re.search(r'requests_total{path="/predict",status="200"} (\S+)', text)
    return float(match[1]) if match else 0


def predict(server: Server) -> None:
    """Send a request on a new connection to any of the workers."""
    response = httpx.post(f"{server.address}/predict", json={"inputs": "a great film"}, timeout=30)
    assert response.json()[0]["label"] == "good"


def test_metrics_of_any_worker_count_the_requests_of_all(server: Server) -> None:
    wait_for_workers(server, 2)
    for _ in range(20):
        predict(server)
    deadline = time.monotonic() + 60
    while (counts := {count_predictions(server) for _ in range(10)}) != {20}:  # counted after the response is sent
        assert max(counts) <= 20
        assert time.monotonic() < deadline, counts
    server.process.send_signal(signal.SIGTERM)
    while server.accepts_connections():  # the listener closes before requests in progress complete
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert server.stop() == 0


def test_killed_worker_is_restarted(server: Server) -> None:
    first, _ = wait_for_workers(server, 2)
    os.kill(first, signal.SIGKILL)
    *_, third = wait_for_workers(server, 3)
    exits = [(line["worker"], line["status"]) for line in server.lines if "worker" in line]
    assert exits == [(first, -signal.SIGKILL)]
    for _ in range(20):
        predict(server)
    assert third != first
    assert server.stop() == 0


def test_workers_stop_if_the_parent_is_killed(server: Server) -> None:
    wait_for_workers(server, 2)
    server.process.kill()
    server.process.wait(30)
    deadline = time.monotonic() + 60
    while server.accepts_connections():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert server.stop() == -signal.SIGKILL
