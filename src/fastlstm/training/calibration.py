"""Calibration: temperature or vector scaling, and the blend of LSTM and n-gram part.

Guo et al. (2017), "On Calibration of Modern Neural Networks": a temperature that divides all logits, or vector scaling,
a scale and a bias per class. Both minimize the log loss on the validation texts. A fit that does not help is dropped:
it must lower the loss of left-out texts in cross-validation, and neither raise the loss nor lower the accuracy on the
texts that it is fitted to. It may raise the calibration error, which is a rougher estimate than the loss, only if the
loss of left-out texts falls by more than its standard error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_expit, log_softmax

from fastlstm._typing import BoolArray, DoubleArray, FloatArray, IndexArray
from fastlstm.inference.network import probabilities_of
from fastlstm.metrics import DEFAULT_THRESHOLD, MIN_PROBABILITY, Report, evaluate
from fastlstm.notes import Note
from fastlstm.training.linear import Wide
from fastlstm.training.threshold import rescale_threshold


def log_probabilities(logits: DoubleArray, sigmoid: bool) -> DoubleArray:
    """Return the log probabilities [n, classes] of logits [n, logits], as inference computes them."""
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    elif sigmoid:  # sigmoid of each class, normalized to sum 1
        logits = log_expit(logits)
    result: DoubleArray = log_softmax(logits, axis=1)
    return result


def class_targets(classes: IndexArray, class_count: int) -> DoubleArray:
    """Return smoothed targets [n, classes], slightly below 1 for the true class (Platt 1999).

    With them, texts without any error still give a finite temperature.
    """
    wrong = 1 / (len(classes) + 2)
    result = np.full((len(classes), class_count), wrong / (class_count - 1))
    result[np.arange(len(classes)), classes] = 1 - wrong
    return result


MAX_SCALE = 20.0
PRIOR_SCALE = 0.5
"""Prior of both scales of a blend."""
PRIOR_STRENGTH = 4.0
"""Cost (nats, summed over all texts) of moving a scale by 1 from its prior; few texts cannot move it far."""


@dataclass(frozen=True)
class Blend:
    """Scales of the logits of the LSTM and of the n-gram part, which are added."""

    lstm: float = 1.0
    wide: float = 1.0

    def apply(self, logits: FloatArray, wide_logits: FloatArray) -> FloatArray:
        """Return the blended logits [n, logits] of the two parts' logits [n, logits]."""
        mixed: FloatArray = np.float32(self.lstm) * logits + np.float32(self.wide) * wide_logits
        return mixed

    def fold(self, arrays: Mapping[str, FloatArray], wide: Wide) -> dict[str, FloatArray]:
        """Return the weights of both parts with the blend folded in."""
        lstm, scale = np.float32(self.lstm), np.float32(self.wide)
        return {
            **arrays,
            "output.weight": arrays["output.weight"] * lstm,
            "output.bias": arrays["output.bias"] * lstm + wide.bias * scale,
            "wide.weight": wide.weight * scale,
        }


def fit_blend(logits: FloatArray, wide_logits: FloatArray, classes: IndexArray, *, sigmoid: bool) -> Blend:
    """Fit the two scales, from 0 to `MAX_SCALE`, on validation texts; with few texts they stay near the prior.

    Args:
        logits: [n, logits] of the LSTM.
        wide_logits: [n, logits] of the n-gram part, bias included.
        classes: [n] class indices.
        sigmoid: Whether the output is a sigmoid.
    """
    parts = logits.astype(np.float64), wide_logits.astype(np.float64)
    expected = class_targets(classes, max(logits.shape[1], 2))

    def loss(scales: DoubleArray) -> float:
        mixed = scales[0] * parts[0] + scales[1] * parts[1]
        prior = PRIOR_STRENGTH * float(((scales - PRIOR_SCALE) ** 2).sum())
        return (prior - float((expected * log_probabilities(mixed, sigmoid)).sum())) / len(classes)

    fitted = minimize(
        loss, [PRIOR_SCALE, PRIOR_SCALE], method="Nelder-Mead", bounds=[(0, MAX_SCALE)] * 2, options={"xatol": 1e-4}
    )
    lstm, wide = (float(f"{scale:.4g}") for scale in fitted.x)
    return Blend(lstm, wide)


