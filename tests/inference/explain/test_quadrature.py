"""Integrals from values at points, compared with those of polynomials, and where points are added."""

from __future__ import annotations

import numpy as np
import pytest

from fastlstm.inference.explain.quadrature import MIN_WIDTH, first_points, interval_weights, points_between


@pytest.mark.parametrize("count", [3, 4, 5, 12, 100])
def test_first_points_span_the_interval_and_are_denser_at_the_start(count: int) -> None:
    points = first_points(count)
    assert (len(points), points[0], points[-1]) == (count, 0, 1)
    assert (np.diff(points, 2) > 0).all()


@pytest.mark.parametrize("count", [3, 4, 5, 12])
def test_each_interval_is_exact_for_parabolas(count: int) -> None:
    random = np.random.default_rng(count)
    points = np.concatenate([[0], np.sort(random.uniform(size=count - 2)), [1]])
    for power in range(3):
        expected = np.diff(points ** (power + 1)) / (power + 1)
        np.testing.assert_allclose(interval_weights(points) @ points**power, expected, rtol=1e-9, atol=1e-12)


def test_narrow_intervals_have_accurate_weights() -> None:
    points = np.array([0, 0.5, 0.5 + MIN_WIDTH, 0.5 + 2 * MIN_WIDTH, 1])
    expected = np.diff(points**3) / 3
    np.testing.assert_allclose(interval_weights(points) @ points**2, expected, rtol=1e-9)


def test_smooth_functions_converge_with_the_number_of_points() -> None:
    errors = [abs(interval_weights(x).sum(axis=0) @ np.exp(x) - (np.e - 1)) for x in map(first_points, (6, 12, 24))]
    assert errors[0] > 8 * errors[1] > 64 * errors[2]


def test_points_are_added_where_errors_are_large() -> None:
    points = np.array([0, 0.2, 0.6, 1.0])
    assert points_between(points, np.array([0.0, -1.0, 0.9]), 2) == pytest.approx([0.4, 0.8])
    assert points_between(points, np.array([0.001, 1.0, 0.01]), 3) == pytest.approx([0.3, 0.4, 0.5])
    assert not len(points_between(points, np.zeros(3), 5))


def test_narrow_intervals_are_not_divided() -> None:
    points = np.array([0, 1.5 * MIN_WIDTH, 0.5, 1])
    assert points_between(points, np.array([1.0, 0.01, 0.0]), 1) == pytest.approx([(points[1] + 0.5) / 2])
