from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from fastlstm.config import ThresholdMetric
from fastlstm.training.calibration import METRICS, best_threshold


def score(metric: str, truth: list[int], predicted: list[int]) -> float:
    """The metric as scikit-learn has it."""
    if metric == "accuracy":
        return float(sklearn.metrics.accuracy_score(truth, predicted))
    if metric == "balanced-accuracy":
        return float(sklearn.metrics.balanced_accuracy_score(truth, predicted))
    average = "macro" if metric == "macro-f1" else "binary"
    return float(sklearn.metrics.f1_score(truth, predicted, average=average, zero_division=0))


def predicted(probabilities: list[float], threshold: float) -> list[int]:
    return [int(np.float32(p) >= np.float32(threshold)) for p in probabilities]


def of_threshold(metric: str, probabilities: list[float], truth: list[int], threshold: float) -> float:
    return score(metric, truth, predicted(probabilities, threshold))


def best(probabilities: list[float], truth: list[int], metric: ThresholdMetric) -> float:
    return best_threshold(np.array(probabilities, np.float32), np.array(truth, np.int64), metric)


def test_every_metric_but_none_is_known() -> None:
    assert {"none", *METRICS} == set(get_args(ThresholdMetric))


PROBABILITIES = st.sampled_from([0.0, 1e-30, 0.1, 0.3, 0.30000001, 0.5, 0.51, 0.9, 1.0])


@pytest.mark.parametrize("metric", METRICS)
@given(st.lists(st.tuples(PROBABILITIES, st.integers(0, 1)), min_size=2, max_size=12))
def test_no_threshold_is_better(metric: ThresholdMetric, texts: list[tuple[float, int]]) -> None:
    probabilities, truth = [p for p, _ in texts], [k for _, k in texts]
    threshold = best(probabilities, truth, metric)
    assert 0 <= threshold <= 1
    if len(set(truth)) == 1:
        assert threshold == 0.5
        return
    candidates = [0.0, 0.5, 1.0, *probabilities]
    candidates += [min(math.nextafter(p, 2), 1.0) for p in map(float, np.array(probabilities, np.float32))]
    candidates += [min(float(np.nextafter(np.float32(p), np.float32(2))), 1.0) for p in probabilities]
    predictions = {tuple(predicted(probabilities, candidate)) for candidate in candidates}
    every = [score(metric, truth, list(prediction)) for prediction in predictions]
    came = of_threshold(metric, probabilities, truth, threshold)
    assert came == pytest.approx(max(every), abs=1e-9)
    if of_threshold(metric, probabilities, truth, 0.5) >= max(every) - 1e-12:
        assert threshold == 0.5


@pytest.mark.parametrize("metric", METRICS)
def test_the_middle_of_a_gap_is_taken(metric: ThresholdMetric) -> None:
    assert best([0.125, 0.25, 0.375], [0, 0, 1], metric) == 0.3125
    assert best([0.625, 0.75, 0.875], [0, 1, 1], metric) == 0.6875


def test_of_equally_good_thresholds_the_nearest_to_a_half_is_taken_and_then_the_lower() -> None:
    assert best([0.125, 0.25, 0.75, 0.875], [0, 1, 0, 1], "accuracy") == 0.5 - (0.5 - 0.1875)
    assert best([0.0, 0.5, 0.5, 1.0], [0, 0, 1, 1], "accuracy") == 0.5


def test_neighbouring_probabilities_are_told_apart() -> None:
    lower = np.float32(0.7)
    upper = np.nextafter(lower, np.float32(1))
    assert best([float(lower), float(upper)], [0, 1], "accuracy") == float(upper)


def test_all_texts_may_be_of_one_class() -> None:
    assert best([0.6, 0.7, 0.75, 0.8], [1, 0, 0, 0], "accuracy") == pytest.approx(0.9)  # all of the first
    assert best([0.1, 0.2, 0.3, 0.4], [1, 1, 1, 0], "accuracy") == pytest.approx(0.05)  # all of the second
    assert best([1.0, 1.0, 1.0], [1, 0, 0], "accuracy") in (0.5, 1.0)  # no threshold is above 1
    assert best([0.0, 0.0, 0.0], [1, 1, 0], "accuracy") == 0.0


def test_none_and_texts_of_one_class_leave_it_at_a_half() -> None:
    assert best([0.6, 0.7], [0, 1], "none") == 0.5
    for truth in ([0, 0], [1, 1]):
        assert best([0.6, 0.7], truth, "f1") == 0.5
