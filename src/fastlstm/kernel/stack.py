"""Packed weights, and stacks of layers. Dimensions as in bindings.py."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

from fastlstm._typing import FloatArray
from fastlstm.kernel.abi import PRECISIONS, InferenceArguments
from fastlstm.kernel.arguments import check_array, pointer

_POOLINGS = ("last", "max", "mean")
"""In the order of `fastlstm_pooling`."""


@dataclass(frozen=True)
class PackedWeights:
    """The weights of one direction of a layer, in the kernel's order. `I` is 0 if it reads projected rows only."""

    values: FloatArray
    I: int  # noqa: E741
    H: int
    P: int
    precision: str


class Stack:
    """Layers of one or two directions, and the projected rows that the first layer reads, for `Kernel.infer`.

    Attributes:
        state_size: S, floats of the state of a text that is read in pieces.
        feature_size: F, features of a text.
        arguments: The arguments of fastlstm_infer that do not depend on the texts.
    """

    def __init__(
        self, layers: Sequence[Sequence[PackedWeights]], projected: Sequence[FloatArray], poolings: Sequence[str]
    ) -> None:
        """Combine layers.

        Args:
            layers: From first to last; each has a forward and optionally a backward direction.
            projected: [M, 4P] from `Kernel.project`, for each direction of the first layer.
            poolings: Some of "last", "max" and "mean", in this order.

        Raises:
            ValueError: The layers do not fit together.
        """
        packed = [direction for layer in layers for direction in layer]
        directions, sizes = len(layers[0]), [layer[0].H for layer in layers]
        inputs = [packed[0].I, *(directions * size for size in sizes[:-1])]
        expected = [(I, H) for I, H in zip(inputs, sizes, strict=True) for _ in layers[0]]  # noqa: E741
        if [(direction.I, direction.H) for direction in packed] != expected:
            shapes = [[(direction.I, direction.H) for direction in layer] for layer in layers]
            raise ValueError(f"layers with input and hidden sizes {shapes} do not fit together")
        precisions = sorted({direction.precision for direction in packed})
        if len(precisions) > 1:
            raise ValueError(f"the layers are packed in {' and '.join(precisions)}; expected one precision")
        if len(projected) != directions:
            raise ValueError(f"{len(projected)} directions are projected; expected {directions}")
        for rows, direction in zip(projected, packed, strict=False):
            check_array("projected", rows, (len(projected[0]), 4 * direction.P))
        self.state_size = 2 * (sum(sizes) + sizes[-1])
        self.feature_size = len(poolings) * directions * sizes[-1]
        self._references = packed, projected  # keep the arrays alive
        self._projected = (ctypes.c_void_p * directions)(*(pointer(rows) for rows in projected))
        self._packed = (ctypes.c_void_p * len(packed))(*(pointer(direction.values) for direction in packed))
        self._sizes = (ctypes.c_int64 * len(sizes))(*sizes)
        self.arguments = InferenceArguments(
            precision=PRECISIONS.index(packed[0].precision),
            M=len(projected[0]),
            projected=ctypes.addressof(self._projected),
            directions=directions,
            layers=len(layers),
            I=packed[0].I,
            H=ctypes.addressof(self._sizes),
            packed=ctypes.addressof(self._packed),
            pooling=sum(1 << _POOLINGS.index(pooling) for pooling in poolings),
        )
