"""Names and shapes of the weights that training writes and inference reads."""

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
    """Yield every layer and direction in computation order: layer by layer, forward before backward."""
    input_size = config.embedding_size
    for layer, hidden_size in enumerate(config.hidden_sizes):
        for reverse in (False, True) if config.bidirectional else (False,):
            name = "backward" if reverse else "forward"
            yield LayerDirection(f"lstm.{layer}.{name}", layer, reverse, input_size, hidden_size)
        input_size = hidden_size * (2 if config.bidirectional else 1)


def feature_size(config: ModelConfig) -> int:
    """Return the number of features that pooling passes to the linear layer."""
    outputs = config.hidden_sizes[-1] * (2 if config.bidirectional else 1)
    return outputs * (3 if config.pooling == "concat" else 1)


def dense_layers(config: ModelConfig) -> Iterator[tuple[str, int, int]]:
    """Yield the prefix, input size and size of each dense layer between pooling and output layer."""
    input_size = feature_size(config)
    for number, size in enumerate(config.dense_sizes):
        yield f"dense.{number}", input_size, size
        input_size = size


def uses_sigmoid(config: ModelConfig, classes: int) -> bool:
    """Return whether the output is a sigmoid. Activation "auto" means a sigmoid for two classes."""
    return config.activation == "sigmoid" or (config.activation == "auto" and classes == 2)


def output_size(config: ModelConfig, classes: int) -> int:
    """Return the number of logits: 1 for a sigmoid over two classes, else one per class."""
    return 1 if uses_sigmoid(config, classes) and classes == 2 else classes


def shapes(config: ModelConfig, classes: int) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of every weight of a classifier, in computation order."""
    result: dict[str, tuple[int, ...]] = {"embedding.weight": (config.vocabulary_size, config.embedding_size)}
    for direction in directions(config):
        result |= _lstm_shapes(direction.prefix, direction.input_size, direction.hidden_size)
    for prefix, input_size, size in dense_layers(config):
        result |= {f"{prefix}.weight": (size, input_size), f"{prefix}.bias": (size,)}
    logits = output_size(config, classes)
    result["output.weight"] = (logits, config.dense_sizes[-1] if config.dense_sizes else feature_size(config))
    result["output.bias"] = (logits,)
    if config.ngrams:
        result["wide.weight"] = (config.ngrams, logits)
    return result


def integer_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of every int32 array of a classifier."""
    return {"wide.ngrams": (config.ngrams,)} if config.ngrams else {}


def parameter_count(config: ModelConfig, classes: int) -> int:
    """Return the number of weights of a classifier."""
    return sum(math.prod(shape) for shape in shapes(config, classes).values())


def has_projection(config: LanguageModelConfig) -> bool:
    """Return whether the last layer is projected to the embedding dimension, because its size is another."""
    return config.hidden_sizes[-1] != config.embedding_size


def language_model_shapes(config: LanguageModelConfig) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of every weight of a language model. LSTM layers have the names of a classifier's."""
    result: dict[str, tuple[int, ...]] = {"embedding.weight": (config.vocabulary_size, config.embedding_size)}
    for direction in config.directions:
        input_size = config.embedding_size
        for layer, hidden_size in enumerate(config.hidden_sizes):
            result |= _lstm_shapes(f"lstm.{layer}.{direction}", input_size, hidden_size)
            input_size = hidden_size
        if has_projection(config):
            result[f"projection.{direction}.weight"] = (config.embedding_size, config.hidden_sizes[-1])
    result["output.bias"] = (config.vocabulary_size,)
    return result


def _lstm_shapes(prefix: str, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
    gates = 4 * hidden_size
    return {
        f"{prefix}.weight_ih": (gates, input_size),
        f"{prefix}.weight_hh": (gates, hidden_size),
        f"{prefix}.bias": (gates,),
    }


def layer_weights(arrays: Mapping[str, FloatArray], prefix: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return W_ih [4H, I], W_hh [4H, H] and bias [4H] of the layer and direction named by `prefix`."""
    weight_ih, weight_hh, bias = (
        np.ascontiguousarray(arrays[f"{prefix}.{name}"], np.float32) for name in ("weight_ih", "weight_hh", "bias")
    )
    return weight_ih, weight_hh, bias
