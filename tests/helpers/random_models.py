"""Classifiers with random weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from fastlstm.config import ModelConfig
from fastlstm.serialization import weights
from fastlstm.serialization.classifier import SavedModel
from fastlstm.text.tokenizer import train_tokenizer

TEXTS = (
    "This movie was fantastic! I really enjoyed it.",
    "Horrible film, don't waste your time: it was not good.",
    "Not bad at all, and the first hour was really good.",
    "很好看的电影, I would see it again.",
)
"""Texts that the vocabulary is trained on."""

MakeModel = Callable[..., SavedModel]
"""The type of `make_model`, which is also a fixture."""


def make_model(
    config: ModelConfig | None = None,
    labels: Sequence[str] = ("negative", "positive"),
    *,
    seed: int = 0,
    temperature: float = 1.0,
    threshold: float = 0.5,
) -> SavedModel:
    """Return a model with random weights; its vocabulary is that of `TEXTS`, up to `config.vocabulary_size`."""
    config = config or ModelConfig(embedding_size=5, hidden_sizes=(4, 3), max_tokens=30)
    tokenizer = train_tokenizer(TEXTS, config.vocabulary_size, config.tokens)
    config = dataclasses.replace(config, vocabulary_size=tokenizer.get_vocab_size())
    generator = np.random.default_rng(seed)
    arrays = {
        name: generator.normal(0, 0.5, shape).astype(np.float32)
        for name, shape in weights.shapes(config, len(labels)).items()
    }
    return SavedModel(config, tuple(labels), tokenizer, arrays, temperature, threshold=threshold)
