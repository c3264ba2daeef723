"""A language model's weights as a classifier's first ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from fastlstm import weights
from fastlstm.config import LanguageModelConfig, ModelConfig
from fastlstm.errors import OptionError
from fastlstm.saved_language_model import BACKWARD
from fastlstm.training.model import TextClassifier

FloatArray = npt.NDArray[np.float32]


def language_model_config(config: ModelConfig) -> LanguageModelConfig:
    """The shape of a language model that a classifier of this shape can begin from."""
    return LanguageModelConfig(
        vocabulary_size=config.vocabulary_size,
        embedding_size=config.embedding_size,
        hidden_sizes=config.hidden_sizes,
        direction="both" if config.bidirectional else "forward",
    )


def beginning_from(encoder: LanguageModelConfig, config: ModelConfig) -> ModelConfig:
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


def take_encoder(model: TextClassifier, arrays: Mapping[str, FloatArray]) -> None:
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
