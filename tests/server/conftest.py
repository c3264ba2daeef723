from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from fastlstm.config import ModelConfig
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel
from fastlstm.server.app import make_app
from fastlstm.server.settings import Settings

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")


Serve = Callable[..., TestClient]


@pytest.fixture(scope="session")
def folder(make_model: Callable[..., SavedModel], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two classes that reads forward."""
    path = tmp_path_factory.mktemp("served") / "model"
    Classifier(make_model(ModelConfig(embedding_size=5, hidden_sizes=(7,), max_tokens=30))).save(path)
    return path


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    """Starts a server of `folder` as "small", or of `models`, with other settings than the usual where given."""
    clients: list[TestClient] = []

    def start(models: dict[str, Path] | None = None, **settings: Any) -> TestClient:
        usual = {"reload_seconds": 0.0, **settings}
        app = make_app(Settings(models=models or {"small": folder}, **usual))
        client = TestClient(app, raise_server_exceptions=False)
        client.__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)
