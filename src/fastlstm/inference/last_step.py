"""Features of pooling "last-step": what each direction of the last layer returns at the last token.

Forward, that is the last state. Backward, it is the state after one step from zero, which reads the last token only.
The kernel returns last states only, so one step is added for each layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fastlstm._typing import FloatArray
from fastlstm.kernel import reference

LayerWeights = tuple[FloatArray, FloatArray, FloatArray]
"""W_ih, W_hh and bias of one layer in one direction."""


def last_step_features(
    layers: Sequence[Sequence[LayerWeights]], vectors: FloatArray, last_states: Callable[[int], FloatArray]
) -> FloatArray:
    """Return the features [B, F] of each text.

    Args:
        layers: From first to last; each has a forward and optionally a backward direction.
        vectors: [B, E], the word vectors of the last token of each text.
        last_states: Returns [B, directions * H], the last states of the first n layers' last layer.
    """
    if len(layers[0]) == 1:
        return last_states(len(layers))
    inputs = vectors
    for number, layer in enumerate(layers, start=1):
        weight_ih, weight_hh, bias = layer[1]
        backward, _, _ = reference.recur(
            reference.project(inputs, weight_ih, bias), np.array([len(inputs)], np.int64), weight_hh
        )
        inputs = np.concatenate([last_states(number)[:, : weight_hh.shape[1]], backward], axis=1)
    return inputs
