"""The straight path from word vectors of zero to those of a text: a logit and its derivative at points of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastlstm._typing import DoubleArray, FloatArray, TokenIds
from fastlstm.inference.explain.layers import Layers
from fastlstm.inference.head import Head

MAX_STATES_PER_BATCH = 1 << 22
"""Tokens times points times units that are computed at once."""


@dataclass(frozen=True)
class HeadReadout:
    """The logit of one class as a function of the features, for a model with dense layers."""

    head: Head
    direction: FloatArray

    def value(self, features: FloatArray) -> FloatArray:
        """Return the logit [B] of features [B, F]."""
        logits: FloatArray = self.head(features) @ self.direction
        return logits

    def gradient(self, features: FloatArray) -> FloatArray:
        """Return its gradient [B, F]."""
        return self.head.gradient(features, self.direction)


@dataclass(frozen=True)
class LinearReadout:
    """The logit of one class as a function of the features: `weight` [F] @ features."""

    weight: FloatArray

    def value(self, features: FloatArray) -> FloatArray:
        """Return the logit [B] of features [B, F]."""
        logits: FloatArray = np.einsum("bf,f->b", features, self.weight)  # without threads of BLAS
        return logits

    def gradient(self, features: FloatArray) -> FloatArray:
        """Return its gradient [B, F]."""
        gradient: FloatArray = np.broadcast_to(self.weight, features.shape)
        return gradient


class StraightPath:
    """The word vectors of a text of T tokens, times a factor from 0 to 1, which is a point of the path.

    The projection of the first layer is linear, so the text is projected once for all points.
    """

    def __init__(self, layers: Layers, ids: TokenIds, readout: LinearReadout | HeadReadout) -> None:
        """Project the text of `ids` [T]. `readout` is the logit as a function of the layers' features."""
        self._layers, self._readout, self._tokens = layers, readout, len(ids)
        # Nothing here uses BLAS for large products: its threads compete with those of the kernel for a while.
        vectors = layers.embed(ids)
        self._lines, self._steps = [], []
        for direction in layers.first:
            baseline = direction.project(np.zeros((1, vectors.shape[1]), np.float32))
            step = direction.project(vectors) - baseline
            self._lines.append(np.stack([np.broadcast_to(baseline, step.shape), step], axis=1))
            self._steps.append(direction.unpack_gates(step))
        units = sum(direction.spec.hidden_size for direction in layers.first)
        self._batch_points = max(1, MAX_STATES_PER_BATCH // (units * len(ids)))

    def evaluate(self, points: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
        """Return the logit at each point [P], and its derivative by the factor of each token alone [P, T]."""
        batches = [
            self._evaluate_batch(points[start : start + self._batch_points].astype(np.float32))
            for start in range(0, len(points), self._batch_points)
        ]
        return np.concatenate([logits for logits, _ in batches]), np.concatenate([rates for _, rates in batches])

    def _evaluate_batch(self, points: FloatArray) -> tuple[DoubleArray, DoubleArray]:
        layers, count = self._layers, len(points)
        passes = layers.forward([self._rows(line, points) for line in self._lines], count)
        features = layers.features(passes, count)
        gradients = layers.backward(passes, count, self._readout.gradient(features))
        rates = np.zeros((count, self._tokens))
        for gradient, step in zip(gradients, self._steps, strict=True):
            rates += np.einsum("tpg,tg->pt", gradient.reshape(self._tokens, count, -1), step)
        return self._readout.value(features).astype(np.float64), rates

    def _rows(self, line: FloatArray, points: FloatArray) -> FloatArray:
        """Return the projected rows of all points: for each token in order, its points."""
        tokens, width = len(line), line.shape[2]
        rows = self._layers.allocate(tokens * len(points), width)
        factors = np.stack([np.ones_like(points), points], axis=1)
        np.matmul(factors, line, out=rows.reshape(tokens, len(points), width))  # one pass; too small for threads
        return rows
