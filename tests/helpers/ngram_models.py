"""Models with n-grams, made from models without."""

from __future__ import annotations

import dataclasses

import numpy as np

from fastlstm._typing import TokenIds
from fastlstm.config.classifier import NGramKinds
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel
from fastlstm.text.ngrams import NGRAM_ID_COUNT, NGRAM_KINDS, extract_ngrams

TEXT = "Not bad at all, this movie. Not bad: I would see it again! Again?"


def with_ngrams(model: SavedModel, kinds: NGramKinds = "places") -> SavedModel:
    """Return the model with random weights for half of the n-grams of `TEXT`, and for other n-grams."""
    generator = np.random.default_rng(8)
    token_ids = Classifier(model).tokenize([TEXT]).ids
    known = extract_ngrams(token_ids, kinds=NGRAM_KINDS[kinds]).ids[::2]
    ngram_ids = np.unique(np.concatenate([known, generator.integers(0, NGRAM_ID_COUNT, 50, np.int32)]))
    return _with_ngram_ids(model, kinds, ngram_ids, 0.5)


def with_many_ngrams(model: SavedModel, kinds: NGramKinds) -> SavedModel:
    """Return the model with random weights for half of the n-grams of random texts, and for 20,000 other n-grams."""
    generator = np.random.default_rng(9)
    texts = [generator.integers(0, model.config.vocabulary_size, 120, np.int32) for _ in range(20)]
    known = extract_ngrams(texts, kinds=NGRAM_KINDS[kinds]).ids[::2]
    others = generator.integers(0, NGRAM_ID_COUNT, 20_000, np.int32)
    return _with_ngram_ids(model, kinds, np.unique(np.concatenate([known, others])), 0.05)


def _with_ngram_ids(model: SavedModel, kinds: NGramKinds, ngram_ids: TokenIds, scale: float) -> SavedModel:
    """Return the model with random weights, of this standard deviation, for the n-grams."""
    generator = np.random.default_rng(8)
    config = dataclasses.replace(model.config, ngrams=len(ngram_ids), ngram_kinds=kinds)
    logit_count = model.weights["output.bias"].shape[0]
    weight = generator.normal(0, scale, (len(ngram_ids), logit_count)).astype(np.float32)
    return dataclasses.replace(
        model,
        config=config,
        weights={**model.weights, "wide.weight": weight},
        integer_arrays={"wide.ngrams": ngram_ids.astype(np.int32)},
    )
