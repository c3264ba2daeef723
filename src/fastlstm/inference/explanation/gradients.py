"""Integrated gradients of one text, through the layers' own backward pass.

Sundararajan, Taly & Yan (2017), "Axiomatic Attribution for Deep Networks": on the straight way from word vectors of zero
to those of the text, the gradient by each, times the vector. What the words get sums to what the logit moves in all.

The first layer reads words by W_ih x alone, which is linear. So the way is one of projected words, and neither it nor the
way back multiplies by W_ih at every point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastlstm.inference.explanation.layers import Layers

FloatArray = npt.NDArray[np.float32]

POINTS = (8, 16, 32, 64, 128, 256)
"""Points of the way at which gradients are taken: more, until the sum is right."""
TOLERANCE = 0.01
"""What the sum may be off, as a share of what the logit moves, and of 1 where it moves less."""
TOGETHER = 1 << 22
"""Units' states that are kept at a time: points are read side by side up to that."""


@dataclass(frozen=True)
class Attribution:
    """`words` [T], what each moved; `start` and `end`, the logit of word vectors of zero and of the text's."""

    words: FloatArray
    start: float
    end: float

    @property
    def error(self) -> float:
        """What the words' sum is off, in logits."""
        return float(abs(self.words.sum() - (self.end - self.start)))


def integrated_gradients(
    layers: Layers, ids: npt.NDArray[np.int32], weight: FloatArray, points: int | None = None
) -> Attribution:
    """What each token moved `weight` [F] times the features.

    `points`: how many to take; as many of `POINTS` as the sum needs where None.
    """
    words = layers.words(ids)
    directions = layers.first
    zeros = [direction.project(np.zeros((1, words.shape[1]), np.float32)) for direction in directions]
    moved = [direction.project(words) - zero for direction, zero in zip(directions, zeros, strict=True)]
    by_words = [words @ direction.weight_ih.T for direction in directions]

    def at(shares: npt.NDArray[np.float64]) -> list[FloatArray]:
        """The projected rows of the way's points, of each token all points."""
        of = shares.astype(np.float32)[None, :, None]
        return [
            (zero + of * step[:, None]).reshape(-1, step.shape[1]) for zero, step in zip(zeros, moved, strict=True)
        ]

    ends = layers.features(layers.forward(at(np.array([0.0, 1.0])), 2), 2) @ weight
    start, end = float(ends[0]), float(ends[1])

    def along(count: int) -> Attribution:
        nodes, shares = np.polynomial.legendre.leggauss(count)
        nodes, shares = (nodes + 1) / 2, shares / 2
        total = np.zeros(len(ids), np.float64)
        units = sum(direction.of.hidden_size for direction in directions)
        together = max(1, TOGETHER // (units * len(ids)))
        for first in range(0, count, together):
            some = slice(first, first + together)
            readings = len(nodes[some])
            done = layers.forward(at(nodes[some]), readings)
            of_readings = shares[some].astype(np.float32)
            gradients = layers.backward(done, readings, of_readings[:, None] * weight)
            for gradient, word in zip(gradients, by_words, strict=True):
                mean = gradient.reshape(len(ids), readings, -1).sum(axis=1)
                total += np.einsum("tg,tg->t", mean, word, dtype=np.float64)
        return Attribution(total.astype(np.float32), start, end)

    if points is not None:
        return along(points)
    for count in POINTS:
        found = along(count)
        if found.error <= TOLERANCE * max(1.0, abs(end - start)):
            break
    return found
