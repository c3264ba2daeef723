"""Configurations to export, and inputs of exported models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastlstm._typing import FloatArray, TokenIds
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel, make_text_tokenizer

SHAPES: dict[str, dict[str, Any]] = {
    "last": {"pooling": "last"},
    "max, bidirectional": {"pooling": "max", "bidirectional": True},
    "mean": {"pooling": "mean", "hidden_sizes": (17,)},
    "concat, bidirectional": {"pooling": "concat", "bidirectional": True, "hidden_sizes": (5, 7)},
    "concat": {"pooling": "concat", "hidden_sizes": (37,)},
    "last step, bidirectional": {"pooling": "last-step", "bidirectional": True},
    "dense": {"dense_sizes": (6, 2, 5), "dense_activations": ("relu", "linear", "tanh")},
    "empty texts": {"empty_text": "zeros", "dense_sizes": (3,), "dense_activations": ("sigmoid",)},
}
OUTPUTS = {
    "two classes": (("a", "b"), "auto"),
    "softmax of two": (("a", "b"), "softmax"),
    "five classes": (("a", "b", "c", "d", "e"), "auto"),
    "sigmoid of three": (("a", "b", "c"), "sigmoid"),
}
"""Labels and activation."""


def expected_probabilities(model: SavedModel, texts: Sequence[TokenIds]) -> FloatArray:
    """Return the classifier's probabilities of texts of all their token ids."""
    truncate = make_text_tokenizer(model.tokenizer, model.config).truncate
    return Classifier(model).network.probabilities([truncate(ids) for ids in texts], texts)


def random_token_ids(model: SavedModel, count: int, max_length: int) -> list[TokenIds]:
    """Return `count` texts of 1 to `max_length` random tokens, none of them padding."""
    generator = np.random.default_rng(count + max_length)
    lengths = generator.integers(1, max_length + 1, count)
    return [generator.integers(1, model.config.vocabulary_size, int(n), np.int32) for n in lengths]


def exported_inputs(
    texts: Sequence[TokenIds], padding_id: int = 0, extra_padding: int = 3
) -> dict[str, npt.NDArray[Any]]:
    """Return the inputs of an exported model by name, padded beyond the longest text by `extra_padding`."""
    lengths = np.array([len(ids) for ids in texts])
    padded = np.full((len(texts), lengths.max() + extra_padding), padding_id)
    for row, ids in zip(padded, texts, strict=True):
        row[: len(ids)] = ids
    return {"ids": padded, "lengths": lengths}
