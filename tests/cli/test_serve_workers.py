"""`fastlstm serve --workers`: several processes at one address, real ones."""

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
pytestmark = pytest.mark.skipif(os.name != "posix", reason="a process is stopped by a signal")


@pytest.fixture
def server(trained: Path) -> Iterator[Server]:
    started = Server(["-m", str(trained), "--workers", "2"], dict(os.environ))
    yield started
    if started.process.poll() is None:
        started.stop()


def workers(server: Server) -> list[int]:
    """The processes that were started, the latest last."""
    told = [re.fullmatch(r"Started server process \[(\d+)\]", line["message"]) for line in list(server.lines)]
    return [int(found[1]) for found in told if found]


def until_there_are(server: Server, number: int) -> list[int]:
    deadline = time.monotonic() + 60
    while len(workers(server)) < number:
        assert time.monotonic() < deadline, server.lines
        time.sleep(0.05)
    return workers(server)


def predicted(server: Server) -> float:
    """Requests answered, as /metrics says, on a connection that any of the processes may take."""
    told = httpx.get(f"{server.address}/metrics", timeout=30).text
    found = re.search(r'requests_total{path="/predict",status="200"} (\S+)', told)
    return float(found[1]) if found else 0


def ask(server: Server) -> None:
    """On a connection of its own, which any of the processes may take."""
    answer = httpx.post(f"{server.address}/predict", json={"inputs": "a great film"}, timeout=30)
    assert answer.json()[0]["label"] == "good"


def test_whoever_is_asked_counts_what_all_have_answered(server: Server) -> None:
    until_there_are(server, 2)
    for _ in range(20):
        ask(server)
    deadline = time.monotonic() + 60
    while (counts := {predicted(server) for _ in range(10)}) != {20}:  # counted once an answer was sent
        assert max(counts) <= 20
        assert time.monotonic() < deadline, counts
    server.process.send_signal(signal.SIGTERM)
    while server.accepts():  # before the requests that it has begun are ended
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert server.stop() == 0


def test_another_takes_the_place_of_one_that_was_killed(server: Server) -> None:
    first, _ = until_there_are(server, 2)
    os.kill(first, signal.SIGKILL)
    *_, third = until_there_are(server, 3)
    told = [line for line in server.lines if line["message"] == "a worker ended; another takes its place"]
    assert [(line["worker"], line["status"]) for line in told] == [(first, -signal.SIGKILL)]
    for _ in range(20):
        ask(server)
    assert third != first
    assert server.stop() == 0


def test_workers_do_not_outlive_a_parent_that_was_killed(server: Server) -> None:
    until_there_are(server, 2)
    server.process.kill()
    server.process.wait(30)
    deadline = time.monotonic() + 60
    while server.accepts():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert server.stop() == -signal.SIGKILL
