"""Token attributions: integrated gradients and occlusion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from fastlstm._typing import FloatArray, TokenIds
from fastlstm.inference.explain.explanation import Clause, Explanation, split_clauses
from fastlstm.inference.explain.layers import Layers
from fastlstm.inference.head import Head
from fastlstm.inference.network import EMPTY_TEXT_ID, Network, probabilities_of, reads_empty_texts_as_zeros
from fastlstm.serialization import weights
from fastlstm.serialization.classifier import SavedModel
from fastlstm.text.tokenizer import PADDING_ID, UNKNOWN_ID, AlignedTokens

METHODS = ("gradients", "occlusion")
POINT_COUNTS = (16, 32, 64, 128, 256)
"""Quadrature points. The next count is tried until the attributions sum to the change of the logit."""
MAX_TOKEN_POINTS = 1 << 15
"""Tokens times quadrature points. Limits the time for long, repetitive texts, which would need many points."""
COMPLETENESS_TOLERANCE = 0.01
"""Accepted error of the sum, relative to the change of the logit or to 1, whichever is larger."""
MAX_STATES_PER_BATCH = 1 << 22
"""Tokens times points times units that are computed at once."""


@dataclass(frozen=True)
class Attribution:
    """The result of `integrated_gradients`.

    Attributes:
        attributions: float32 [T], contribution of each token.
        baseline_logit: The logit of word vectors of zero.
        logit: The logit of the text.
    """

    attributions: FloatArray
    baseline_logit: float
    logit: float

    @property
    def error(self) -> float:
        """Difference between the sum of the attributions and the change of the logit."""
        return float(abs(self.attributions.sum() - (self.logit - self.baseline_logit)))


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


def integrated_gradients(
    layers: Layers, ids: TokenIds, weight: FloatArray | HeadReadout, points: int | None = None
) -> Attribution:
    """Return each token's attribution for the logit `weight` [F] @ features.

    Sundararajan, Taly & Yan (2017), with word vectors of zero as the baseline.

    Args:
        layers: The LSTM layers.
        ids: The token ids of the text.
        weight: The weight of each feature, or the logit as a function of the features.
        points: Quadrature points; default: as many of `POINT_COUNTS` as the tolerance needs.
    """
    vectors = layers.embed(ids)
    baselines = [direction.project(np.zeros((1, vectors.shape[1]), np.float32)) for direction in layers.first]
    steps = [
        direction.project(vectors) - baseline for direction, baseline in zip(layers.first, baselines, strict=True)
    ]
    vector_projections = [vectors @ direction.weight_ih.T for direction in layers.first]
    units = sum(direction.spec.hidden_size for direction in layers.first)
    batch_points = max(1, MAX_STATES_PER_BATCH // (units * len(ids)))

    def integrate(count: int) -> Attribution:
        nodes, node_weights = lobatto(count)
        total, logits = np.zeros(len(ids), np.float64), []
        for start in range(0, count, batch_points):
            batch_nodes = nodes[start : start + batch_points, None]
            batch_weights = node_weights[start : start + batch_points, None]
            projected = [
                (baseline + batch_nodes * step[:, None]).reshape(-1, step.shape[1])
                for baseline, step in zip(baselines, steps, strict=True)
            ]
            passes = layers.forward(projected, len(batch_nodes))
            features = layers.features(passes, len(batch_nodes))
            if isinstance(weight, HeadReadout):
                logits.append(weight.value(features))
                gradient = weight.gradient(features)
            else:
                logits.append(features @ weight)
                gradient = weight
            gradients = layers.backward(passes, len(batch_nodes), batch_weights * gradient)
            for grad_projected, projection in zip(gradients, vector_projections, strict=True):
                mean = grad_projected.reshape(len(ids), len(batch_nodes), -1).sum(axis=1)
                total += np.einsum("tg,tg->t", mean, projection, dtype=np.float64)
        return Attribution(total.astype(np.float32), float(logits[0][0]), float(logits[-1][-1]))

    if points is not None:
        return integrate(points)
    result = integrate(POINT_COUNTS[0])
    for count in POINT_COUNTS[1:]:
        tolerance = COMPLETENESS_TOLERANCE * max(1.0, abs(result.logit - result.baseline_logit))
        if result.error <= tolerance or count * len(ids) > MAX_TOKEN_POINTS:
            break
        result = integrate(count)
    return result


@cache
def lobatto(count: int) -> tuple[FloatArray, FloatArray]:
    """Return the nodes and weights of Gauss-Lobatto quadrature on [0, 1], both ends included.

    `count` is at least 2. Abramowitz & Stegun (1964), 25.4.32.
    """
    basis = np.polynomial.legendre.Legendre.basis(count - 1)
    nodes = np.concatenate([[-1.0], basis.deriv().roots().real, [1.0]])
    node_weights = 1 / (count * (count - 1) * basis(nodes) ** 2)  # half of the weights on [-1, 1]
    return ((nodes + 1) / 2).astype(np.float32), node_weights.astype(np.float32)


class Explainer:
    """Explains the predictions of one model."""

    def __init__(
        self, saved: SavedModel, network: Network, layers: Layers, truncate: Callable[[TokenIds], TokenIds]
    ) -> None:
        """`network` computes in float32. `truncate` maps the token ids of a text to those that the LSTM reads."""
        self._saved, self._network, self._layers, self._truncate = saved, network, layers, truncate
        self._use_sigmoid = weights.uses_sigmoid(saved.config, len(saved.labels))

    def __call__(
        self, text: AlignedTokens, known: float, label: int, method: str, *, has_label: bool
    ) -> Explanation:
        """Return the explanation of the class with index `label`.

        Args:
            text: The text.
            known: The fraction of known tokens.
            label: Index of the class to explain.
            method: One of `METHODS`.
            has_label: Whether the class is also the `label` of the explanation.
        """
        logits = self._network.logits([text.ids[text.used]], [text.ids])
        probabilities = probabilities_of(logits, self._use_sigmoid)[0]
        direction = self._class_direction(label, logits.shape[1])
        if method == "gradients":
            lstm, baseline_logit, error = self._gradients(text, direction)
            ngrams = (self._network.token_ngram_logits(text.ids) @ direction).astype(np.float32)
        else:
            lstm, ngrams = self._occlude_tokens(text, direction), np.zeros(len(text.ids), np.float32)
            baseline_logit, error = float(logits[0] @ direction), 0.0
        return Explanation(
            text=text.text,
            tokens=text.tokens,
            char_spans=text.char_spans,
            used=text.used,
            known=known,
            known_tokens=(text.ids != UNKNOWN_ID) & (text.ids != PADDING_ID),
            label=self._saved.labels[label] if has_label else None,
            explained_label=self._saved.labels[label],
            probability=float(probabilities[label]),
            probabilities=dict(zip(self._saved.labels, map(float, probabilities), strict=True)),
            method=method,
            lstm=lstm,
            ngrams=ngrams,
            baseline_logit=baseline_logit,
            logit=float(logits[0] @ direction),
            error=error,
            clauses=self._clauses(text, lstm + ngrams, direction, method),
        )

    def _class_direction(self, label: int, logits: int) -> FloatArray:
        """Return the weights [logits] that give the class's own logit from the model's logits."""
        if logits == 1:
            return np.array([1.0 if label else -1.0], np.float32)
        direction = np.zeros(logits, np.float32)
        if not self._use_sigmoid:  # a softmax depends on differences only: subtract the mean of all logits
            direction -= np.float32(1 / logits)
        direction[label] += 1
        return direction

    def _gradients(self, text: AlignedTokens, direction: FloatArray) -> tuple[FloatArray, float, float]:
        """Return the attributions [T], the baseline logit and the error."""
        if self._is_empty(text.ids):
            features = np.zeros((1, weights.feature_size(self._saved.config)), np.float32)
            logit = float(self._network.output_layer(features, None)[0] @ direction)
            return np.zeros(len(text.ids), np.float32), logit, 0.0
        arrays, temperature = self._saved.weights, np.float32(self._saved.temperature)
        head = self._network.head
        if head.is_linear:
            weight = (direction @ arrays["output.weight"] / temperature).astype(np.float32)
            bias = float(direction @ arrays["output.bias"] / temperature)
            result = integrated_gradients(self._layers, text.ids[text.used], weight)
        else:
            readout, bias = HeadReadout(head, direction / temperature), 0.0
            result = integrated_gradients(self._layers, text.ids[text.used], readout)
        attributions = np.zeros(len(text.ids), np.float32)
        attributions[text.used] = result.attributions
        return attributions, result.baseline_logit + bias, result.error

    def _is_empty(self, ids: TokenIds) -> bool:
        """Return whether a text has no tokens, and its features are zeros."""
        return bool(ids[0] == EMPTY_TEXT_ID) and reads_empty_texts_as_zeros(self._saved.config)

    def _clauses(
        self, text: AlignedTokens, attributions: FloatArray, direction: FloatArray, method: str
    ) -> tuple[Clause, ...]:
        ranges = split_clauses(text)
        if method == "gradients":
            values = [float(attributions[start:end].sum()) for start, end in ranges]
        else:
            values = self._occlude(text, ranges, direction)
        return tuple(
            Clause(text.text[text.char_spans[start, 0] : text.char_spans[end - 1, 1]], start, end, value)
            for (start, end), value in zip(ranges, values, strict=True)
        )

    def _occlude_tokens(self, text: AlignedTokens, direction: FloatArray) -> FloatArray:
        ranges = [(k, k + 1) for k in range(len(text.ids))]
        return np.array(self._occlude(text, ranges, direction), np.float32)

    def _occlude(
        self, text: AlignedTokens, ranges: Sequence[tuple[int, int]], direction: FloatArray
    ) -> list[float]:
        """Return, for each range of tokens, by how much the logit falls without them."""
        empty = EMPTY_TEXT_ID if reads_empty_texts_as_zeros(self._saved.config) else UNKNOWN_ID
        variants = [text.ids, *(_remove(text.ids, start, end, empty) for start, end in ranges)]
        logits = self._network.logits([self._truncate(ids) for ids in variants], variants) @ direction
        return [float(difference) for difference in logits[0] - logits[1:]]


def _remove(ids: TokenIds, start: int, end: int, empty: int) -> TokenIds:
    """Return the ids without a range; if none remain, the single id `empty`."""
    rest = np.concatenate([ids[:start], ids[end:]])
    return rest if len(rest) else np.array([empty], np.int32)
