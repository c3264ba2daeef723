"""Probabilities that can be believed: logits are rescaled so that validation texts find theirs likely.

Guo et al. (2017), "On Calibration of Modern Neural Networks": one temperature that divides all logits, or vector
scaling, a scale and a bias for each class. Both minimise the log loss of the probabilities that users get.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_expit, log_softmax

from fastlstm._typing import DoubleArray, FloatArray, IndexArray
from fastlstm.config import ThresholdMetric
from fastlstm.metrics import MIN_PROBABILITY
from fastlstm.training.linear import Wide


def log_probabilities(logits: DoubleArray, sigmoid: bool) -> DoubleArray:
    """[n, classes] logarithms of the probabilities that inference gives for these logits [n, logits]."""
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    elif sigmoid:  # each one's sigmoid, scaled to sum 1
        logits = log_expit(logits)
    result: DoubleArray = log_softmax(logits, axis=1)
    return result


def class_targets(truth: IndexArray, classes: int) -> DoubleArray:
    """[n, classes] what the probabilities should be: nearly 1 for the truth.

    As if one more text had been seen, of the other classes (Platt 1999): however well validation goes, a finite
    number of texts makes nothing certain, and texts without a mistake still give a finite temperature.
    """
    wrong = 1 / (len(truth) + 2)
    class_targets = np.full((len(truth), classes), wrong / (classes - 1))
    class_targets[np.arange(len(truth)), truth] = 1 - wrong
    return class_targets


MAX_SCALE = 20.0
PRIOR_SCALE = 0.5
"""Where a share begins, and stays where there are no texts to tell otherwise: both parts count half."""
PRIOR_STRENGTH = 4.0
"""How many nats it costs, over all texts, to move a share away from it by one: few texts can't move it far."""


@dataclass(frozen=True)
class Blend:
    """Logits are `lstm` times the LSTM's and `wide` times the wide part's."""

    lstm: float = 1.0
    wide: float = 1.0

    def apply(self, logits: FloatArray, evidence: FloatArray) -> FloatArray:
        """[n, logits] of the two parts' [n, logits]."""
        mixed: FloatArray = np.float32(self.lstm) * logits + np.float32(self.wide) * evidence
        return mixed

    def folded(self, arrays: Mapping[str, FloatArray], wide: Wide) -> dict[str, FloatArray]:
        """The model's weights, the wide part's among them, with the blend in both."""
        lstm, share = np.float32(self.lstm), np.float32(self.wide)
        return {
            **arrays,
            "output.weight": arrays["output.weight"] * lstm,
            "output.bias": arrays["output.bias"] * lstm + wide.bias * share,
            "wide.weight": wide.weight * share,
        }


def fit_blend(logits: FloatArray, evidence: FloatArray, truth: IndexArray, *, sigmoid: bool) -> Blend:
    """The two shares, from 0 to `MAX_SCALE`, that validation texts ask for: of few texts, near the usual ones.

    Args:
        logits: [n, logits] of the LSTM.
        evidence: [n, logits] of the wide part, its bias included.
        truth: [n] the index of each text's class.
        sigmoid: whether probabilities are those of a sigmoid.
    """
    parts = logits.astype(np.float64), evidence.astype(np.float64)
    expected = class_targets(truth, max(logits.shape[1], 2))

    def loss(shares: npt.NDArray[np.float64]) -> float:
        mixed = shares[0] * parts[0] + shares[1] * parts[1]
        moved = PRIOR_STRENGTH * float(((shares - PRIOR_SCALE) ** 2).sum())
        return (moved - float((expected * log_probabilities(mixed, sigmoid)).sum())) / len(truth)

    found = minimize(
        loss, [PRIOR_SCALE, PRIOR_SCALE], method="Nelder-Mead", bounds=[(0, MAX_SCALE)] * 2, options={"xatol": 1e-4}
    )
    lstm, wide = (float(f"{share:.4g}") for share in found.x)
    return Blend(lstm, wide)


