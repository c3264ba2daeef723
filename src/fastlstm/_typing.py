"""Array types shared by all modules."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

AnyArray = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
TokenIds = npt.NDArray[np.int32]
"""Token ids and n-gram ids."""
IndexArray = npt.NDArray[np.int64]
"""Lengths, positions, class indices."""
HashArray = npt.NDArray[np.uint64]
