"""The decision threshold of two classes: the best one for a metric, and the same one at another temperature."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from fastlstm._typing import DoubleArray, FloatArray, IndexArray
from fastlstm.config import ThresholdMetric
from fastlstm.errors import OptionError
from fastlstm.metrics import DEFAULT_THRESHOLD


def check_threshold_metric(metric: ThresholdMetric, class_count: int, subject: str) -> None:
    """Raise `OptionError` if a decision threshold is requested for other than two classes.

    `subject` begins the part of the message about the classes: "the model has".
    """
    if metric != "none" and class_count != 2:
        raise OptionError(
            f"threshold_metric is {metric!r}, but {subject} {class_count} classes; only two classes have a decision "
            "threshold: set it to none",
            code="threshold-needs-two-classes",
            classes=class_count,
        )


def best_threshold(probabilities: FloatArray, classes: IndexArray, metric: ThresholdMetric) -> float:
    """Return the threshold in 0..1 that maximizes `metric`; 0.5 for "none" or if only one class occurs.

    All thresholds between two neighbouring probabilities predict the same; their middle is used, or 0.5 if it is among
    them. If several are equally good, the one nearest to 0.5 is used, or the lower of two that are equally near.

    Args:
        probabilities: [n] of the second class.
        classes: [n] 0 or 1.
        metric: "accuracy", "balanced-accuracy", "f1" of the second class, "macro-f1" of both, or "none".
    """
    positives = int(classes.sum())
    if metric == "none" or positives in (0, len(classes)):
        return DEFAULT_THRESHOLD
    order = np.argsort(probabilities, kind="stable")
    in_order, positives_below = probabilities[order], np.concatenate([[0], np.cumsum(classes[order])])
    ends = np.unique(np.append(in_order, np.float32(1)))  # at 1, only texts with probability 1 are positive
    thresholds = _between(np.append(np.float32(0), ends[:-1]), ends)
    below = np.searchsorted(in_order, thresholds)  # number of texts below each threshold
    false_negative = positives_below[below].astype(np.float64)
    true_negative = below - false_negative
    scores = METRICS[metric](
        positives - false_negative, len(classes) - positives - true_negative, false_negative, true_negative
    )
    best = np.flatnonzero(scores >= scores.max() - 1e-12)
    nearest = best[np.argmin(np.abs(thresholds[best].astype(np.float64) - DEFAULT_THRESHOLD))]
    return float(thresholds[nearest])


def _between(lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Return thresholds in (lower, upper]: 0.5 if it is inside, else the middle, or `upper` without room in float32."""
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
"""Metric -> function of the counts of true positives, false positives, false negatives and true negatives."""


def rescale_threshold(threshold: float, before: float, after: float) -> float:
    """Return the threshold that gives the same predictions with temperature `after` as `threshold` with `before`."""
    if threshold in (0.0, 0.5, 1.0) or before == after:
        return threshold
    logit = math.log(threshold / (1 - threshold)) * before / after
    return 1 / (1 + math.exp(-logit))