DEFAULT_THRESHOLD = 0.5


def best_threshold(
    probabilities: npt.NDArray[np.float32], truth: npt.NDArray[np.int64], metric: ThresholdMetric
) -> float:
    """The threshold in 0..1 with the best value of `metric`.

    All thresholds between two neighbouring probabilities predict the same; of them the middle stands for all, and
    0.5 where it is among them. Of equally good ones the nearest to 0.5 is taken, of two such the lower.
    0.5 for the metric "none", and where the texts are of one class only.

    Args:
        probabilities: [n] that each text is of the second class.
        truth: [n] 0 or 1, each text's class.
        metric: "accuracy", "balanced-accuracy", "f1" of the second class, "macro-f1" of both, or "none".
    """
    positives = int(truth.sum())
    if metric == "none" or positives in (0, len(truth)):
        return DEFAULT_THRESHOLD
    order = np.argsort(probabilities, kind="stable")
    in_order, of_second = probabilities[order], np.concatenate([[0], np.cumsum(truth[order])])
    ends = np.unique(np.append(in_order, np.float32(1)))  # at 1, all are of the first class but those at 1
    thresholds = _between(np.append(np.float32(0), ends[:-1]), ends)
    below = np.searchsorted(in_order, thresholds)  # texts that each threshold leaves to the first class
    false_negative = of_second[below].astype(np.float64)
    true_negative = below - false_negative
    scores = METRICS[metric](
        positives - false_negative, len(truth) - positives - true_negative, false_negative, true_negative
    )
    best = np.flatnonzero(scores >= scores.max() - 1e-12)
    nearest = best[np.argmin(np.abs(thresholds[best].astype(np.float64) - DEFAULT_THRESHOLD))]
    return float(thresholds[nearest])


