"""Probabilities that can be believed: logits are rescaled so that validation texts find theirs likely.

Guo et al. (2017), "On Calibration of Modern Neural Networks": one temperature that divides all logits, or vector
scaling, a scale and a bias for each class. Both minimise the log loss of the probabilities that users get.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit

from fastlstm.metrics import SMALLEST_PROBABILITY
from fastlstm.training.blend import Blend
from fastlstm.training.likelihood import log_probabilities, targets
from fastlstm.training.wide import Wide

Floats = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]
Truth = npt.NDArray[np.int64]
Method = Literal["none", "temperature", "vector scaling"]

FEWEST_TEXTS = 50
"""With fewer validation texts, a temperature would be a guess."""
SMALLEST, LARGEST = 0.05, 20.0
"""Where a temperature, and a class's scale, may lie; a class's bias between `-LARGEST` and `LARGEST`."""
TEXTS_A_CLASS = 10
"""With fewer texts a class on average, vector scaling is not tried."""
FOLDS = 5
MOST_LOGITS = 100_000
"""Of validation texts with more logits than this, an even share is fitted: it takes seconds, and they are plenty.
It also means that vector scaling is for 100 classes at most."""
GRID = 17
"""Temperatures looked at before the best of them is refined."""
ENOUGH = 1e-7
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

    def apply(self, logits: Single, evidence: Single | None = None) -> Single:
        """[n, logits] float32, of the LSTM's logits and of the wide part's evidence for the same texts."""
        if evidence is not None:
            logits = self.blend.apply(logits, evidence)
        return self._rescaled(logits)

    def _rescaled(self, logits: Single) -> Single:
        if self.scale:
            scaled: Single = logits * np.array(self.scale, np.float32) + np.array(self.bias, np.float32)
            return scaled
        divided: Single = logits / np.float32(self.temperature)
        return divided

    def folded(self, arrays: Mapping[str, Single], wide: Wide | None = None) -> dict[str, Single]:
        """The model's weights, with what comes before the temperature in the output layer and in the wide part."""
        result = dict(arrays) if wide is None else self.blend.folded(arrays, wide)
        if self.scale:
            scale = np.array(self.scale, np.float32)
            result["output.weight"] = result["output.weight"] * scale[:, None]
            result["output.bias"] = self._rescaled(result["output.bias"])
            if "wide.weight" in result:
                result["wide.weight"] = result["wide.weight"] * scale
        return result


def calibrate(logits: Single, truth: Truth, *, sigmoid: bool) -> Calibration:
    """Fits a temperature, and for more than two classes vector scaling where cross-validation finds it better.

    Nothing here is random: the same logits give the same calibration.

    Args:
        logits: [n, logits] of validation texts, as `TextClassifier` gives them.
        truth: [n] the index of each text's class.
        sigmoid: whether probabilities are those of a sigmoid.
    """
    if len(truth) < FEWEST_TEXTS:
        few = f"{len(truth)} validation texts are too few, {FEWEST_TEXTS} are needed"
        return Calibration(texts=len(truth), why_not=few)
    chosen = _spread(truth, max(FEWEST_TEXTS, MOST_LOGITS // logits.shape[1]))
    some, classes = logits[chosen].astype(np.float64), truth[chosen]
    enough = logits.shape[1] > 2 and len(some) >= TEXTS_A_CLASS * logits.shape[1]
    if enough and _vector_is_better(some, classes, sigmoid):
        scale, bias = fit_vector(some, classes, sigmoid)
        return Calibration("vector scaling", scale=_rounded(scale), bias=_rounded(bias), texts=len(truth))
    (temperature,) = _rounded([fit_temperature(some, classes, sigmoid)])
    return Calibration("temperature", temperature, texts=len(truth))


def fit_temperature(logits: Floats, truth: Truth, sigmoid: bool) -> float:
    """The temperature from `SMALLEST` to `LARGEST` with the lowest loss; 1 where none is better than that."""
    expected = targets(truth, max(logits.shape[1], 2))

    def loss(logarithm: float) -> float:
        return -float((expected * log_probabilities(logits / np.exp(logarithm), sigmoid)).sum()) / len(truth)

    grid = np.linspace(np.log(SMALLEST), np.log(LARGEST), GRID)
    best = int(np.argmin([loss(at) for at in grid]))
    around = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, GRID - 1)])
    found = minimize_scalar(loss, bounds=around, method="bounded", options={"xatol": 1e-7})
    return float(np.exp(found.x)) if found.fun < loss(0.0) else 1.0


def fit_vector(logits: Floats, truth: Truth, sigmoid: bool) -> tuple[Floats, Floats]:
    """The scales and the biases [classes] with the lowest loss, for more than two classes.

    No scale is negative: a class's own evidence never speaks against it.
    """
    classes = logits.shape[1]
    expected = targets(truth, classes)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        scaled = logits * parameters[:classes] + parameters[classes:]
        logarithms = log_probabilities(scaled, sigmoid)
        slope = np.exp(logarithms) - expected
        if sigmoid:
            slope *= expit(-scaled)
        gradient = np.concatenate([(slope * logits).sum(axis=0), slope.sum(axis=0)])
        return -float((expected * logarithms).sum()) / len(truth), gradient / len(truth)

    start = np.repeat([1 / fit_temperature(logits, truth, sigmoid), 0.0], classes)
    bounds = [(SMALLEST, LARGEST)] * classes + [(-LARGEST, LARGEST)] * classes
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": ENOUGH})
    return found.x[:classes], found.x[classes:]


def _vector_is_better(logits: Floats, truth: Truth, sigmoid: bool) -> bool:
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


def _log_losses(logits: Floats, truth: Truth, sigmoid: bool) -> Floats:
    """[n] as reports count them."""
    logarithms = log_probabilities(logits, sigmoid)[np.arange(len(truth)), truth]
    losses: Floats = -np.maximum(logarithms, np.log(SMALLEST_PROBABILITY))
    return losses


def _spread(truth: Truth, most: int) -> npt.NDArray[np.int64]:
    """Indices of all texts, or of `most` that hold each class in its share, in order."""
    places = np.linspace(0, len(truth) - 1, min(len(truth), most)).round().astype(np.int64)
    return np.sort(np.argsort(truth, kind="stable")[places])


def _rounded(values: Iterable[float]) -> tuple[float, ...]:
    """To few enough digits that the last bits of a sum, which another machine rounds otherwise, don't show."""
    return tuple(float(f"{value:.{DIGITS}g}") for value in values)
