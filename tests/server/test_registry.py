"""A model's folder that changes while it is served."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import Serve  # noqa: F401 -- skips where the extra is missing

import fastlstm
from fastlstm.config import ModelConfig
from fastlstm.errors import ModelNotFoundError, OptionError
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel
from fastlstm.server.errors import APIError
from fastlstm.server.metrics import Metrics
from fastlstm.server.registry import ModelRegistry
from fastlstm.server.settings import Settings

TEXTS = ["Not bad at all.", "horrible movie"]


def answers_of(model: Classifier) -> Any:
    return model.predict_proba(TEXTS).tolist()


def run(test: Callable[[ModelRegistry], Any], **settings: Any) -> None:
    async def started() -> None:
        store = ModelRegistry(Settings(reload_seconds=0.02, **settings), Metrics())
        store.start()
        try:
            await test(store)
        finally:
            await store.stop()

    asyncio.run(started())


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to that")


@pytest.fixture
def changing(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder, tmp_path / "model")
    return tmp_path / "model"


def test_a_changed_folder_is_taken_and_no_request_is_lost(
    make_model: Callable[..., SavedModel], changing: Path
) -> None:
    before = answers_of(fastlstm.load(changing))
    other = Classifier(make_model(ModelConfig(embedding_size=5, hidden_sizes=(9,)), seed=5))
    after = answers_of(other)

    async def test(store: ModelRegistry) -> None:
        served, answers, over = store.get("m"), [], False

        async def ask() -> None:
            while not over:
                answers.append((await served.batcher.submit(TEXTS))[1][:, :2].tolist())

        asking = [asyncio.create_task(ask()) for _ in range(5)]
        await asyncio.sleep(0.05)
        other.save(changing, overwrite=True)
        await until(lambda: served.reader.version == 2)
        count = len(answers)
        await until(lambda: len(answers) > count + 20)
        over = True
        await asyncio.gather(*asking)
        assert answers[0] == before
        assert answers[-1] == after
        assert all(answer in (before, after) for answer in answers)

    run(test, models={"m": changing})


def test_a_broken_folder_is_told_and_the_old_model_goes_on(
    changing: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = answers_of(fastlstm.load(changing))
    sound = (changing / "config.json").read_bytes()

    async def test(store: ModelRegistry) -> None:
        served = store.get("m")
        (changing / "config.json").write_text("{ broken")
        await until(lambda: "model not reloaded" in caplog.text)
        assert (await served.batcher.submit(TEXTS))[1][:, :2].tolist() == before
        await asyncio.sleep(0.1)
        assert caplog.text.count("model not reloaded") == 1
        shutil.rmtree(changing)
        await until(lambda: "model folder gone" in caplog.text)
        await asyncio.sleep(0.1)
        assert caplog.text.count("model folder gone") == 1
        assert (await served.batcher.submit(TEXTS))[1][:, :2].tolist() == before

    assert json.loads(sound)
    with caplog.at_level(logging.INFO, "fastlstm.server"):
        run(test, models={"m": changing})


def test_models_are_found_by_name_and_the_first_without(folder: Path) -> None:
    async def test(store: ModelRegistry) -> None:
        assert store.get(None).name == "one"
        assert [served.name for served in store] == ["one", "two"]
        with pytest.raises(APIError, match="no model 'three'; there are: one, two"):
            store.get("three")

    run(test, models={"one": folder, "two": folder})


def test_what_can_t_be_served_is_said_before(folder: Path, tmp_path: Path) -> None:
    for settings, error, says in (
        ({"models": {"m": tmp_path / "none"}}, ModelNotFoundError, "no model at"),
        ({"models": {}}, OptionError, "no model to serve"),
        ({"models": {"m": folder}, "early_exit": 0.99}, OptionError, "has not learned"),
        ({"models": {"m": folder}, "max_texts": 0}, OptionError, "max-texts is 0; expected at least 1"),
        ({"models": {"m": folder}, "max_texts": 9, "queue_texts": 8}, OptionError, "raise queue-texts"),
        ({"models": {"m": folder}, "token": ""}, OptionError, "the token is empty"),
        ({"models": {"m": folder}, "body_seconds": 0.0}, OptionError, "body-seconds is 0"),
        ({"models": {"m": folder}, "drain_seconds": float("nan")}, OptionError, "drain-seconds is nan"),
    ):
        with pytest.raises(error, match=says):
            ModelRegistry(Settings(**settings), Metrics())
