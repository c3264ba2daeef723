"""The output layer of a classifier that begins from a language model: fitted first, while all below it rests.

A fresh output layer's first gradients would undo what the language model has learned. Kumar et al. (2022),
"Fine-Tuning can Distort Pretrained Features": fit the output layer alone, then all together. It is what gradual
unfreezing (Howard & Ruder 2018) does in its first epoch, by one pass over the texts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from fastlstm._typing import FloatArray
from fastlstm.config import LanguageModelConfig, ModelConfig
from fastlstm.errors import OptionError
from fastlstm.serialization import weights
from fastlstm.serialization.language_model import BACKWARD
from fastlstm.training.linear import fit_regression
from fastlstm.training.loop import LabelledIds, compute_features
from fastlstm.training.model import TextClassifier


def language_model_config(config: ModelConfig) -> LanguageModelConfig:
    """The shape of a language model that a classifier of this shape can begin from."""
    return LanguageModelConfig(
        vocabulary_size=config.vocabulary_size,
        embedding_size=config.embedding_size,
        hidden_sizes=config.hidden_sizes,
        direction="both" if config.bidirectional else "forward",
    )


def config_from_encoder(encoder: LanguageModelConfig, config: ModelConfig) -> ModelConfig:
    """The classifier's shape with the sizes of a language model that it begins from.

    Raises `OptionError` for one that reads backward only.
    """
    if encoder.direction == "backward":
        raise OptionError(BACKWARD)
    return dataclasses.replace(
        config,
        vocabulary_size=encoder.vocabulary_size,
        embedding_size=encoder.embedding_size,
        hidden_sizes=encoder.hidden_sizes,
        bidirectional=encoder.direction == "both",
    )


def copy_encoder(model: TextClassifier, arrays: Mapping[str, FloatArray]) -> None:
    """Copies a language model's word vectors and LSTM layers into a classifier of the same sizes.

    A classifier's upper layers read both directions of the layer below, a language model's only their own: the
    weights of the other direction begin at zero, so that both compute the same.
    """
    values = model.named()
    taken = {"embedding.weight": arrays["embedding.weight"]}
    for of in weights.directions(model.config):
        taken[f"{of.prefix}.weight_hh"] = arrays[f"{of.prefix}.weight_hh"]
        taken[f"{of.prefix}.bias"] = arrays[f"{of.prefix}.bias"]
        own = arrays[f"{of.prefix}.weight_ih"]
        wide = np.zeros((len(own), of.input_size), np.float32)
        start = of.input_size - own.shape[1] if of.reverse and of.layer else 0
        wide[:, start : start + own.shape[1]] = own
        taken[f"{of.prefix}.weight_ih"] = wide
    with torch.no_grad():
        for name, array in taken.items():
            values[name].copy_(torch.from_numpy(np.ascontiguousarray(array)))


INVERSE_PENALTIES = 1e-4, 1e-3, 1e-2, 1e-1
"""scikit-learn's C: the one that validation texts like best is taken."""
MIN_DEVIATION = 0.01
"""Of a feature, in units of an LSTM's output, which lies between -1 and 1: what hardly moves is not blown up."""
MAX_TEXTS = 25_000
"""That an output layer is fitted to: a beginning needs no more, and all their features are held in memory."""


def fit_head(
    model: TextClassifier, training: LabelledIds, validation: LabelledIds, *, balanced: bool = False
) -> None:
    """Standardises the model's features, and gives it the best output layer for them, on a CPU.

    Args:
        model: with the language model's weights; its `standardise` is called.
        training: to learn from, `MAX_TEXTS` of every class its share; every class must be there. What a teacher
            says of them is left to the training that follows.
        validation: to choose the penalty by.
        balanced: texts of rare classes count more.
    """
    some = balanced_sample(training.truth, MAX_TEXTS)
    features, truth = compute_features(model, [training.texts[i] for i in some]), training.truth[some]
    center, deviation = features.mean(dim=0), features.std(dim=0).clamp_min(MIN_DEVIATION)
    model.standardise(center, deviation)
    learned = (features - center) / deviation
    held_out = ((compute_features(model, validation.texts) - center) / deviation).numpy()
    logits = model.output.out_features
    columns = [1] if logits == 1 else list(range(logits))
    fit = fit_regression(learned, model.output.weight.device)
    best, least = None, np.inf
    for penalty in INVERSE_PENALTIES:
        fitted = [fit(truth == k, penalty, balanced) for k in columns]
        weight = np.stack([of for of, _ in fitted]).astype(np.float32)
        bias = np.array([of for _, of in fitted], np.float32)
        scores = torch.from_numpy(held_out @ weight.T + bias)
        loss = float(model.losses(scores, torch.from_numpy(validation.truth)).mean())
        if loss < least:
            best, least = (weight, bias), loss
    assert best is not None, "a loss of finite features is finite"
    with torch.no_grad():
        model.output.weight.copy_(torch.from_numpy(best[0]))
        model.output.bias.copy_(torch.from_numpy(best[1]))


def balanced_sample(truth: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """The places of about `count` texts: of every class its share, one at least; of all where they are fewer."""
    _, first_of_each = np.unique(truth, return_index=True)
    by_class = np.argsort(truth, kind="stable")
    places: npt.NDArray[np.int64] = np.union1d(by_class[:: -(-len(truth) // count)], first_of_each)
    return places