def choose_logits(candidates: Sequence[FloatArray], classes: IndexArray, *, sigmoid: bool) -> int:
    """Return the index of the candidate with the lowest log loss on validation texts, each with its best temperature.

    Args:
        candidates: Logits [n, logits] of the same texts by several models.
        classes: [n] class indices.
        sigmoid: Whether the output is a sigmoid.
    """

    def loss(logits: DoubleArray) -> float:
        return float(_log_losses(logits / fit_temperature(logits, classes, sigmoid), classes, sigmoid).mean())

    return int(np.argmin([loss(logits.astype(np.float64)) for logits in candidates]))


Method = Literal["none", "temperature", "vector scaling"]

MIN_TEXTS = 50
"""Smallest number of validation texts for a temperature."""
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
"""Range of a temperature and of the scale of a class; its bias lies in +-`MAX_TEMPERATURE`."""
TEXTS_PER_CLASS = 10
"""Smallest mean number of texts per class for vector scaling."""
FOLDS = 5
MAX_LOGITS = 100_000
"""Largest number of logits to fit; a larger set is replaced by a stratified sample. With at least 10 texts per class,
it limits vector scaling to 100 classes."""
GRID_POINTS = 17
"""Number of temperatures on the initial grid."""
MIN_IMPROVEMENT = 1e-7
"""Relative decrease of the loss at which fitting stops."""
MIN_LOSS_GAIN = 1e-6
"""Smallest decrease of the log loss (nats per text) for which a fit is kept."""
DIGITS = 6
"""Significant digits of fitted parameters."""


@dataclass(frozen=True)
class Calibration:
    """The transformation of logits before the softmax or sigmoid, and the decision threshold.

    Attributes:
        method: Which parameters are used: `temperature`, or `scale` and `bias` of each class.
        texts: Number of validation texts.
        skip_reason: The reason why no calibration was fitted; empty if one was.
        skip_code: Its code: "too-few-texts" or "no-gain"; empty if one was fitted.
        threshold: Probability from which the second of two classes is predicted.
        blend: How the logits of the LSTM and of the n-gram part are combined, before everything else.
    """

    method: Method = "none"
    temperature: float = 1.0
    scale: tuple[float, ...] = ()
    bias: tuple[float, ...] = ()
    texts: int = 0
    skip_reason: str = ""
    skip_code: str = ""
    threshold: float = DEFAULT_THRESHOLD
    blend: Blend = field(default_factory=Blend)

    def apply(self, logits: FloatArray, wide_logits: FloatArray | None = None) -> FloatArray:
        """Return the calibrated logits [n, logits] of the logits of the LSTM and of the n-gram part."""
        if wide_logits is not None:
            logits = self.blend.apply(logits, wide_logits)
        return self._rescale(logits)

    def _rescale(self, logits: FloatArray) -> FloatArray:
        if self.scale:
            scaled: FloatArray = logits * np.array(self.scale, np.float32) + np.array(self.bias, np.float32)
            return scaled
        divided: FloatArray = logits / np.float32(self.temperature)
        return divided

    def fold(self, arrays: Mapping[str, FloatArray], wide: Wide | None = None) -> dict[str, FloatArray]:
        """Return the weights with blend and vector scaling folded in; the temperature stays separate."""
        result = dict(arrays) if wide is None else self.blend.fold(arrays, wide)
        if self.scale:
            scale = np.array(self.scale, np.float32)
            result["output.weight"] = result["output.weight"] * scale[:, None]
            result["output.bias"] = self._rescale(result["output.bias"])
            if "wide.weight" in result:
                result["wide.weight"] = result["wide.weight"] * scale
        return result


