"""Logistic regression on dense features: scikit-learn's on a CPU, and the same by PyTorch on a GPU."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional

Floats = npt.NDArray[np.float64]
Regression = Callable[[npt.NDArray[np.bool_], float, bool], tuple[Floats, float]]
"""Which texts are inside [n], scikit-learn's C, and whether both kinds count alike -> weight [F] and bias."""

MOST_ITERATIONS = 200
SMALLEST_SLOPE = 1e-4
"""Where the search ends, as scikit-learn's."""


def regression_on(features: Tensor, device: torch.device) -> Regression:
    """Fits on `features` [n, F], on the device."""
    return _by_scikit_learn(features) if device.type == "cpu" else _by_pytorch(features.to(device))


def _by_scikit_learn(features: Tensor) -> Regression:
    learned = features.numpy()

    def fit(inside: npt.NDArray[np.bool_], inverse_penalty: float, balanced: bool) -> tuple[Floats, float]:
        weights = "balanced" if balanced else None
        regression = LogisticRegression(C=inverse_penalty, max_iter=MOST_ITERATIONS, class_weight=weights)
        regression.fit(learned, inside)
        return regression.coef_[0], float(regression.intercept_[0])

    return fit


def _by_pytorch(features: Tensor) -> Regression:
    def fit(inside: npt.NDArray[np.bool_], inverse_penalty: float, balanced: bool) -> tuple[Floats, float]:
        truth = torch.from_numpy(inside).to(features.device, features.dtype)
        share = float(inside.mean())
        counts = torch.where(truth > 0, 0.5 / share, 0.5 / (1 - share)) if balanced else torch.ones_like(truth)
        penalty = 1 / (inverse_penalty * len(truth))

        def loss(parameters: Floats) -> tuple[float, Floats]:
            weight = torch.from_numpy(parameters[:-1]).to(features.device, features.dtype)
            logits = features @ weight + float(parameters[-1])
            lost = functional.binary_cross_entropy_with_logits(logits, truth, weight=counts)
            slopes = (torch.sigmoid(logits) - truth) * counts / len(truth)
            gradient = torch.cat([slopes @ features + penalty * weight, slopes.sum()[None]])
            total = float(lost) + 0.5 * penalty * float(weight.square().sum())
            return total, gradient.double().cpu().numpy()

        options = {"maxiter": MOST_ITERATIONS, "gtol": SMALLEST_SLOPE}
        found = minimize(loss, np.zeros(features.shape[1] + 1), jac=True, method="L-BFGS-B", options=options)
        return found.x[:-1], float(found.x[-1])

    return fit
