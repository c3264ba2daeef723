"""One direction's LSTM layers, one over the other, from given states to their last, on the kernel or on NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fastlstm.kernel import find, reference

FloatArray = npt.NDArray[np.float32]
States = list[tuple[FloatArray, FloatArray]]
"""h and c [B, H] of every layer."""


class Recurrence:
    """Layers that all read forward."""

    def __init__(self, layers: Sequence[tuple[FloatArray, FloatArray, FloatArray]]) -> None:
        """`layers`: W_ih [4H, I], W_hh [4H, H] and bias [4H] of each."""
        self._layers = layers
        self._kernel = find().kernel
        self._packed = None if self._kernel is None else [self._kernel.pack(*layer) for layer in layers]

    @classmethod
    def of(cls, arrays: Mapping[str, FloatArray], direction: str, layers: int) -> Recurrence:
        """That of weights with the names of `fastlstm.weights`."""
        return cls([layer_weights(arrays, f"lstm.{layer}.{direction}") for layer in range(layers)])

    def __call__(
        self, inputs: FloatArray, batch_sizes: npt.NDArray[np.int64], states: States | None = None
    ) -> tuple[FloatArray, States]:
        """The last layer's outputs [N, H] for packed rows [N, I], and the states after each sequence's last."""
        after: States = []
        for number, (weight_ih, weight_hh, bias) in enumerate(self._layers):
            h0, c0 = states[number] if states else (None, None)
            if self._kernel is not None and self._packed is not None:
                inputs, h, c = self._kernel.forward(self._packed[number], batch_sizes, inputs=inputs, h0=h0, c0=c0)
            else:
                inputs, h, c = reference.forward(inputs, batch_sizes, weight_ih, weight_hh, bias, h0=h0, c0=c0)
            after.append((h, c))
        return inputs, after


def layer_weights(arrays: Mapping[str, FloatArray], prefix: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """W_ih [4H, I], W_hh [4H, H] and bias [4H] of the layer and direction that `prefix` names."""
    weight_ih, weight_hh, bias = (
        np.ascontiguousarray(arrays[f"{prefix}.{name}"], np.float32) for name in ("weight_ih", "weight_hh", "bias")
    )
    return weight_ih, weight_hh, bias
