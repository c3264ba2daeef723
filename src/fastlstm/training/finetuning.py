"""Start a classifier from a language model: copy its weights, and fit the output layer with the encoder frozen.

The first gradients of a fresh output layer would distort the pretrained weights. Kumar et al. (2022), "Fine-Tuning can
Distort Pretrained Features": fit the output layer alone first, then all layers. Gradual unfreezing (Howard & Ruder
2018) does the same in its first epoch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch

from fastlstm._typing import FloatArray, IndexArray
from fastlstm.config import LanguageModelConfig, ModelConfig
from fastlstm.serialization import weights
from fastlstm.serialization.language_model import check_encoder_direction
from fastlstm.training.linear import fit_regression
from fastlstm.training.loop import LabelledIds, compute_features
from fastlstm.training.model import TextClassifier


def language_model_config(config: ModelConfig) -> LanguageModelConfig:
    """Return the shape of a language model that a classifier of this shape can start from."""
    return LanguageModelConfig(
        tokens=config.tokens,
        vocabulary_size=config.vocabulary_size,
        embedding_size=config.embedding_size,
        hidden_sizes=config.hidden_sizes,
        direction="both" if config.bidirectional else "forward",
    )


def config_from_encoder(encoder: LanguageModelConfig, config: ModelConfig) -> ModelConfig:
    """Return the shape of the classifier with the sizes of the encoder.

    Raises:
        OptionError: The encoder only reads backward.
    """
    check_encoder_direction(encoder.direction)
    return dataclasses.replace(
        config,
        tokens=encoder.tokens,
        vocabulary_size=encoder.vocabulary_size,
        embedding_size=encoder.embedding_size,
        hidden_sizes=encoder.hidden_sizes,
        bidirectional=encoder.direction == "both",
    )


def copy_encoder(model: TextClassifier, arrays: Mapping[str, FloatArray]) -> None:
    """Copy the embedding and the LSTM layers of a language model into a classifier of the same sizes.

    Upper layers of a bidirectional classifier read both directions of the layer below; those of a language model read
    only their own. The weights for the other direction are set to zero, so that both models compute the same states.
    """
    parameters = model.named()
    values = {"embedding.weight": arrays["embedding.weight"]}
    for direction in weights.directions(model.config):
        prefix = direction.prefix
        values[f"{prefix}.weight_hh"] = arrays[f"{prefix}.weight_hh"]
        values[f"{prefix}.bias"] = arrays[f"{prefix}.bias"]
        own = arrays[f"{prefix}.weight_ih"]
        both = np.zeros((len(own), direction.input_size), np.float32)
        start = direction.input_size - own.shape[1] if direction.reverse and direction.layer else 0
        both[:, start : start + own.shape[1]] = own
        values[f"{prefix}.weight_ih"] = both
    with torch.no_grad():
        for name, array in values.items():
            parameters[name].copy_(torch.from_numpy(np.ascontiguousarray(array)))


INVERSE_PENALTIES = 1e-4, 1e-3, 1e-2, 1e-1
"""Candidates of scikit-learn's C; the one with the lowest validation loss is used."""
MIN_DEVIATION = 0.01
"""Smallest standard deviation of a feature, so that nearly constant features are not amplified."""
MAX_TEXTS = 25_000
"""Maximum number of texts that the output layer is fitted on; their features are held in memory."""


def fit_head(
    model: TextClassifier, training: LabelledIds, validation: LabelledIds, *, balanced: bool = False
) -> None:
    """Standardize the features of the model, and fit its output layer by logistic regression.

    Args:
        model: Classifier with the weights of the language model; its `standardize` is called.
        training: Texts to fit on; about `MAX_TEXTS` of them are used, with all classes. Soft labels are not used.
        validation: Texts that select the penalty.
        balanced: Weight classes by inverse frequency.
    """
    sample = balanced_sample(training.classes, MAX_TEXTS)
    features, classes = compute_features(model, [training.texts[i] for i in sample]), training.classes[sample]
    center, deviation = features.mean(dim=0), features.std(dim=0).clamp_min(MIN_DEVIATION)
    model.standardize(center, deviation)
    standardized = (features - center) / deviation
    validation_features = ((compute_features(model, validation.texts) - center) / deviation).numpy()
    logits = model.output.out_features
    columns = [1] if logits == 1 else list(range(logits))
    fit = fit_regression(standardized, model.output.weight.device)
    best, lowest = None, np.inf
    for penalty in INVERSE_PENALTIES:
        fitted = [fit(classes == k, penalty, balanced) for k in columns]
        weight = np.stack([weight for weight, _ in fitted]).astype(np.float32)
        bias = np.array([bias for _, bias in fitted], np.float32)
        scores = torch.from_numpy(validation_features @ weight.T + bias)
        loss = float(model.losses(scores, torch.from_numpy(validation.classes)).mean())
        if loss < lowest:
            best, lowest = (weight, bias), loss
    assert best is not None, "the loss of finite features is finite"
    with torch.no_grad():
        model.output.weight.copy_(torch.from_numpy(best[0]))
        model.output.bias.copy_(torch.from_numpy(best[1]))


def balanced_sample(classes: IndexArray, count: int) -> IndexArray:
    """Return the indices of about `count` texts, classes in proportion and at least one text of each."""
    _, first_of_each = np.unique(classes, return_index=True)
    by_class = np.argsort(classes, kind="stable")
    indices: IndexArray = np.union1d(by_class[:: -(-len(classes) // count)], first_of_each)
    return indices
