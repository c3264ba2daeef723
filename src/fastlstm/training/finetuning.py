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
from torch import Tensor

from fastlstm._typing import BoolArray, FloatArray, IndexArray
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
HELD_OUT = 3
"""One of this many texts selects the penalty if there are no validation texts."""
MAX_TEXTS = 25_000
"""Maximum number of texts that the output layer is fitted on; their features are held in memory."""


def fit_head(
    model: TextClassifier, training: LabelledIds, validation: LabelledIds | None, *, balanced: bool = False
) -> None:
    """Standardize the features of the model, and fit its output layer by logistic regression.

    Args:
        model: Classifier with the weights of the language model; its `standardize` is called.
        training: Texts to fit on; about `MAX_TEXTS` of them are used, with all classes. Soft labels are not used.
        validation: Texts that select the penalty. None: a part of the training texts selects it; the output layer is
            then fitted on all of them.
        balanced: Weight classes by inverse frequency.
    """
    sample = balanced_sample(training.classes, MAX_TEXTS)
    features, classes = compute_features(model, [training.texts[i] for i in sample]), training.classes[sample]
    center, deviation = features.mean(dim=0), features.std(dim=0).clamp_min(MIN_DEVIATION)
    model.standardize(center, deviation)
    standardized = (features - center) / deviation
    if validation is not None:
        held_features = (compute_features(model, validation.texts) - center) / deviation
        weight, bias, _ = _best_fit(model, standardized, classes, held_features, validation.classes, balanced)
    elif (held := held_out_part(classes)).any():
        _, _, inverse_penalty = _best_fit(
            model, standardized[~held], classes[~held], standardized[held], classes[held], balanced
        )
        weight, bias = _fit(model, standardized, classes, inverse_penalty, balanced)
    else:
        weight, bias = _fit(model, standardized, classes, INVERSE_PENALTIES[0], balanced)
    with torch.no_grad():
        model.output.weight.copy_(weight)
        model.output.bias.copy_(bias)


def _best_fit(
    model: TextClassifier,
    features: Tensor,
    classes: IndexArray,
    held_features: Tensor,
    held_classes: IndexArray,
    balanced: bool,
) -> tuple[Tensor, Tensor, float]:
    """Return weight, bias and inverse penalty of the fit with the lowest loss on the held-out features."""

    def loss(fit: tuple[Tensor, Tensor, float]) -> float:
        weight, bias, _ = fit
        return float(model.losses(held_features @ weight.T + bias, torch.from_numpy(held_classes)).mean())

    return min(((*_fit(model, features, classes, c, balanced), c) for c in INVERSE_PENALTIES), key=loss)


def _fit(
    model: TextClassifier, features: Tensor, classes: IndexArray, inverse_penalty: float, balanced: bool
) -> tuple[Tensor, Tensor]:
    """Return the weight [logits, features] and the bias [logits] of one logistic regression per logit."""
    logits = model.output.out_features
    fit = fit_regression(features, model.output.weight.device)
    fitted = [fit(classes == k, inverse_penalty, balanced) for k in ([1] if logits == 1 else range(logits))]
    weight = np.stack([weight for weight, _ in fitted]).astype(np.float32)
    return torch.from_numpy(weight), torch.from_numpy(np.array([bias for _, bias in fitted], np.float32))


def held_out_part(classes: IndexArray) -> BoolArray:
    """Return a mask of every `HELD_OUT`-th text of each class; the first one of a class is not in it."""
    order = np.argsort(classes, kind="stable")
    position = np.arange(len(classes)) - np.searchsorted(classes[order], classes[order])
    held = np.zeros(len(classes), np.bool_)
    held[order] = position % HELD_OUT == HELD_OUT - 1
    return held


def balanced_sample(classes: IndexArray, count: int) -> IndexArray:
    """Return the indices of about `count` texts, classes in proportion and at least one text of each."""
    _, first_of_each = np.unique(classes, return_index=True)
    by_class = np.argsort(classes, kind="stable")
    indices: IndexArray = np.union1d(by_class[:: -(-len(classes) // count)], first_of_each)
    return indices
