"""The names and shapes of a classifier's weights: what training writes and inference reads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from fastlstm._typing import FloatArray
from fastlstm.config import LanguageModelConfig, ModelConfig


@dataclass(frozen=True)
class LayerDirection:
    """One LSTM layer in one direction: the prefix of its weights' names, and its sizes."""

    prefix: str
    layer: int
    reverse: bool
    input_size: int
    hidden_size: int


def directions(config: ModelConfig) -> Iterator[LayerDirection]:
    """Every layer and direction in reading order: layer by layer, forward before backward."""
    input_size = config.embedding_size
    for layer, hidden_size in enumerate(config.hidden_sizes):
        for reverse in (False, True) if config.bidirectional else (False,):
            name = "backward" if reverse else "forward"
            yield LayerDirection(f"lstm.{layer}.{name}", layer, reverse, input_size, hidden_size)
        input_size = hidden_size * (2 if config.bidirectional else 1)


def feature_size(config: ModelConfig) -> int:
    """Numbers that pooling hands to the linear layer."""
    outputs = config.hidden_sizes[-1] * (2 if config.bidirectional else 1)
    return outputs * (3 if config.pooling == "concat" else 1)


def uses_sigmoid(config: ModelConfig, classes: int) -> bool:
    """Whether the output is a sigmoid: asked for, or left open and there are two classes."""
    return config.activation == "sigmoid" or (config.activation == "auto" and classes == 2)


def output_size(config: ModelConfig, classes: int) -> int:
    """Logits: one for a sigmoid over two classes, else one a class."""
    return 1 if uses_sigmoid(config, classes) and classes == 2 else classes


def shapes(config: ModelConfig, classes: int) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every weight, in the order in which they are used."""
    result: dict[str, tuple[int, ...]] = {"embedding.weight": (config.vocabulary_size, config.embedding_size)}
    for direction in directions(config):
        gates = 4 * direction.hidden_size
        result[f"{direction.prefix}.weight_ih"] = (gates, direction.input_size)
        result[f"{direction.prefix}.weight_hh"] = (gates, direction.hidden_size)
        result[f"{direction.prefix}.bias"] = (gates,)
    logits = output_size(config, classes)
    result["output.weight"] = (logits, feature_size(config))
    result["output.bias"] = (logits,)
    if config.ngrams:
        result["wide.weight"] = (config.ngrams, logits)
    return result


def number_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every array that holds whole numbers, int32."""
    return {"wide.ngrams": (config.ngrams,)} if config.ngrams else {}


def parameter_count(config: ModelConfig, classes: int) -> int:
    """How many numbers the model has learned."""
    return sum(math.prod(shape) for shape in shapes(config, classes).values())


def has_projection(config: LanguageModelConfig) -> bool:
    """Whether the last layer's states have another size than the word vectors they are compared with."""
    return config.hidden_sizes[-1] != config.embedding_size


def language_model_shapes(config: LanguageModelConfig) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every weight of a language model. The LSTM layers are named as a classifier's are."""
    result: dict[str, tuple[int, ...]] = {"embedding.weight": (config.vocabulary_size, config.embedding_size)}
    for direction in config.directions:
        input_size = config.embedding_size
        for layer, size in enumerate(config.hidden_sizes):
            prefix = f"lstm.{layer}.{direction}"
            result[f"{prefix}.weight_ih"] = (4 * size, input_size)
            result[f"{prefix}.weight_hh"] = (4 * size, size)
            result[f"{prefix}.bias"] = (4 * size,)
            input_size = size
        if has_projection(config):
            result[f"projection.{direction}.weight"] = (config.embedding_size, config.hidden_sizes[-1])
    result["output.bias"] = (config.vocabulary_size,)
    return result


def layer_weights(arrays: Mapping[str, FloatArray], prefix: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """W_ih [4H, I], W_hh [4H, H] and bias [4H] of the layer and direction that `prefix` names."""
    weight_ih, weight_hh, bias = (
        np.ascontiguousarray(arrays[f"{prefix}.{name}"], np.float32) for name in ("weight_ih", "weight_hh", "bias")
    )
    return weight_ih, weight_hh, bias
