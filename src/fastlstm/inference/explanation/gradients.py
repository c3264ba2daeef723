"""Integrated gradients of one text, through the layers' own backward pass.

Sundararajan, Taly & Yan (2017), "Axiomatic Attribution for Deep Networks": on the straight way from word vectors of
zero to those of the text, the mean gradient by each, times the vector. These sum to what the logit moves.

The first layer reads words by W_ih x alone, which is linear. So the way is one of projected words, and neither it
nor the way back multiplies by W_ih at every point.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from fastlstm.inference.explanation.layers import Layers

FloatArray = npt.NDArray[np.float32]

POINTS = (16, 32, 64, 128, 256)
"""Points of the way, its ends among them, at which gradients are taken: more, until the sum is right."""
MOST_READ = 1 << 15
"""Tokens times points, beyond which no more are taken, whatever the sum is off: a long text that says the same over
and over would need seconds."""
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
    zeros = [direction.project(np.zeros((1, words.shape[1]), np.float32)) for direction in layers.first]
    moved = [direction.project(words) - zero for direction, zero in zip(layers.first, zeros, strict=True)]
    by_words = [words @ direction.weight_ih.T for direction in layers.first]
    units = sum(direction.of.hidden_size for direction in layers.first)
    together = max(1, TOGETHER // (units * len(ids)))

    def along(count: int) -> Attribution:
        nodes, shares = lobatto(count)
        total, logits = np.zeros(len(ids), np.float64), []
        for first in range(0, count, together):
            at, share = nodes[first : first + together, None], shares[first : first + together, None]
            projected = [
                (zero + at * step[:, None]).reshape(-1, step.shape[1])
                for zero, step in zip(zeros, moved, strict=True)
            ]
            done = layers.forward(projected, len(at))
            logits.append(layers.features(done, len(at)) @ weight)
            for gradient, word in zip(layers.backward(done, len(at), share * weight), by_words, strict=True):
                mean = gradient.reshape(len(ids), len(at), -1).sum(axis=1)
                total += np.einsum("tg,tg->t", mean, word, dtype=np.float64)
        return Attribution(total.astype(np.float32), float(logits[0][0]), float(logits[-1][-1]))

    if points is not None:
        return along(points)
    found = along(POINTS[0])
    for count in POINTS[1:]:
        right = found.error <= TOLERANCE * max(1.0, abs(found.end - found.start))
        if right or count * len(ids) > MOST_READ:
            break
        found = along(count)
    return found


@cache
def lobatto(count: int) -> tuple[FloatArray, FloatArray]:
    """Nodes in 0..1, both ends among them, rising, and weights of Gauss-Lobatto quadrature; `count` at least 2.

    Abramowitz & Stegun (1964), 25.4.32.
    """
    basis = np.polynomial.legendre.Legendre.basis(count - 1)
    nodes = np.concatenate([[-1.0], basis.deriv().roots().real, [1.0]])
    shares = 1 / (count * (count - 1) * basis(nodes) ** 2)  # halved, since 0..1 is half as long as -1..1
    return ((nodes + 1) / 2).astype(np.float32), shares.astype(np.float32)
