from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from tests.helpers.imdb_archive import Server

from fastlstm.data.datasets.download import Archive


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTLSTM_DATA_DIR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def unreachable() -> Iterator[Archive]:
    """An archive whose server refuses connections: its port is taken, but nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield Archive(f"http://127.0.0.1:{taken.getsockname()[1]}/aclImdb_v1.tar.gz", "0" * 32)
