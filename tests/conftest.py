from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from hypothesis import settings

from fastlstm.config import ModelConfig
from fastlstm.diagnostics import ENVIRONMENT_VARIABLES
from fastlstm.inference import Classifier
from fastlstm.kernel.loader import find_kernel
from fastlstm.serialization import weights
from fastlstm.serialization.classifier import SavedModel
from fastlstm.text.tokenizer import train_tokenizer

# PyTorch's threads would spend their time waiting for each other on models as small as these tests'.
os.environ["OMP_NUM_THREADS"] = "1"

# Examples come in the same order every time, and no slow machine fails a test.
settings.register_profile("fastlstm", deadline=None, derandomize=True, database=None, max_examples=50)
settings.load_profile("fastlstm")

MakeModel = Callable[..., SavedModel]

TEXTS = (
    "This movie was fantastic! I really enjoyed it.",
    "Horrible film, don't waste your time: it was not good.",
    "Not bad at all, and the first hour was really good.",
    "很好看的电影, I would see it again.",
)


@pytest.fixture(scope="session")
def make_model() -> MakeModel:
    """Builds a model with random weights; its vocabulary is what a few texts hold of `config.vocabulary_size`."""

    def make(
        config: ModelConfig | None = None,
        labels: Sequence[str] = ("negative", "positive"),
        *,
        seed: int = 0,
        temperature: float = 1.0,
        threshold: float = 0.5,
    ) -> SavedModel:
        config = config or ModelConfig(embedding_size=5, hidden_sizes=(4, 3), max_tokens=30)
        tokenizer = train_tokenizer(TEXTS, config.vocabulary_size)
        config = dataclasses.replace(config, vocabulary_size=tokenizer.get_vocab_size())
        generator = np.random.default_rng(seed)
        arrays = {
            name: generator.normal(0, 0.5, shape).astype(np.float32)
            for name, shape in weights.shapes(config, len(labels)).items()
        }
        return SavedModel(config, tuple(labels), tokenizer, arrays, temperature, threshold=threshold)

    return make


@pytest.fixture(scope="session")
def tiny_model(make_model: MakeModel) -> SavedModel:
    """A model of two classes and two small layers, with random weights. Not to be changed."""
    return make_model()


@pytest.fixture(scope="module")
def classifier(tiny_model: SavedModel) -> Classifier:
    return Classifier(tiny_model)


@pytest.fixture(scope="module")
def three_classes(make_model: Callable[..., SavedModel]) -> Classifier:
    config = ModelConfig(embedding_size=5, hidden_sizes=(4,), bidirectional=True, pooling="concat", max_tokens=20)
    return Classifier(make_model(config, ("bad", "so so", "good"), seed=4, temperature=1.7))


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Unset fastlstm's environment variables, and make `diagnose` find the kernel again. Restores its threads."""
    kernel = find_kernel().kernel
    threads = 1 if kernel is None else kernel.threads
    for name in ENVIRONMENT_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("fastlstm.diagnostics.find_kernel", find_kernel.__wrapped__)
    yield
    if kernel is not None:
        kernel.threads = threads
