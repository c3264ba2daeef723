"""Models with n-grams, made from models without."""

from __future__ import annotations

import dataclasses

import numpy as np

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
    config = dataclasses.replace(model.config, ngrams=len(ngram_ids), ngram_kinds=kinds)
    logit_count = model.weights["output.bias"].shape[0]
    weight = generator.normal(0, 0.5, (len(ngram_ids), logit_count)).astype(np.float32)
    return dataclasses.replace(
        model,
        config=config,
        weights={**model.weights, "wide.weight": weight},
        integer_arrays={"wide.ngrams": ngram_ids.astype(np.int32)},
    )
