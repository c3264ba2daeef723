"""What a forward pass keeps: for its backward pass, and for whoever wants to look inside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass
class Kept:
    """Of every row, its gates after their activations and its cell.

    `gates` [N, 4, P]: sigmoid(i), sigmoid(f), tanh(g), sigmoid(o). `cells` [N, P]: c of every step.
    P is the number of units, in the compiled kernel padded to whole vectors.
    """

    gates: npt.NDArray[np.floating]
    cells: npt.NDArray[np.floating]
