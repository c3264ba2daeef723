"""Token ids -> probabilities: the network's forward pass over packed batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastlstm import weights
from fastlstm.batches import Packed, packed
from fastlstm.config import ModelConfig
from fastlstm.kernel import Direction
from fastlstm.kernel.reference import sigmoid, times

FloatArray = npt.NDArray[np.float32]

TABLE_BYTES = 128 << 20
"""Vocabularies whose projections take more than this are projected word by word as they come."""


class Network:
    """A model's weights, ready to score token ids."""

    def __init__(
        self, config: ModelConfig, classes: int, arrays: Mapping[str, FloatArray], temperature: float
    ) -> None:
        self._made_of = config, classes, arrays, temperature
        self.config = config
        self.arrays = arrays
        self.temperature = np.float32(temperature)
        self.sigmoid = weights.uses_sigmoid(config, classes)
        self._directions = [
            (spec, Direction(*(arrays[f"{spec.prefix}.{name}"] for name in ("weight_ih", "weight_hh", "bias"))))
            for spec in weights.directions(config)
        ]
        self._words = [Words(arrays["embedding.weight"], d) for spec, d in self._directions if spec.layer == 0]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled without the kernel and its packed weights, which another machine may lay out otherwise."""
        return Network, self._made_of

    def probabilities(self, texts: Sequence[npt.NDArray[np.int32]]) -> FloatArray:
        """[B, classes] for texts that are sorted by length, longest first. A row depends on its text alone."""
        logits = times(self._features(packed(texts)), self.arrays["output.weight"]) + self.arrays["output.bias"]
        return probabilities_of(logits / self.temperature, self.sigmoid)

    def _features(self, batch: Packed) -> FloatArray:
        """[B, features]: what pooling keeps of the last layer's outputs."""
        last: list[FloatArray] = []
        by_layer: dict[int, list[FloatArray]] = {}
        for k, (spec, direction) in enumerate(self._directions):
            if spec.layer == 0:
                projected, index = self._words[k].projected(batch.ids)
                read = direction.forward_projected(projected, index, batch.batch_sizes, reverse=spec.reverse)
            else:
                inputs = _side_by_side(by_layer[spec.layer - 1])
                read = direction.forward(inputs, batch.batch_sizes, reverse=spec.reverse)
            by_layer.setdefault(spec.layer, []).append(read[0])
            last = [*last, read[1]] if spec.reverse else [read[1]]
        outputs = _side_by_side(by_layer[len(self.config.hidden_sizes) - 1])
        return _pool(self.config.pooling, outputs, _side_by_side(last), batch.batch_sizes)


class Words:
    """What one direction of the first layer makes of every word before it reads any: W_ih e + b.

    A batch's words are projected once each. When as many have been as the vocabulary has, all of them are, for
    good: a table (of at most `TABLE_BYTES`) that later batches look up.
    """

    def __init__(self, embedding: FloatArray, direction: Direction) -> None:
        self._embedding = embedding
        self._direction = direction
        self._read = 0
        self._table: FloatArray | None = None

    def projected(self, ids: npt.NDArray[np.int32]) -> tuple[FloatArray, npt.NDArray[np.int32]]:
        """Projected rows, and for each of `ids` [N] which of them is its own."""
        if self._table is not None:
            return self._table, ids
        distinct, index = np.unique(ids, return_inverse=True)
        rows = self._direction.project(self._embedding[distinct])
        self._read += len(distinct)
        if self._read >= len(self._embedding) and rows[:1].nbytes * len(self._embedding) <= TABLE_BYTES:
            self._table = self._direction.project(self._embedding)
        return rows, index.astype(np.int32)


def _side_by_side(parts: Sequence[FloatArray]) -> FloatArray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


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
