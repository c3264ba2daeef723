"""The dense layers and the output layer of a classifier: pooled features -> logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np

from fastlstm._typing import FloatArray
from fastlstm.config import ModelConfig
from fastlstm.kernel.reference import row_matmul, sigmoid
from fastlstm.serialization import weights


class Head:
    """Dense layers with their activations, then the output layer. Most models have the output layer only.

    Attributes:
        output_weights: Weight [logits, inputs] and bias [logits] of the output layer, float32.
    """

    def __init__(self, config: ModelConfig, arrays: Mapping[str, FloatArray]) -> None:
        prefixes = [prefix for prefix, _, _ in weights.dense_layers(config)]
        self._dense = [
            (arrays[f"{prefix}.weight"], arrays[f"{prefix}.bias"], activation)
            for prefix, activation in zip(prefixes, config.dense_activations, strict=True)
        ]
        self.output_weights = (
            np.ascontiguousarray(arrays["output.weight"], np.float32),
            np.ascontiguousarray(arrays["output.bias"], np.float32),
        )

    @property
    def is_linear(self) -> bool:
        """Whether the head is the output layer alone."""
        return not self._dense

    @property
    def output_count(self) -> int:
        """The number of logits."""
        return len(self.output_weights[1])

    def __call__(self, features: FloatArray) -> FloatArray:
        """Return the logits [B, logits] of features [B, F], not divided by the temperature."""
        weight, bias = self.output_weights
        logits: FloatArray = row_matmul(self.dense(features), weight) + bias
        return logits

    def dense(self, features: FloatArray) -> FloatArray:
        """Return the input of the output layer, given features [B, F]."""
        for weight, bias, activation in self._dense:
            features = _activate(row_matmul(features, weight) + bias, activation)
        return features

    def gradient(self, features: FloatArray, direction: FloatArray) -> FloatArray:
        """Return the gradient [B, F] of logits @ `direction` [logits] with respect to features [B, F]."""
        slopes = []
        for weight, bias, activation in self._dense:
            features = _activate(features @ weight.T + bias, activation)
            slopes.append(_slope(features, activation))
        row: FloatArray = direction @ self.output_weights[0]
        gradient: FloatArray = np.repeat(row[None], len(features), axis=0)
        for (weight, _, _), slope in zip(reversed(self._dense), reversed(slopes), strict=True):
            gradient = np.matmul(gradient * slope, weight, dtype=np.float32)
        return gradient


def _activate(values: FloatArray, activation: str) -> FloatArray:
    if activation in ("relu", "tanh"):
        activated: FloatArray = np.maximum(values, np.float32(0)) if activation == "relu" else np.tanh(values)
        return activated
    return sigmoid(values) if activation == "sigmoid" else values


def _slope(outputs: FloatArray, activation: str) -> FloatArray:
    """Return the derivative of an activation, given its outputs."""
    if activation == "relu":
        return (outputs > 0).astype(np.float32)
    if activation == "tanh":
        return cast(FloatArray, 1 - outputs * outputs)
    return outputs * (1 - outputs) if activation == "sigmoid" else np.ones_like(outputs)
