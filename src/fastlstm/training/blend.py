"""How much the LSTM and the wide part each count, so that together they find validation texts likely."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from fastlstm.training.likelihood import log_probabilities, targets
from fastlstm.training.wide import Wide

Single = npt.NDArray[np.float32]
Truth = npt.NDArray[np.int64]

LARGEST = 20.0
USUAL = 0.5
"""Where a share begins, and stays where there are no texts to tell otherwise: both parts count half."""
WEIGHT_OF_THE_USUAL = 4.0
"""How many nats it costs, over all texts, to move a share away from it by one: few texts can't move it far."""


@dataclass(frozen=True)
class Blend:
    """Logits are `lstm` times the LSTM's and `wide` times the wide part's."""

    lstm: float = 1.0
    wide: float = 1.0

    def apply(self, logits: Single, evidence: Single) -> Single:
        """[n, logits] of the two parts' [n, logits]."""
        mixed: Single = np.float32(self.lstm) * logits + np.float32(self.wide) * evidence
        return mixed

    def folded(self, arrays: Mapping[str, Single], wide: Wide) -> dict[str, Single]:
        """The model's weights, the wide part's among them, with the blend in both."""
        lstm, share = np.float32(self.lstm), np.float32(self.wide)
        return {
            **arrays,
            "output.weight": arrays["output.weight"] * lstm,
            "output.bias": arrays["output.bias"] * lstm + wide.bias * share,
            "wide.weight": wide.weight * share,
        }


def fit_blend(logits: Single, evidence: Single, truth: Truth, *, sigmoid: bool) -> Blend:
    """The two shares, from 0 to `LARGEST`, that validation texts ask for: of few texts, near the usual ones.

    Args:
        logits: [n, logits] of the LSTM.
        evidence: [n, logits] of the wide part, its bias included.
        truth: [n] the index of each text's class.
        sigmoid: whether probabilities are those of a sigmoid.
    """
    parts = logits.astype(np.float64), evidence.astype(np.float64)
    expected = targets(truth, max(logits.shape[1], 2))

    def loss(shares: npt.NDArray[np.float64]) -> float:
        mixed = shares[0] * parts[0] + shares[1] * parts[1]
        moved = WEIGHT_OF_THE_USUAL * float(((shares - USUAL) ** 2).sum())
        return (moved - float((expected * log_probabilities(mixed, sigmoid)).sum())) / len(truth)

    found = minimize(loss, [USUAL, USUAL], method="Nelder-Mead", bounds=[(0, LARGEST)] * 2, options={"xatol": 1e-4})
    lstm, wide = (float(f"{share:.4g}") for share in found.x)
    return Blend(lstm, wide)