def calibrate(
    logits: FloatArray,
    classes: IndexArray,
    *,
    sigmoid: bool,
    temperature: float = 1.0,
    threshold: float = DEFAULT_THRESHOLD,
) -> Calibration:
    """Fit a temperature, or for more than two classes vector scaling if cross-validation finds it better.

    A fit that does not help is dropped, and the result has the given temperature. The result is deterministic.

    Args:
        logits: [n, logits] of the validation texts.
        classes: [n] class indices.
        sigmoid: Whether the output is a sigmoid.
        temperature: The present temperature, which a fit must improve on.
        threshold: The present decision threshold of two classes.
    """
    kept = Calibration(temperature=temperature, texts=len(classes), threshold=threshold)
    if len(classes) < MIN_TEXTS:
        reason = f"{len(classes)} labelled texts are too few, expected at least {MIN_TEXTS}"
        return replace(kept, skip_reason=reason, skip_code="too-few-texts", threshold=DEFAULT_THRESHOLD)
    before = _report(kept, logits, classes, sigmoid)
    for fitted, is_significant in _fits(logits, classes, sigmoid, kept):
        after = _report(fitted, logits, classes, sigmoid)
        helps = before.loss - after.loss > MIN_LOSS_GAIN and after.accuracy >= before.accuracy
        if helps and (is_significant or after.calibration_error <= before.calibration_error):
            return replace(fitted, threshold=DEFAULT_THRESHOLD)
    return no_gain(kept, temperature)


def no_gain(calibration: Calibration, temperature: float) -> Calibration:
    """Return the result of a fit that does not help: the present temperature, and the reason."""
    reason = f"no fit on {calibration.texts:,} texts improves them without lowering the accuracy"
    return Calibration(temperature=temperature, texts=calibration.texts, skip_reason=reason, skip_code="no-gain")


def calibration_note(calibration: Calibration) -> Note | None:
    """Return a note if the probabilities are not calibrated although that was requested; None otherwise."""
    if not calibration.skip_reason:
        return None
    return Note(
        f"probabilities not calibrated: {calibration.skip_reason}",
        "not-calibrated" if calibration.skip_code == "too-few-texts" else "calibration-no-gain",
    )


def _fits(
    logits: FloatArray, classes: IndexArray, sigmoid: bool, kept: Calibration
) -> Iterator[tuple[Calibration, bool]]:
    """Yield the fits that lower the cross-validated loss, the most flexible first, and whether this is significant."""
    indices = _stratified_sample(classes, max(MIN_TEXTS, MAX_LOGITS // logits.shape[1]))
    sample, sample_classes = logits[indices].astype(np.float64), classes[indices]
    enough = logits.shape[1] > 2 and len(sample) >= TEXTS_PER_CLASS * logits.shape[1]
    if enough and vector_scaling_is_better(sample, sample_classes, sigmoid):
        scale, bias = fit_vector(sample, sample_classes, sigmoid)
        yield Calibration("vector scaling", scale=_round(scale), bias=_round(bias), texts=len(classes)), True
    gain, error = temperature_gain(sample, sample_classes, sigmoid, kept.temperature)
    if gain > 0:
        (fitted,) = _round([fit_temperature(sample, sample_classes, sigmoid)])
        threshold = rescale_threshold(kept.threshold, kept.temperature, fitted)
        yield Calibration("temperature", fitted, texts=len(classes), threshold=threshold), gain > error


def _report(calibration: Calibration, logits: FloatArray, classes: IndexArray, sigmoid: bool) -> Report:
    probabilities = probabilities_of(calibration.apply(logits), sigmoid)
    return evaluate(probabilities, classes, ("",) * probabilities.shape[1], calibration.threshold)


def fit_temperature(logits: DoubleArray, classes: IndexArray, sigmoid: bool) -> float:
    """Return the temperature in `MIN_TEMPERATURE`..`MAX_TEMPERATURE` with the lowest loss; 1 if none is better."""
    expected = class_targets(classes, max(logits.shape[1], 2))

    def loss(logarithm: float) -> float:
        return -float((expected * log_probabilities(logits / np.exp(logarithm), sigmoid)).sum()) / len(classes)

    grid = np.linspace(np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE), GRID_POINTS)
    best = int(np.argmin([loss(point) for point in grid]))
    bounds = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, GRID_POINTS - 1)])
    fitted = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-7})
    return float(np.exp(fitted.x)) if fitted.fun < loss(0.0) else 1.0


