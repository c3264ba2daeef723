"""Compute the coefficients of tanh in the kernel and print them with their largest error.

tanh(x) is approximated by x P(x^2) / Q(x^2), P and Q of the same degree with P(0) = Q(0) = 1: of degree 4 in
src/fastlstm/kernel/csrc/vector-inl.h, where the quotient exceeds 1 from 9.2 on and is clipped, and of degree 2 for int8
in gates-inl.h, where x is clipped. Lawson's method minimizes the largest relative error: iteratively reweighted least
squares, linear in the coefficients, whose weights grow where the error is large.
"""

from __future__ import annotations

import numpy as np

from fastlstm._typing import DoubleArray, FloatArray

FITS = {4: 9.0, 2: 5.0}
"""Degree -> the largest x of the fit."""
POINTS = 6000
ITERATIONS = 3000


def main() -> None:
    """Fit the coefficients, round them to float32 and print them."""
    for degree, max_x in FITS.items():
        p, q = fit(degree, max_x)
        for name, coefficients in (("p", p), ("q", q)):
            print(name, ", ".join(f"{c:.9g}f" for c in coefficients[::-1]))
        x = np.linspace(1e-3, max_x, 200_000)
        error = np.abs(quotient(x, p.astype(np.float32), q.astype(np.float32)) / np.tanh(x) - 1)
        print(f"largest relative error up to {max_x}, with float32 coefficients in float64: {error.max():.1e}")


def fit(degree: int, max_x: float) -> tuple[DoubleArray, DoubleArray]:
    """Return the coefficients of P and Q, lowest degree first."""
    x = max_x * np.sin(np.linspace(0.01, np.pi / 2, POINTS))
    t = np.tanh(x)
    z = (x**2)[:, None] ** np.arange(1, degree + 1)
    # x P - t Q = 0, with P(0) = Q(0) = 1.
    matrix, target = np.hstack([x[:, None] * z, -t[:, None] * z]), t - x
    weights, previous_q = np.full(POINTS, 1 / POINTS), np.ones(POINTS)
    best = np.inf, np.ones(degree + 1), np.ones(degree + 1)
    for _ in range(ITERATIONS):
        row = np.sqrt(weights) / (t * previous_q)
        scale = np.abs(row[:, None] * matrix).max(axis=0)
        solution = np.linalg.lstsq(row[:, None] * matrix / scale, row * target, rcond=None)[0] / scale
        p, q = (np.concatenate([[1.0], half]) for half in (solution[:degree], solution[degree:]))
        error = np.abs(quotient(x, p, q) / t - 1)
        if error.max() < best[0]:
            best = error.max(), p, q
        previous_q = np.abs(np.polynomial.polynomial.polyval(x**2, q))
        weights = weights * (error / error.max() + 1e-3)
        weights /= weights.sum()
    return best[1], best[2]


def quotient(x: DoubleArray, p: DoubleArray | FloatArray, q: DoubleArray | FloatArray) -> DoubleArray:
    """Return x P(x^2) / Q(x^2), computed in float64."""
    value = np.polynomial.polynomial.polyval
    result: DoubleArray = x * value(x**2, p.astype(np.float64)) / value(x**2, q.astype(np.float64))
    return result


if __name__ == "__main__":
    main()
