"""Finds the coefficients of tanh in src/fastlstm/kernel/vector.h, and prints them with their largest error.

tanh(x) is taken as x P(x^2) / Q(x^2), P and Q of degree 4 with P(0) = Q(0) = 1. From 9.2 on the quotient is above
1, which the kernel cuts off. The fit makes the largest relative error small by Lawson's method: least squares,
linear in the coefficients, whose weights grow where the error is large.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

DEGREE, LARGEST, POINTS, ROUNDS = 4, 9.0, 6000, 3000

Array = npt.NDArray[np.float64]


def main() -> None:
    """Fits, rounds to float32, and prints."""
    p, q = fit()
    for name, coefficients in (("p", p), ("q", q)):
        print(name, ", ".join(f"{c:.9g}f" for c in coefficients[::-1]))
    x = np.linspace(1e-3, LARGEST, 200_000)
    error = np.abs(quotient(x, p.astype(np.float32), q.astype(np.float32)) / np.tanh(x) - 1)
    print(f"largest relative error up to {LARGEST}, of float32 coefficients in float64: {error.max():.1e}")


def fit() -> tuple[Array, Array]:
    """The coefficients of P and Q, lowest first."""
    x = LARGEST * np.sin(np.linspace(0.01, np.pi / 2, POINTS))
    t = np.tanh(x)
    z = (x**2)[:, None] ** np.arange(1, DEGREE + 1)
    # x P - t Q = 0, with P(0) = Q(0) = 1.
    matrix, target = np.hstack([x[:, None] * z, -t[:, None] * z]), t - x
    weights, q_before = np.full(POINTS, 1 / POINTS), np.ones(POINTS)
    best = np.inf, np.ones(DEGREE + 1), np.ones(DEGREE + 1)
    for _ in range(ROUNDS):
        row = np.sqrt(weights) / (t * q_before)
        scale = np.abs(row[:, None] * matrix).max(axis=0)
        found = np.linalg.lstsq(row[:, None] * matrix / scale, row * target, rcond=None)[0] / scale
        p, q = (np.concatenate([[1.0], half]) for half in (found[:DEGREE], found[DEGREE:]))
        error = np.abs(quotient(x, p, q) / t - 1)
        if error.max() < best[0]:
            best = error.max(), p, q
        q_before = np.abs(np.polynomial.polynomial.polyval(x**2, q))
        weights = weights * (error / error.max() + 1e-3)
        weights /= weights.sum()
    return best[1], best[2]


def quotient(x: Array, p: npt.NDArray[np.floating], q: npt.NDArray[np.floating]) -> Array:
    """x P(x^2) / Q(x^2) in float64."""
    value = np.polynomial.polynomial.polyval
    result: Array = x * value(x**2, p.astype(np.float64)) / value(x**2, q.astype(np.float64))
    return result


if __name__ == "__main__":
    main()
