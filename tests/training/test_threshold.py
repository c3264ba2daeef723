"""The decision threshold of two classes."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from fastlstm.config import ThresholdMetric
from fastlstm.training.threshold import METRICS, best_threshold, rescale_threshold

PROBABILITIES = st.sampled_from([0.0, 1e-30, 0.1, 0.3, 0.30000001, 0.5, 0.51, 0.9, 1.0])


def score(metric: str, classes: list[int], predicted: list[int]) -> float:
    """Return the metric as scikit-learn computes it."""
    if metric == "accuracy":
        return float(sklearn.metrics.accuracy_score(classes, predicted))
    if metric == "balanced-accuracy":
        return float(sklearn.metrics.balanced_accuracy_score(classes, predicted))
    average = "macro" if metric == "macro-f1" else "binary"
    return float(sklearn.metrics.f1_score(classes, predicted, average=average, zero_division=0))


def predict(probabilities: list[float], threshold: float) -> list[int]:
    return [int(np.float32(p) >= np.float32(threshold)) for p in probabilities]


def best(probabilities: list[float], classes: list[int], metric: ThresholdMetric) -> float:
    return best_threshold(np.array(probabilities, np.float32), np.array(classes, np.int64), metric)


def test_metrics_are_those_of_the_configuration() -> None:
    assert {"none", *METRICS} == set(get_args(ThresholdMetric))


@pytest.mark.parametrize("metric", METRICS)
@given(st.lists(st.tuples(PROBABILITIES, st.integers(0, 1)), min_size=2, max_size=12))
def test_no_threshold_is_better(metric: ThresholdMetric, texts: list[tuple[float, int]]) -> None:
    probabilities, classes = [p for p, _ in texts], [k for _, k in texts]
    threshold = best(probabilities, classes, metric)
    assert 0 <= threshold <= 1
    if len(set(classes)) == 1:
        assert threshold == 0.5
        return
    candidates = [0.0, 0.5, 1.0, *probabilities]
    candidates += [min(math.nextafter(p, 2), 1.0) for p in map(float, np.array(probabilities, np.float32))]
    candidates += [min(float(np.nextafter(np.float32(p), np.float32(2))), 1.0) for p in probabilities]
    predictions = {tuple(predict(probabilities, candidate)) for candidate in candidates}
    highest = max(score(metric, classes, list(prediction)) for prediction in predictions)
    assert score(metric, classes, predict(probabilities, threshold)) == pytest.approx(highest, abs=1e-9)
    if score(metric, classes, predict(probabilities, 0.5)) >= highest - 1e-12:
        assert threshold == 0.5


@pytest.mark.parametrize("metric", METRICS)
def test_threshold_is_the_middle_between_two_probabilities(metric: ThresholdMetric) -> None:
    assert best([0.125, 0.25, 0.375], [0, 0, 1], metric) == 0.3125
    assert best([0.625, 0.75, 0.875], [0, 1, 1], metric) == 0.6875


def test_tie_goes_to_the_threshold_nearest_to_one_half_and_then_to_the_lower() -> None:
    assert best([0.125, 0.25, 0.75, 0.875], [0, 1, 0, 1], "accuracy") == 0.5 - (0.5 - 0.1875)
    assert best([0.0, 0.5, 0.5, 1.0], [0, 0, 1, 1], "accuracy") == 0.5


def test_neighbouring_floats_are_separated() -> None:
    lower = np.float32(0.7)
    upper = np.nextafter(lower, np.float32(1))
    assert best([float(lower), float(upper)], [0, 1], "accuracy") == float(upper)


def test_best_threshold_may_predict_one_class_for_all_texts() -> None:
    assert best([0.6, 0.7, 0.75, 0.8], [1, 0, 0, 0], "accuracy") == pytest.approx(0.9)  # the first class
    assert best([0.1, 0.2, 0.3, 0.4], [1, 1, 1, 0], "accuracy") == pytest.approx(0.05)  # the second class
    assert best([1.0, 1.0, 1.0], [1, 0, 0], "accuracy") in (0.5, 1.0)  # no threshold is above 1
    assert best([0.0, 0.0, 0.0], [1, 1, 0], "accuracy") == 0.0


def test_threshold_is_one_half_without_metric_or_with_one_class() -> None:
    assert best([0.6, 0.7], [0, 1], "none") == 0.5
    for classes in ([0, 0], [1, 1]):
        assert best([0.6, 0.7], classes, "f1") == 0.5


@pytest.mark.parametrize(("before", "after"), [(1.0, 2.0), (0.7, 0.4)])
def test_rescaled_threshold_predicts_the_same(before: float, after: float) -> None:
    logits = np.linspace(-3, 3, 50)
    threshold = rescale_threshold(0.8, before, after)
    first, second = (1 / (1 + np.exp(-logits / t)) for t in (before, after))
    assert np.array_equal(first >= 0.8, second >= threshold)
    assert rescale_threshold(0.5, before, after) == 0.5
