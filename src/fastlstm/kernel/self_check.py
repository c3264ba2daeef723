"""A comparison of the compiled kernel with the reference on this machine, in a few milliseconds."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlstm._typing import FloatArray
from fastlstm.kernel import reference
from fastlstm.kernel.bindings import Kernel

TOLERANCE = 1e-5
"""Maximum of `largest_difference` that is accepted."""

_LENGTHS = (9, 6, 6, 3, 1)
_TOKENS, _INPUTS, _UNITS = 11, 7, 19  # units: more than one vector, and not a multiple of a vector


def largest_difference(kernel: Kernel) -> float:
    """Return the largest relative difference between the kernel and the reference in float64.

    The batch is small and ragged, with initial states, in both directions, with inputs and with projected rows. A
    difference is relative to the largest value of its array. NaN in a result makes it NaN.
    """
    generator = np.random.default_rng(0)

    def normal(*shape: int, scale: float = 1) -> FloatArray:
        return (generator.standard_normal(shape) * scale).astype(np.float32)

    batch_sizes = np.array([sum(length > t for length in _LENGTHS) for t in range(max(_LENGTHS))], np.int64)
    index = generator.integers(0, _TOKENS, batch_sizes.sum(), np.int32)
    vectors = normal(_TOKENS, _INPUTS)
    weights = (
        normal(4 * _UNITS, _INPUTS, scale=_INPUTS**-0.5),
        normal(4 * _UNITS, _UNITS, scale=_UNITS**-0.5),
        normal(4 * _UNITS),
    )
    states: dict[str, Any] = {"h0": normal(len(_LENGTHS), _UNITS), "c0": normal(len(_LENGTHS), _UNITS)}

    packed = kernel.pack(*weights)
    sources: tuple[dict[str, Any], ...] = (
        {"inputs": vectors[index]},
        {"projected": kernel.project(packed, vectors), "index": index},
    )
    differences = []
    for reverse in (False, True):
        expected = reference.forward(
            vectors[index].astype(np.float64),
            batch_sizes,
            *(array.astype(np.float64) for array in weights),
            **states,
            reverse=reverse,
        )
        for source in sources:
            results = kernel.forward(packed, batch_sizes, **source, **states, reverse=reverse)
            differences += [
                abs(result - exact).max() / abs(exact).max()
                for result, exact in zip(results, expected, strict=True)
            ]
    return float(np.max(differences))
