"""How likely validation texts find their true classes: what calibration and blending maximise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import log_expit, log_softmax

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.int64]


def log_probabilities(logits: Floats, sigmoid: bool) -> Floats:
    """[n, classes] logarithms of the probabilities that inference gives for these logits [n, logits]."""
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    elif sigmoid:  # each one's sigmoid, scaled to sum 1
        logits = log_expit(logits)
    result: Floats = log_softmax(logits, axis=1)
    return result


def targets(truth: Truth, classes: int) -> Floats:
    """[n, classes] what the probabilities should be: nearly 1 for the truth.

    As if one more text had been seen, of the other classes (Platt 1999): however well validation goes, a finite
    number of texts makes nothing certain, and texts without a mistake still give a finite temperature.
    """
    wrong = 1 / (len(truth) + 2)
    targets = np.full((len(truth), classes), wrong / (classes - 1))
    targets[np.arange(len(truth)), truth] = 1 - wrong
    return targets
