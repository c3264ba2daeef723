"""The kernel's Adam against float64, and lazily updated rows against rows updated in every step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.helpers.kernel_exact import Array, assert_close

from fastlstm.kernel.bindings import Kernel

BETAS, EPSILON = (0.9, 0.999), 1e-8


def rate_table(steps: int, rate: float = 0.01) -> Array:
    """Return each step's learning rate and bias correction, [steps + 1, 2]."""
    s = np.arange(steps + 1)
    with np.errstate(divide="ignore"):
        rates = np.stack([rate * (1 - s / 99) / (1 - BETAS[0] ** s), (1 - BETAS[1] ** s) ** -0.5], 1)
    return rates.astype(np.float32)


def gradient(step: int, V: int, I: int) -> tuple[Array, Array]:  # noqa: E741
    """Return the rows that a step updates, and their gradients."""
    generator = np.random.default_rng([step, V, I])
    rows = np.sort(generator.permutation(V)[: 1 + generator.integers(V)]).astype(np.int32)
    return rows, generator.standard_normal((len(rows), I)).astype(np.float32)


def initial_state(V: int, I: int) -> dict[str, Array]:  # noqa: E741
    weight = np.random.default_rng(1).standard_normal((V, I)).astype(np.float32)
    return {
        "weight": weight, "mean": np.zeros_like(weight), "square": np.zeros_like(weight),
        "last_steps": np.zeros(V, np.int64),
    }  # fmt: skip


def run_adam(kernel: Kernel, V: int, I: int, steps: int, *, lazy: bool, scale: float = 1.0) -> dict[str, Array]:  # noqa: E741
    state: dict[str, Any] = initial_state(V, I)
    rates = rate_table(steps)
    for step in range(1, steps + 1):
        rows, grads = gradient(step, V, I)
        if not lazy and step > 1:
            kernel.adam(**state, rates=rates[:step].copy())
        kernel.adam(**state, rates=rates[: step + 1].copy(), rows=rows, grads=grads, scale=scale)
    kernel.adam(**state, rates=rates)
    return state


SHAPES = [(1, 1), (7, 5), (37, 13), (131, 64), (300, 67)]
LARGE = (4099, 67)
"""Large enough for several threads."""


@pytest.mark.parametrize(("V", "I"), SHAPES)
def test_steps_match_float64(kernel: Kernel, V: int, I: int) -> None:  # noqa: E741
    steps, scale = 23, 0.37
    weight = initial_state(V, I)["weight"].astype(np.float64)
    mean, square = np.zeros((V, I)), np.zeros((V, I))
    rates = rate_table(steps).astype(np.float64)
    for step in range(1, steps + 1):
        rows, grads = gradient(step, V, I)
        dense = np.zeros((V, I))
        dense[rows] = scale * grads.astype(np.float64)
        mean = BETAS[0] * mean + (1 - BETAS[0]) * dense
        square = BETAS[1] * square + (1 - BETAS[1]) * dense**2
        weight -= rates[step, 0] * mean / (rates[step, 1] * np.sqrt(square) + EPSILON)
    actual = run_adam(kernel, V, I, steps, lazy=True, scale=scale)
    assert (actual.pop("last_steps") == steps).all()
    # For beta = 0.999, 1 - beta in float32 has a relative error of 3e-5.
    assert_close(actual, {"weight": weight, "mean": mean, "square": square}, 5e-5)


@pytest.mark.parametrize(("V", "I"), [*SHAPES, LARGE])
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_lazily_updated_rows_are_bit_identical_to_rows_updated_in_every_step(
    kernel: Kernel,
    V: int,
    I: int,  # noqa: E741
    threads: int,
) -> None:
    kernel.threads = threads
    lazy, eager = run_adam(kernel, V, I, 31, lazy=True), run_adam(kernel, V, I, 31, lazy=False)
    for name in lazy:
        assert lazy[name].tobytes() == eager[name].tobytes()


def test_hundreds_of_missed_steps_are_bit_identical_to_single_steps(kernel: Kernel) -> None:
    """After that many steps the mean has been a denormal and is zero."""
    results: list[dict[str, Any]] = [initial_state(7, 5), initial_state(7, 5)]
    rates = rate_table(1500)
    rows, grads = gradient(1, 7, 5)
    for state, later_steps in zip(results, (range(1500, 1501), range(2, 1501)), strict=True):
        kernel.adam(**state, rates=rates[:2].copy(), rows=rows, grads=grads)
        for step in later_steps:
            kernel.adam(**state, rates=rates[: step + 1].copy())
    assert not results[0]["mean"].any()
    for name in results[0]:
        assert results[0][name].tobytes() == results[1][name].tobytes()


def test_rows_without_gradients_do_not_change(kernel: Kernel) -> None:
    state: dict[str, Any] = initial_state(9, 5)
    before = {name: array.copy() for name, array in state.items()}
    rows, grads = np.array([6, 2], np.int32), np.ones((2, 5), np.float32)
    kernel.adam(**state, rates=rate_table(3), rows=rows, grads=grads)
    for name, array in state.items():
        assert (np.delete(array, rows, 0) == np.delete(before[name], rows, 0)).all()
        assert (array[rows] != before[name][rows]).all()
    kernel.adam(**state, rates=rate_table(3), rows=rows[:0], grads=grads[:0])
    assert list(state["last_steps"][[6, 2, 0]]) == [3, 3, 0]
