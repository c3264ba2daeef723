"""What exports share: golden texts to check them with, and a copy of a model without n-grams."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from fastlstm._typing import FloatArray
from fastlstm.errors import OptionError
from fastlstm.inference.classifier import Classifier
from fastlstm.inference.golden import GOLDEN_TEXTS
from fastlstm.serialization.classifier import SavedModel, make_text_tokenizer


def without_ngrams(model: SavedModel) -> SavedModel:
    """Return the model without its n-grams: the LSTM alone.

    Raise `OptionError` if the model is linear, because nothing would be left of it.
    """
    if model.is_linear:
        raise OptionError(
            "the model is linear: n-grams alone decide; export it with its n-grams", code="linear-without-ngrams"
        )
    return dataclasses.replace(
        model,
        config=dataclasses.replace(model.config, ngrams=0),
        weights={name: array for name, array in model.weights.items() if name != "wide.weight"},
        integer_arrays={},
    )


def golden_entries(model: SavedModel, *, truncate: bool = True) -> list[dict[str, Any]]:
    """Return the golden texts with their token ids before truncation, and their probabilities, as JSON values.

    With `truncate` false, the probabilities are those of the whole texts.
    """
    tokenized = make_text_tokenizer(model.tokenizer, model.config, keep_untruncated=True)(GOLDEN_TEXTS)
    untruncated = tokenized.untruncated or []
    network = Classifier(model).network
    probabilities = network.probabilities(tokenized.ids if truncate else untruncated, untruncated)
    return [
        {"text": text, "ids": ids.tolist(), "probabilities": [float(p) for p in row]}
        for text, ids, row in zip(GOLDEN_TEXTS, untruncated, probabilities, strict=True)
    ]


def agreement(classifier: Classifier, other: FloatArray, expected: FloatArray) -> tuple[float, float]:
    """Return how far two arrays of probabilities [n, classes] agree.

    The values are the fraction of texts with the same label, and the largest difference of a probability.
    """
    same = classifier.choose(other) == classifier.choose(expected)
    return float(same.mean()), float(np.abs(other - expected).max())
