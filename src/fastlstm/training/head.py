"""The output layer of a classifier that begins from a language model: fitted first, while all below it rests.

A fresh output layer's first gradients would undo what the language model has learned. Kumar et al. (2022),
"Fine-Tuning can Distort Pretrained Features": fit the output layer alone, then all together. It is what gradual
unfreezing (Howard & Ruder 2018) does in its first epoch, by one pass over the texts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from fastlstm.training.loop import Labelled, features_of
from fastlstm.training.model import TextClassifier
from fastlstm.training.regression import regression_on

INVERSE_PENALTIES = 1e-4, 1e-3, 1e-2, 1e-1
"""scikit-learn's C: the one that validation texts like best is taken."""
SMALLEST_DEVIATION = 0.01
"""Of a feature, in units of an LSTM's output, which lies between -1 and 1: what hardly moves is not blown up."""
MOST_TEXTS = 25_000
"""That an output layer is fitted to: a beginning needs no more, and all their features are held in memory."""


def fit_head(model: TextClassifier, training: Labelled, validation: Labelled, *, balanced: bool = False) -> None:
    """Standardises the model's features, and gives it the best output layer for them, on a CPU.

    Args:
        model: with the language model's weights; its `standardise` is called.
        training: to learn from, `MOST_TEXTS` of every class its share; every class must be there. What a teacher
            says of them is left to the training that follows.
        validation: to choose the penalty by.
        balanced: texts of rare classes count more.
    """
    some = evenly(training.truth, MOST_TEXTS)
    features, truth = features_of(model, [training.texts[i] for i in some]), training.truth[some]
    center, deviation = features.mean(dim=0), features.std(dim=0).clamp_min(SMALLEST_DEVIATION)
    model.standardise(center, deviation)
    learned = (features - center) / deviation
    held_out = ((features_of(model, validation.texts) - center) / deviation).numpy()
    logits = model.output.out_features
    columns = [1] if logits == 1 else list(range(logits))
    fit = regression_on(learned, model.output.weight.device)
    best, least = None, np.inf
    for penalty in INVERSE_PENALTIES:
        fitted = [fit(truth == k, penalty, balanced) for k in columns]
        weight = np.stack([of for of, _ in fitted]).astype(np.float32)
        bias = np.array([of for _, of in fitted], np.float32)
        scores = torch.from_numpy(held_out @ weight.T + bias)
        loss = float(model.losses(scores, torch.from_numpy(validation.truth)).mean())
        if loss < least:
            best, least = (weight, bias), loss
    assert best is not None, "a loss of finite features is finite"
    with torch.no_grad():
        model.output.weight.copy_(torch.from_numpy(best[0]))
        model.output.bias.copy_(torch.from_numpy(best[1]))


def evenly(truth: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """The places of about `count` texts: of every class its share, one at least; of all where they are fewer."""
    _, first_of_each = np.unique(truth, return_index=True)
    by_class = np.argsort(truth, kind="stable")
    places: npt.NDArray[np.int64] = np.union1d(by_class[:: -(-len(truth) // count)], first_of_each)
    return places
