"""Whether the compiled kernel computes on this machine what the reference defines, in a few milliseconds."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm._typing import FloatArray
from fastlstm.kernel import reference
from fastlstm.kernel.bindings import Kernel

TOLERANCE = 1e-5
"""What `largest_difference` may be."""

_LENGTHS = (9, 6, 6, 3, 1)
_WORDS, _INPUTS, _UNITS = 11, 7, 19  # units: more than one vector, and no whole number of them


def largest_difference(kernel: Kernel) -> float:
    """How far the kernel is from the reference in float64, on a small ragged batch with states.

    It is the largest difference in an array over the largest number there, of both directions, read from inputs
    and from projected rows; NaN where one came.
    """
    generator = np.random.default_rng(0)

    def normal(*shape: int, scale: float = 1) -> FloatArray:
        return (generator.standard_normal(shape) * scale).astype(np.float32)

    batch_sizes = np.array([sum(length > t for length in _LENGTHS) for t in range(max(_LENGTHS))], np.int64)
    index = generator.integers(0, _WORDS, batch_sizes.sum(), np.int32)
    words = normal(_WORDS, _INPUTS)
    weights = (
        normal(4 * _UNITS, _INPUTS, scale=_INPUTS**-0.5),
        normal(4 * _UNITS, _UNITS, scale=_UNITS**-0.5),
        normal(4 * _UNITS),
    )
    states: dict[str, Any] = {"h0": normal(len(_LENGTHS), _UNITS), "c0": normal(len(_LENGTHS), _UNITS)}

    packed = kernel.pack(*weights)
    ways: tuple[dict[str, Any], ...] = (
        {"inputs": words[index]},
        {"projected": kernel.project(packed, words), "index": index},
    )
    differences = []
    for reverse in (False, True):
        expected = reference.forward(
            words[index].astype(np.float64),
            batch_sizes,
            *(array.astype(np.float64) for array in weights),
            **states,
            reverse=reverse,
        )
        for read in ways:
            came = kernel.forward(packed, batch_sizes, **read, **states, reverse=reverse)
            differences += [
                abs(array - exact).max() / abs(exact).max() for array, exact in zip(came, expected, strict=True)
            ]
    return float(np.max(differences))
