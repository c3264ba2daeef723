from __future__ import annotations

from collections.abc import Callable

import pytest

from fastlstm.config import ModelConfig
from fastlstm.inference import Classifier
from fastlstm.saved_model import SavedModel


@pytest.fixture(scope="module")
def classifier(tiny_model: SavedModel) -> Classifier:
    return Classifier(tiny_model)


@pytest.fixture(scope="module")
def three_classes(make_model: Callable[..., SavedModel]) -> Classifier:
    config = ModelConfig(embedding_size=5, hidden_sizes=(4,), bidirectional=True, pooling="concat", max_tokens=20)
    return Classifier(make_model(config, ("bad", "so so", "good"), seed=4, temperature=1.7))
