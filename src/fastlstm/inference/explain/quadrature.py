"""Adaptive quadrature: integrals from 0 to 1 from values at a few points; points are added where errors are large.

Legend: P points, in ascending order, from 0 to 1; P - 1 intervals between them.
"""

from __future__ import annotations

import numpy as np

from fastlstm._typing import DoubleArray

MIN_WIDTH = 2.0**-16
"""Intervals are not split into narrower ones: points are rounded to float32."""


def first_points(count: int) -> DoubleArray:
    """Return `count` points, denser towards 0, where LSTM layers are not saturated yet and change most."""
    points: DoubleArray = np.linspace(0, 1, count) ** 1.5
    return points


def interval_weights(points: DoubleArray) -> DoubleArray:
    """Return the weights [P - 1, P] that give the integral over each interval from the values at 3 or more points.

    The function is approximated by the mean of two parabolas: through both ends of the interval and the point before or
    after them. The first and the last interval have one parabola. The result is exact for parabolas.
    """
    intervals, first = len(points) - 1, np.arange(len(points) - 2)
    weights = np.zeros((intervals, len(points)))
    nodes = points[first[:, None] + np.arange(3)]
    for side in (0, 1):  # the interval before or after the middle of each parabola's three points
        interval = first + side
        share = np.where((interval == 0) | (interval == intervals - 1), 1.0, 0.5) if intervals > 2 else 1.0
        offsets = (nodes - nodes[:, side, None]).T
        width = offsets[side + 1]
        for k in range(3):
            a, b = offsets[k - 1], offsets[k - 2]
            integral = width**3 / 3 - (a + b) * width**2 / 2 + a * b * width
            weights[interval, first + k] += share * integral / ((offsets[k] - a) * (offsets[k] - b))
    return weights


def points_between(points: DoubleArray, errors: DoubleArray, count: int) -> DoubleArray:
    """Return up to `count` new points, in ascending order, in the intervals with the largest errors [P - 1].

    Each of these intervals is divided evenly. The error of a part is expected to fall with the number of parts to the
    power of 1.5: between a jump of the function (1) and a bend (2).
    """
    widths, parts = np.diff(points), np.ones(len(errors), np.int64)
    for _ in range(count):
        remaining = np.where(widths >= (parts + 1) * MIN_WIDTH, np.abs(errors) / parts**1.5, 0)
        largest = int(remaining.argmax())
        if remaining[largest] == 0:
            break
        parts[largest] += 1
    divided = np.flatnonzero(parts > 1)
    return np.concatenate(
        [np.empty(0), *(np.linspace(points[k], points[k + 1], parts[k] + 1)[1:-1] for k in divided)]
    )