def _between(lower: npt.NDArray[np.float32], upper: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Thresholds above `lower` and at most `upper`, which float32 may leave no room between: 0.5, or the middle."""
    middle = ((lower.astype(np.float64) + upper) / 2).astype(np.float32)
    middle = np.where(middle > lower, middle, upper)
    return np.where(
        (lower < DEFAULT_THRESHOLD) & (upper >= DEFAULT_THRESHOLD), np.float32(DEFAULT_THRESHOLD), middle
    )


def _accuracy(tp: DoubleArray, fp: DoubleArray, fn: DoubleArray, tn: DoubleArray) -> DoubleArray:
    return (tp + tn) / (tp + fp + fn + tn)


def _balanced_accuracy(tp: DoubleArray, fp: DoubleArray, fn: DoubleArray, tn: DoubleArray) -> DoubleArray:
    return (tp / (tp + fn) + tn / (tn + fp)) / 2


def _f1(tp: DoubleArray, fp: DoubleArray, fn: DoubleArray, tn: DoubleArray) -> DoubleArray:
    del tn
    return 2 * tp / (2 * tp + fp + fn)


def _macro_f1(tp: DoubleArray, fp: DoubleArray, fn: DoubleArray, tn: DoubleArray) -> DoubleArray:
    return (_f1(tp, fp, fn, tn) + _f1(tn, fn, fp, tp)) / 2


METRICS: dict[str, Callable[[DoubleArray, DoubleArray, DoubleArray, DoubleArray], DoubleArray]] = {
    "accuracy": _accuracy,
    "balanced-accuracy": _balanced_accuracy,
    "f1": _f1,
    "macro-f1": _macro_f1,
}
"""Of the texts said to be of the second class, rightly (tp) and wrongly (fp), and of the first, wrongly (fn) and
rightly (tn)."""


Method = Literal["none", "temperature", "vector scaling"]

MIN_TEXTS = 50
"""With fewer validation texts, a temperature would be a guess."""
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
"""Where a temperature, and a class's scale, may lie; a class's bias between `-LARGEST` and `MAX_TEMPERATURE`."""
TEXTS_PER_CLASS = 10
"""With fewer texts a class on average, vector scaling is not tried."""
FOLDS = 5
MAX_LOGITS = 100_000
"""Of validation texts with more logits than this, an even share is fitted: it takes seconds, and they are plenty.
It also means that vector scaling is for 100 classes at most."""
GRID = 17
"""Temperatures looked at before the best of them is refined."""
MIN_IMPROVEMENT = 1e-7
"""Vector scaling is found when a step lowers the loss by less than this share of it."""
DIGITS = 6
"""Significant digits that are kept of what is fitted."""


@dataclass(frozen=True)
class Calibration:
    """How logits become those that probabilities are computed from.

    `method` says which of the other fields count: `temperature` divides all logits; vector scaling has a `scale`
    and a `bias` for each class instead. `texts` is the number of validation texts, `why_not` why they were not
    used. Of two classes, the second is predicted from the probability `threshold` on. `blend` comes first: how the
    LSTM's logits and the wide part's, if there is one, become one.
    """

    method: Method = "none"
    temperature: float = 1.0
    scale: tuple[float, ...] = ()
    bias: tuple[float, ...] = ()
    texts: int = 0
    why_not: str = ""
    threshold: float = 0.5
    blend: Blend = field(default_factory=Blend)

    def apply(self, logits: FloatArray, evidence: FloatArray | None = None) -> FloatArray:
        """[n, logits] float32, of the LSTM's logits and of the wide part's evidence for the same texts."""
        if evidence is not None:
            logits = self.blend.apply(logits, evidence)
        return self._rescaled(logits)

    def _rescaled(self, logits: FloatArray) -> FloatArray:
        if self.scale:
            scaled: FloatArray = logits * np.array(self.scale, np.float32) + np.array(self.bias, np.float32)
            return scaled
        divided: FloatArray = logits / np.float32(self.temperature)
        return divided

    def folded(self, arrays: Mapping[str, FloatArray], wide: Wide | None = None) -> dict[str, FloatArray]:
        """The model's weights, with what comes before the temperature in the output layer and in the wide part."""
        result = dict(arrays) if wide is None else self.blend.folded(arrays, wide)
        if self.scale:
            scale = np.array(self.scale, np.float32)
            result["output.weight"] = result["output.weight"] * scale[:, None]
            result["output.bias"] = self._rescaled(result["output.bias"])
            if "wide.weight" in result:
                result["wide.weight"] = result["wide.weight"] * scale
        return result


def calibrate(logits: FloatArray, truth: IndexArray, *, sigmoid: bool) -> Calibration:
    """Fits a temperature, and for more than two classes vector scaling where cross-validation finds it better.

    Nothing here is random: the same logits give the same calibration.

    Args:
        logits: [n, logits] of validation texts, as `TextClassifier` gives them.
        truth: [n] the index of each text's class.
        sigmoid: whether probabilities are those of a sigmoid.
    """
    if len(truth) < MIN_TEXTS:
        few = f"{len(truth)} validation texts are too few, {MIN_TEXTS} are needed"
        return Calibration(texts=len(truth), why_not=few)
    chosen = _spread(truth, max(MIN_TEXTS, MAX_LOGITS // logits.shape[1]))
    some, classes = logits[chosen].astype(np.float64), truth[chosen]
    enough = logits.shape[1] > 2 and len(some) >= TEXTS_PER_CLASS * logits.shape[1]
    if enough and _vector_is_better(some, classes, sigmoid):
        scale, bias = fit_vector(some, classes, sigmoid)
        return Calibration("vector scaling", scale=_rounded(scale), bias=_rounded(bias), texts=len(truth))
    (temperature,) = _rounded([fit_temperature(some, classes, sigmoid)])
    return Calibration("temperature", temperature, texts=len(truth))


def fit_temperature(logits: DoubleArray, truth: IndexArray, sigmoid: bool) -> float:
    """The temperature from `MIN_TEMPERATURE` to `MAX_TEMPERATURE` with the lowest loss; 1 where none is better than that."""
    expected = class_targets(truth, max(logits.shape[1], 2))

    def loss(logarithm: float) -> float:
        return -float((expected * log_probabilities(logits / np.exp(logarithm), sigmoid)).sum()) / len(truth)

    grid = np.linspace(np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE), GRID)
    best = int(np.argmin([loss(at) for at in grid]))
    around = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, GRID - 1)])
    found = minimize_scalar(loss, bounds=around, method="bounded", options={"xatol": 1e-7})
    return float(np.exp(found.x)) if found.fun < loss(0.0) else 1.0


