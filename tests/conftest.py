"""Settings of all tests, small classifiers with random weights, and a clean environment."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from tests.helpers import random_models
from tests.helpers.random_models import MakeModel

from fastlstm.config import ModelConfig
from fastlstm.diagnostics import ENVIRONMENT_VARIABLES
from fastlstm.inference import Classifier
from fastlstm.kernel.loader import find_kernel
from fastlstm.serialization.classifier import SavedModel

# Threads of PyTorch would mostly wait for each other on models as small as these.
os.environ["OMP_NUM_THREADS"] = "1"

# Examples are the same in every run, and a slow machine fails no test.
settings.register_profile("fastlstm", deadline=None, derandomize=True, database=None, max_examples=50)
settings.load_profile("fastlstm")


@pytest.fixture(scope="session", autouse=True)
def _empty_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use an empty folder instead of the user's cache folder, also in processes that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def make_model() -> MakeModel:
    """Return a function that makes a model with random weights."""
    return random_models.make_model


@pytest.fixture(scope="session")
def tiny_model() -> SavedModel:
    """A model of two classes and two small layers, with random weights. Must not be changed."""
    return random_models.make_model()


@pytest.fixture(scope="module")
def classifier(tiny_model: SavedModel) -> Classifier:
    return Classifier(tiny_model)


@pytest.fixture(scope="module")
def three_classes() -> Classifier:
    """A bidirectional classifier of three classes. Must not be changed."""
    config = ModelConfig(embedding_size=5, hidden_sizes=(4,), bidirectional=True, pooling="concat", max_tokens=20)
    return Classifier(random_models.make_model(config, ("bad", "so so", "good"), seed=4, temperature=1.7))


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Unset the variables of fastlstm and make `diagnose` find the kernel again; restore its threads."""
    kernel = find_kernel().kernel
    threads = 1 if kernel is None else kernel.threads
    for name in ENVIRONMENT_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("fastlstm.diagnostics.find_kernel", find_kernel.__wrapped__)
    yield
    if kernel is not None:
        kernel.threads = threads
