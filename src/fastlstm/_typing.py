"""Array types shared by all modules."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
TokenIds = npt.NDArray[np.int32]
IndexArray = npt.NDArray[np.int64]
"""Lengths, positions, class indices."""
HashArray = npt.NDArray[np.uint64]
