"""Model folders that change while they are served."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.random_models import MakeModel

import fastlstm
from fastlstm.config import ModelConfig
from fastlstm.errors import FastLSTMError, ModelNotFoundError, OptionError
from fastlstm.inference import Classifier
from fastlstm.server.errors import APIError
from fastlstm.server.metrics import Metrics
from fastlstm.server.registry import ModelRegistry, QueuedText, ServedModel
from fastlstm.server.settings import Settings

TEXTS = ["I really enjoyed it.", "horrible movie"]


def probabilities(model: Classifier) -> Any:
    return model.predict_proba(TEXTS).tolist()


async def served_probabilities(served: ServedModel) -> Any:
    predictions = await served.predict([QueuedText(text) for text in TEXTS])
    return predictions.probabilities.tolist()


def run(test: Callable[[ModelRegistry], Awaitable[None]], **settings: Any) -> None:
    """Run a test with a started registry."""

    async def run_started() -> None:
        registry = ModelRegistry(Settings(reload_seconds=0.02, **settings), Metrics())
        registry.start()
        try:
            await test(registry)
        finally:
            await registry.stop()

    asyncio.run(run_started())


async def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("timeout")


@pytest.fixture
def changing(folder: Path, tmp_path: Path) -> Path:
    """A copy of the model folder that a test may change."""
    shutil.copytree(folder, tmp_path / "model")
    return tmp_path / "model"


def test_changed_folder_is_reloaded_without_losing_requests(make_model: MakeModel, changing: Path) -> None:
    before = probabilities(fastlstm.load(changing))
    replacement = Classifier(make_model(ModelConfig(embedding_size=5, hidden_sizes=(9,)), seed=5))
    after = probabilities(replacement)

    async def test(registry: ModelRegistry) -> None:
        served = registry.get("m")
        results: list[Any] = []
        done = False

        async def send_requests() -> None:
            while not done:
                results.append(await served_probabilities(served))

        clients = [asyncio.create_task(send_requests()) for _ in range(5)]
        await asyncio.sleep(0.05)
        replacement.save(changing, overwrite=True)
        await wait_until(lambda: served.current.version == 2)
        count = len(results)
        await wait_until(lambda: len(results) > count + 20)
        done = True
        await asyncio.gather(*clients)
        assert results[0] == before
        assert results[-1] == after
        assert all(result in (before, after) for result in results)

    run(test, models={"m": changing})


def test_broken_or_missing_folder_is_logged_once_and_the_model_keeps_serving(
    changing: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = probabilities(fastlstm.load(changing))

    def levels() -> list[int]:
        return [record.levelno for record in caplog.records if vars(record).get("model") == "m"]

    async def test(registry: ModelRegistry) -> None:
        served = registry.get("m")
        (changing / "config.json").write_text("{ broken")
        await wait_until(lambda: levels() == [logging.ERROR])
        assert await served_probabilities(served) == before
        await asyncio.sleep(0.1)
        assert levels() == [logging.ERROR]
        shutil.rmtree(changing)
        await wait_until(lambda: levels() == [logging.ERROR, logging.WARNING])
        await asyncio.sleep(0.1)
        assert levels() == [logging.ERROR, logging.WARNING]
        assert await served_probabilities(served) == before

    with caplog.at_level(logging.INFO, "fastlstm.server"):
        run(test, models={"m": changing})


def test_get_returns_models_by_name_and_the_first_by_default(folder: Path) -> None:
    async def test(registry: ModelRegistry) -> None:
        assert registry.get(None).name == "one"
        assert [served.name for served in registry] == ["one", "two"]
        with pytest.raises(APIError) as raised:
            registry.get("three")
        assert (raised.value.status, raised.value.code, raised.value.model) == (404, "unknown-model", "three")

    run(test, models={"one": folder, "two": folder})


@pytest.mark.parametrize(
    ("settings", "error", "code"),
    [
        ({"models": {}}, OptionError, "no-models"),
        ({"models": {"m": Path("none")}}, ModelNotFoundError, "model-not-found"),
        ({"min_agreement": 0.99}, OptionError, "no-early-exit"),
        ({"max_texts": 0}, OptionError, "bad-option-value"),
        ({"max_texts": 9, "queue_texts": 8}, OptionError, "conflicting-options"),
        ({"token": ""}, OptionError, "empty-token"),
        ({"cors_origins": ("https://example.com/",)}, OptionError, "bad-option-value"),
        ({"cors_origins": ("example.com",)}, OptionError, "bad-option-value"),
        ({"body_seconds": 0.0}, OptionError, "bad-option-value"),
        ({"drain_seconds": float("nan")}, OptionError, "bad-option-value"),
    ],
)
def test_invalid_settings_raise_before_serving(
    folder: Path, settings: dict[str, Any], error: type[FastLSTMError], code: str
) -> None:
    with pytest.raises(error) as raised:
        ModelRegistry(Settings(**{"models": {"m": folder}, **settings}), Metrics())
    assert raised.value.code == code