def fit_vector(logits: DoubleArray, classes: IndexArray, sigmoid: bool) -> tuple[DoubleArray, DoubleArray]:
    """Return the positive scales and the biases [classes] with the lowest loss, for more than two classes."""
    count = logits.shape[1]
    expected = class_targets(classes, count)

    def loss(parameters: DoubleArray) -> tuple[float, DoubleArray]:
        scaled = logits * parameters[:count] + parameters[count:]
        logarithms = log_probabilities(scaled, sigmoid)
        slope = np.exp(logarithms) - expected
        if sigmoid:
            slope *= expit(-scaled)
        gradient = np.concatenate([(slope * logits).sum(axis=0), slope.sum(axis=0)])
        return -float((expected * logarithms).sum()) / len(classes), gradient / len(classes)

    start = np.repeat([1 / fit_temperature(logits, classes, sigmoid), 0.0], count)
    bounds = [(MIN_TEMPERATURE, MAX_TEMPERATURE)] * count + [(-MAX_TEMPERATURE, MAX_TEMPERATURE)] * count
    fitted = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": MIN_IMPROVEMENT})
    return fitted.x[:count], fitted.x[count:]


def temperature_gain(
    logits: DoubleArray, classes: IndexArray, sigmoid: bool, present: float
) -> tuple[float, float]:
    """Return how much less log loss left-out texts have with a fitted temperature than with the present one.

    Returns:
        The mean over all texts (nats), and its standard error.
    """
    gains = np.empty(len(classes))
    for fitted, left_out in _folds(classes):
        temperature = fit_temperature(logits[fitted], classes[fitted], sigmoid)
        by_present = _log_losses(logits[left_out] / present, classes[left_out], sigmoid)
        gains[left_out] = by_present - _log_losses(logits[left_out] / temperature, classes[left_out], sigmoid)
    return float(gains.mean()), float(gains.std()) / math.sqrt(len(gains))


def vector_scaling_is_better(logits: DoubleArray, classes: IndexArray, sigmoid: bool) -> bool:
    """Return whether vector scaling has a lower cross-validated log loss than a temperature.

    The difference must exceed its standard error.
    """
    gains = np.empty(len(classes))
    for fitted, left_out in _folds(classes):
        temperature = fit_temperature(logits[fitted], classes[fitted], sigmoid)
        scale, bias = fit_vector(logits[fitted], classes[fitted], sigmoid)
        by_temperature = _log_losses(logits[left_out] / temperature, classes[left_out], sigmoid)
        gains[left_out] = by_temperature - _log_losses(logits[left_out] * scale + bias, classes[left_out], sigmoid)
    return float(gains.mean()) > float(gains.std()) / math.sqrt(len(gains))


def _folds(classes: IndexArray) -> Iterator[tuple[BoolArray, BoolArray]]:
    """Yield the masks [n] of the fitted and the left-out texts of each fold, classes in proportion."""
    folds = np.empty(len(classes), np.int64)
    folds[np.argsort(classes, kind="stable")] = np.arange(len(classes)) % FOLDS
    for fold in range(FOLDS):
        yield folds != fold, folds == fold


def _log_losses(logits: DoubleArray, classes: IndexArray, sigmoid: bool) -> DoubleArray:
    """Return the log loss [n] of each text, as reports compute it."""
    logarithms = log_probabilities(logits, sigmoid)[np.arange(len(classes)), classes]
    losses: DoubleArray = -np.maximum(logarithms, np.log(MIN_PROBABILITY))
    return losses


def _stratified_sample(classes: IndexArray, max_texts: int) -> IndexArray:
    """Return the indices, in order, of all texts or of `max_texts` with the classes in proportion."""
    positions = np.linspace(0, len(classes) - 1, min(len(classes), max_texts)).round().astype(np.int64)
    return np.sort(np.argsort(classes, kind="stable")[positions])


def _round(values: Iterable[float]) -> tuple[float, ...]:
    """Round to `DIGITS`, so that machines that round sums differently give the same result."""
    return tuple(float(f"{value:.{DIGITS}g}") for value in values)
