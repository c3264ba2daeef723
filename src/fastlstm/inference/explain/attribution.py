"""One text's explanation: by integrated gradients, or by leaving tokens out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from fastlstm._typing import FloatArray, TokenIds
from fastlstm.inference.explain.explanation import Explanation, Span, clauses
from fastlstm.inference.explain.layers import Layers
from fastlstm.inference.network import Network, probabilities_of
from fastlstm.serialization import weights
from fastlstm.serialization.classifier import SavedModel
from fastlstm.text.tokenizer import UNKNOWN_ID, Truncation

POINTS = (16, 32, 64, 128, 256)
"""Points of the way, its ends among them, at which gradients are taken: more, until the sum is right."""
MAX_TOKENS_PER_PASS = 1 << 15
"""Tokens times points, beyond which no more are taken, whatever the sum is off: a long text that says the same over
and over would need seconds."""
COMPLETENESS_TOLERANCE = 0.01
"""What the sum may be off, as a share of what the logit moves, and of 1 where it moves less."""
PASSES_PER_BATCH = 1 << 22
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
    together = max(1, PASSES_PER_BATCH // (units * len(ids)))

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
        right = found.error <= COMPLETENESS_TOLERANCE * max(1.0, abs(found.end - found.start))
        if right or count * len(ids) > MAX_TOKENS_PER_PASS:
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


METHODS = ("gradients", "occlusion")


class Explainer:
    """What explains the answers of one model."""

    def __init__(
        self, model: SavedModel, network: Network, layers: Layers, kept: Callable[[TokenIds], TokenIds]
    ) -> None:
        """`kept`: what the LSTM reads of a whole text's ids."""
        self._model, self._network, self._layers, self._kept = model, network, layers, kept
        self._sigmoid = weights.uses_sigmoid(model.config, len(model.labels))

    def __call__(self, cut: Truncation, label: int | None, method: str) -> Explanation:
        """`label`: the class whose logit it is about; the most likely one where None."""
        logits = self._network.logits([cut.ids[cut.read]], [cut.ids])
        probabilities = probabilities_of(logits, self._sigmoid)[0]
        of = int(probabilities.argmax()) if label is None else label
        direction = self._direction(of, logits.shape[1])
        if method == "gradients":
            words, start, error = self._gradients(cut, direction)
            evidence = (self._network.evidence(cut.ids) @ direction).astype(np.float32)
        else:
            words, evidence = self._without_each(cut, direction), np.zeros(len(cut.ids), np.float32)
            start, error = float(logits[0] @ direction), 0.0
        return Explanation(
            text=cut.text,
            tokens=cut.tokens,
            places=cut.places,
            read=cut.read,
            label=self._model.labels[of],
            probability=float(probabilities[of]),
            probabilities=dict(zip(self._model.labels, map(float, probabilities), strict=True)),
            method=method,
            words=words,
            evidence=evidence,
            start=start,
            logit=float(logits[0] @ direction),
            error=error,
            spans=self._spans(cut, words + evidence, direction, method),
        )

    def _direction(self, label: int, logits: int) -> FloatArray:
        """[logits] how a class's own logit is made of the model's."""
        if logits == 1:
            return np.array([1.0 if label else -1.0], np.float32)
        direction = np.zeros(logits, np.float32)
        if not self._sigmoid:  # a softmax sees differences alone: the logit above the mean of all
            direction -= np.float32(1 / logits)
        direction[label] += 1
        return direction

    def _gradients(self, cut: Truncation, direction: FloatArray) -> tuple[FloatArray, float, float]:
        arrays, temperature = self._model.weights, np.float32(self._model.temperature)
        weight = (direction @ arrays["output.weight"] / temperature).astype(np.float32)
        bias = float(direction @ arrays["output.bias"] / temperature)
        found = integrated_gradients(self._layers, cut.ids[cut.read], weight)
        words = np.zeros(len(cut.ids), np.float32)
        words[cut.read] = found.words
        return words, found.start + bias, found.error

    def _spans(self, cut: Truncation, moved: FloatArray, direction: FloatArray, method: str) -> tuple[Span, ...]:
        parts = clauses(cut)
        if method == "gradients":
            values = [float(moved[first:last].sum()) for first, last in parts]
        else:
            values = self._without(cut, parts, direction)
        return tuple(
            Span(cut.text[cut.places[first, 0] : cut.places[last - 1, 1]], first, last, value)
            for (first, last), value in zip(parts, values, strict=True)
        )

    def _without_each(self, cut: Truncation, direction: FloatArray) -> FloatArray:
        parts = [(k, k + 1) for k in range(len(cut.ids))]
        return np.array(self._without(cut, parts, direction), np.float32)

    def _without(self, cut: Truncation, parts: Sequence[tuple[int, int]], direction: FloatArray) -> list[float]:
        """What the logit falls when tokens are left out, for each part."""
        whole = [cut.ids, *(_left(cut.ids, first, last) for first, last in parts)]
        logits = self._network.logits([self._kept(ids) for ids in whole], whole) @ direction
        return [float(fall) for fall in logits[0] - logits[1:]]


def _left(ids: TokenIds, first: int, last: int) -> TokenIds:
    left = np.concatenate([ids[:first], ids[last:]])
    return left if len(left) else np.array([UNKNOWN_ID], np.int32)
