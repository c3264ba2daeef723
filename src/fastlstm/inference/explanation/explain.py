"""One text's explanation: by integrated gradients, or by leaving tokens out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from fastlstm import weights
from fastlstm.inference.explanation.explanation import Explanation, Span, clauses
from fastlstm.inference.explanation.gradients import integrated_gradients
from fastlstm.inference.explanation.layers import Layers
from fastlstm.inference.network import Network, probabilities_of
from fastlstm.saved_model import SavedModel
from fastlstm.tokens import UNKNOWN_ID, Cut

FloatArray = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]
METHODS = ("gradients", "occlusion")


class Explainer:
    """What explains the answers of one model."""

    def __init__(self, model: SavedModel, network: Network, layers: Layers, kept: Callable[[Ids], Ids]) -> None:
        """`kept`: what the LSTM reads of a whole text's ids."""
        self._model, self._network, self._layers, self._kept = model, network, layers, kept
        self._sigmoid = weights.uses_sigmoid(model.config, len(model.labels))

    def __call__(self, cut: Cut, label: int | None, method: str) -> Explanation:
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

    def _gradients(self, cut: Cut, direction: FloatArray) -> tuple[FloatArray, float, float]:
        arrays, temperature = self._model.weights, np.float32(self._model.temperature)
        weight = (direction @ arrays["output.weight"] / temperature).astype(np.float32)
        bias = float(direction @ arrays["output.bias"] / temperature)
        found = integrated_gradients(self._layers, cut.ids[cut.read], weight)
        words = np.zeros(len(cut.ids), np.float32)
        words[cut.read] = found.words
        return words, found.start + bias, found.error

    def _spans(self, cut: Cut, moved: FloatArray, direction: FloatArray, method: str) -> tuple[Span, ...]:
        parts = clauses(cut)
        if method == "gradients":
            values = [float(moved[first:last].sum()) for first, last in parts]
        else:
            values = self._without(cut, parts, direction)
        return tuple(
            Span(cut.text[cut.places[first, 0] : cut.places[last - 1, 1]], first, last, value)
            for (first, last), value in zip(parts, values, strict=True)
        )

    def _without_each(self, cut: Cut, direction: FloatArray) -> FloatArray:
        parts = [(k, k + 1) for k in range(len(cut.ids))]
        return np.array(self._without(cut, parts, direction), np.float32)

    def _without(self, cut: Cut, parts: Sequence[tuple[int, int]], direction: FloatArray) -> list[float]:
        """What the logit falls when tokens are left out, for each part."""
        whole = [cut.ids, *(_left(cut.ids, first, last) for first, last in parts)]
        logits = self._network.logits([self._kept(ids) for ids in whole], whole) @ direction
        return [float(fall) for fall in logits[0] - logits[1:]]


def _left(ids: Ids, first: int, last: int) -> Ids:
    left = np.concatenate([ids[:first], ids[last:]])
    return left if len(left) else np.array([UNKNOWN_ID], np.int32)
