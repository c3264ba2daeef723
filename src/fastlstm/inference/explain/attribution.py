"""Token attributions: integrated gradients and occlusion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fastlstm._typing import DoubleArray, FloatArray, TokenIds
from fastlstm.inference.explain.explanation import Clause, Explanation, split_clauses
from fastlstm.inference.explain.layers import Layers
from fastlstm.inference.explain.path import HeadReadout, LinearReadout, StraightPath
from fastlstm.inference.explain.quadrature import first_points, interval_weights, points_between
from fastlstm.inference.features import EMPTY_TEXT_ID, reads_empty_texts_as_zeros
from fastlstm.inference.network import Network
from fastlstm.serialization import weights
from fastlstm.serialization.classifier import SavedModel
from fastlstm.text.tokenizer import PADDING_ID, UNKNOWN_ID, AlignedTokens

METHODS = ("gradients", "occlusion")
FIRST_POINTS = 12
"""Points of the first batch, which suffice for most texts."""
ADDED_POINTS = 6
"""Points of each further batch, where the error is largest."""
MAX_POINTS = 256
MAX_TOKEN_POINTS = 1 << 15
"""Tokens times points. Limits the time for long, repetitive texts, which would need many points."""
COMPLETENESS_TOLERANCE = 0.01
"""Accepted error of the sum, relative to the change of the logit or to 1, whichever is larger."""
INTERVALS_TOLERANCE = 0.06
"""The same for the sum of the absolute errors between points, so that they do not only cancel each other."""


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


def integrated_gradients(
    layers: Layers, ids: TokenIds, readout: LinearReadout | HeadReadout, points: DoubleArray | None = None
) -> Attribution:
    """Return each token's attribution for the logit that `readout` computes from the features.

    Sundararajan, Taly & Yan (2017), with word vectors of zero as the baseline. The logits of two neighbouring points
    give the exact sum of the attributions between them, so points are added where the computed sum differs.

    Args:
        layers: The LSTM layers.
        ids: The token ids of the text.
        readout: The logit as a function of the features.
        points: Fixed points from 0 to 1, at least 3; default: as many as the tolerances need.
    """
    path = StraightPath(layers, ids, readout)
    nodes = first_points(FIRST_POINTS) if points is None else points
    logits, rates = path.evaluate(nodes)
    while True:
        weights = interval_weights(nodes)
        errors = weights @ rates.sum(axis=1) - np.diff(logits)
        if points is not None or _is_accurate(errors, logits) or not _may_add(len(nodes), len(ids)):
            break
        added = points_between(nodes, errors, ADDED_POINTS)
        if not len(added):
            break
        added_logits, added_rates = path.evaluate(added)
        order = np.argsort(np.concatenate([nodes, added]))
        nodes = np.concatenate([nodes, added])[order]
        logits, rates = np.concatenate([logits, added_logits])[order], np.concatenate([rates, added_rates])[order]
    attributions = weights.sum(axis=0) @ rates
    return Attribution(attributions.astype(np.float32), float(logits[0]), float(logits[-1]))


def _is_accurate(errors: DoubleArray, logits: DoubleArray) -> bool:
    scale = max(1.0, abs(logits[-1] - logits[0]))
    return bool(
        abs(errors.sum()) <= COMPLETENESS_TOLERANCE * scale and np.abs(errors).sum() <= INTERVALS_TOLERANCE * scale
    )


def _may_add(points: int, tokens: int) -> bool:
    points += ADDED_POINTS
    return points <= MAX_POINTS and points * tokens <= MAX_TOKEN_POINTS


class Explainer:
    """Explains the predictions of one model."""

    def __init__(
        self, saved: SavedModel, network: Network, layers: Layers, truncate: Callable[[TokenIds], TokenIds]
    ) -> None:
        """`network` computes in float32. `truncate` maps the token ids of a text to those that the LSTM reads."""
        self._saved, self._network, self._layers, self._truncate = saved, network, layers, truncate
        self._use_sigmoid = weights.uses_sigmoid(saved.config, len(saved.labels))

    def __call__(
        self,
        text: AlignedTokens,
        known: float,
        choose: Callable[[FloatArray], int],
        method: str,
        *,
        has_label: bool,
    ) -> Explanation:
        """Return the explanation of one class.

        Args:
            text: The text.
            known: The fraction of known tokens.
            choose: Returns the index of the class to explain, given the probabilities [1, classes] in float32.
            method: One of `METHODS`.
            has_label: Whether the class is also the `label` of the explanation.
        """
        logits = self._network.logits([text.ids[text.used]], [text.ids])
        probabilities = self._network.to_probabilities(logits)
        label = choose(probabilities)
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
            probability=float(probabilities[0, label]),
            probabilities=dict(zip(self._saved.labels, map(float, probabilities[0]), strict=True)),
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
            readout: LinearReadout | HeadReadout = LinearReadout(weight)
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
