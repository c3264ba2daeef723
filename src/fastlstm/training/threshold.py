"""The decision threshold of two classes: the probability of the second one from which it is predicted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fastlstm.config import ThresholdMetric

Counts = npt.NDArray[np.float64]
DEFAULT = 0.5


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
        return DEFAULT
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
    nearest = best[np.argmin(np.abs(thresholds[best].astype(np.float64) - DEFAULT))]
    return float(thresholds[nearest])


def _between(lower: npt.NDArray[np.float32], upper: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Thresholds above `lower` and at most `upper`, which float32 may leave no room between: 0.5, or the middle."""
    middle = ((lower.astype(np.float64) + upper) / 2).astype(np.float32)
    middle = np.where(middle > lower, middle, upper)
    return np.where((lower < DEFAULT) & (upper >= DEFAULT), np.float32(DEFAULT), middle)


def _accuracy(tp: Counts, fp: Counts, fn: Counts, tn: Counts) -> Counts:
    return (tp + tn) / (tp + fp + fn + tn)


def _balanced_accuracy(tp: Counts, fp: Counts, fn: Counts, tn: Counts) -> Counts:
    return (tp / (tp + fn) + tn / (tn + fp)) / 2


def _f1(tp: Counts, fp: Counts, fn: Counts, tn: Counts) -> Counts:
    del tn
    return 2 * tp / (2 * tp + fp + fn)


def _macro_f1(tp: Counts, fp: Counts, fn: Counts, tn: Counts) -> Counts:
    return (_f1(tp, fp, fn, tn) + _f1(tn, fn, fp, tp)) / 2


METRICS: dict[str, Callable[[Counts, Counts, Counts, Counts], Counts]] = {
    "accuracy": _accuracy,
    "balanced-accuracy": _balanced_accuracy,
    "f1": _f1,
    "macro-f1": _macro_f1,
}
"""Of the texts said to be of the second class, rightly (tp) and wrongly (fp), and of the first, wrongly (fn) and
rightly (tn)."""