def fit_vector(logits: DoubleArray, truth: IndexArray, sigmoid: bool) -> tuple[DoubleArray, DoubleArray]:
    """The scales and the biases [classes] with the lowest loss, for more than two classes.

    No scale is negative: a class's own evidence never speaks against it.
    """
    classes = logits.shape[1]
    expected = class_targets(truth, classes)

    def loss(parameters: DoubleArray) -> tuple[float, DoubleArray]:
        scaled = logits * parameters[:classes] + parameters[classes:]
        logarithms = log_probabilities(scaled, sigmoid)
        slope = np.exp(logarithms) - expected
        if sigmoid:
            slope *= expit(-scaled)
        gradient = np.concatenate([(slope * logits).sum(axis=0), slope.sum(axis=0)])
        return -float((expected * logarithms).sum()) / len(truth), gradient / len(truth)

    start = np.repeat([1 / fit_temperature(logits, truth, sigmoid), 0.0], classes)
    bounds = [(MIN_TEMPERATURE, MAX_TEMPERATURE)] * classes + [(-MAX_TEMPERATURE, MAX_TEMPERATURE)] * classes
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": MIN_IMPROVEMENT})
    return found.x[:classes], found.x[classes:]


def _vector_is_better(logits: DoubleArray, truth: IndexArray, sigmoid: bool) -> bool:
    """Whether texts that were not fitted have a lower log loss by vector scaling than by a temperature.

    Lower by more than the standard error of the difference, or chance would choose in half the cases.
    """
    fold_of = np.empty(len(truth), np.int64)
    fold_of[np.argsort(truth, kind="stable")] = np.arange(len(truth)) % FOLDS
    gains = np.empty(len(truth))
    for fold in range(FOLDS):
        fitted, left_out = fold_of != fold, fold_of == fold
        temperature = fit_temperature(logits[fitted], truth[fitted], sigmoid)
        scale, bias = fit_vector(logits[fitted], truth[fitted], sigmoid)
        by_temperature = _log_losses(logits[left_out] / temperature, truth[left_out], sigmoid)
        gains[left_out] = by_temperature - _log_losses(logits[left_out] * scale + bias, truth[left_out], sigmoid)
    return float(gains.mean()) > float(gains.std()) / math.sqrt(len(gains))


def _log_losses(logits: DoubleArray, truth: IndexArray, sigmoid: bool) -> DoubleArray:
    """[n] as reports count them."""
    logarithms = log_probabilities(logits, sigmoid)[np.arange(len(truth)), truth]
    losses: DoubleArray = -np.maximum(logarithms, np.log(MIN_PROBABILITY))
    return losses


def _spread(truth: IndexArray, most: int) -> npt.NDArray[np.int64]:
    """Indices of all texts, or of `most` that hold each class in its share, in order."""
    places = np.linspace(0, len(truth) - 1, min(len(truth), most)).round().astype(np.int64)
    return np.sort(np.argsort(truth, kind="stable")[places])


def _rounded(values: Iterable[float]) -> tuple[float, ...]:
    """To few enough digits that the last bits of a sum, which another machine rounds otherwise, don't show."""
    return tuple(float(f"{value:.{DIGITS}g}") for value in values)
