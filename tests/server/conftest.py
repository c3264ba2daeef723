from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.helpers.random_models import MakeModel

from fastlstm.config import ModelConfig
from fastlstm.inference import Classifier

if TYPE_CHECKING:
    from tests.helpers.server_client import Serve, ServerClient

if any(importlib.util.find_spec(name) is None for name in ("fastapi", "prometheus_client", "httpx")):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def folder(make_model: MakeModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved unidirectional model with two classes and random weights."""
    path = tmp_path_factory.mktemp("served") / "model"
    Classifier(make_model(ModelConfig(embedding_size=5, hidden_sizes=(7,), max_tokens=30))).save(path)
    return path


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    """A function that starts a server of `models` (default: `folder` as "small") and returns its client."""
    from tests.helpers.server_client import ServerClient

    from fastlstm.server.app import make_app
    from fastlstm.server.settings import Settings

    clients: list[ServerClient] = []

    def start(models: dict[str, Path] | None = None, **settings: Any) -> ServerClient:
        app = make_app(Settings(models=models or {"small": folder}, **{"reload_seconds": 0.0, **settings}))
        client = ServerClient(app)
        client.__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)
