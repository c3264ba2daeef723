"""Token ids -> probabilities: the network's forward pass over packed batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastlstm import kernel, weights
from fastlstm.batches import Packed, packed
from fastlstm.config import ModelConfig
from fastlstm.kernel.reference import sigmoid, times

FloatArray = npt.NDArray[np.float32]


class Network:
    """A model's weights, ready to score token ids."""

    def __init__(
        self, config: ModelConfig, classes: int, arrays: Mapping[str, FloatArray], temperature: float
    ) -> None:
        self.config = config
        self.arrays = arrays
        self.temperature = np.float32(temperature)
        self.sigmoid = weights.uses_sigmoid(config, classes)

    def probabilities(self, texts: Sequence[npt.NDArray[np.int32]]) -> FloatArray:
        """[B, classes] for texts that are sorted by length, longest first. A row depends on its text alone."""
        logits = times(self._features(packed(texts)), self.arrays["output.weight"]) + self.arrays["output.bias"]
        return probabilities_of(logits / self.temperature, self.sigmoid)

    def _features(self, batch: Packed) -> FloatArray:
        """[B, features]: what pooling keeps of the last layer's outputs."""
        outputs: Any = self.arrays["embedding.weight"][batch.ids]
        last: list[Any] = []
        by_layer: dict[int, list[Any]] = {}
        for direction in weights.directions(self.config):
            inputs = outputs if direction.layer == 0 else np.concatenate(by_layer[direction.layer - 1], axis=1)
            h, h_n, _ = kernel.forward(
                inputs,
                batch.batch_sizes,
                *(self.arrays[f"{direction.prefix}.{name}"] for name in ("weight_ih", "weight_hh", "bias")),
                reverse=direction.reverse,
            )
            by_layer.setdefault(direction.layer, []).append(h)
            last = [*last, h_n] if direction.reverse else [h_n]
        return _pool(
            self.config.pooling,
            np.concatenate(by_layer[len(self.config.hidden_sizes) - 1], axis=1),
            np.concatenate(last, axis=1),
            batch.batch_sizes,
        )


def _pool(pooling: str, outputs: FloatArray, last: FloatArray, batch_sizes: npt.NDArray[np.int64]) -> FloatArray:
    """[B, features] from the outputs [N, H] of all steps and the last states [B, H]."""
    if pooling == "last":
        return last
    total, highest, steps = (
        np.zeros_like(last),
        np.full_like(last, -np.inf),
        np.zeros((len(last), 1), np.float32),
    )
    start = 0
    for running in batch_sizes:
        step = outputs[start : start + running]
        total[:running] += step
        steps[:running] += 1
        np.maximum(highest[:running], step, out=highest[:running])
        start += running
    pooled = {"mean": [total / steps], "max": [highest], "concat": [last, highest, total / steps]}
    return np.concatenate(pooled[pooling], axis=1)


def probabilities_of(logits: FloatArray, use_sigmoid: bool) -> FloatArray:
    """[B, classes] that sum to 1: sigmoid of one logit, of each scaled to sum 1, or softmax."""
    if not use_sigmoid:
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        result: FloatArray = exponentials / exponentials.sum(axis=1, keepdims=True)
        return result
    likely = sigmoid(logits)
    if logits.shape[1] == 1:
        return np.concatenate([1 - likely, likely], axis=1)
    likely = np.maximum(likely, np.finfo(np.float32).tiny)  # all classes refused still leaves a row to scale
    scaled: FloatArray = likely / likely.sum(axis=1, keepdims=True)
    return scaled
