"""Weights as the kernel reads them, and layers of them put together. Legend as in native.py."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

from fastlstm._typing import FloatArray
from fastlstm.kernel.abi import PRECISIONS, Texts
from fastlstm.kernel.arguments import check_array, pointer


@dataclass(frozen=True)
class PackedWeights:
    """One direction's weights as the kernel reads them; `I` is 0 where only projected rows will be read."""

    values: FloatArray
    I: int  # noqa: E741
    H: int
    P: int
    precision: str


class Stack:
    """Layers of one or two directions, and what their first makes of every word, as `Kernel.texts` reads them."""

    def __init__(
        self, layers: Sequence[Sequence[PackedWeights]], projected: Sequence[FloatArray], poolings: Sequence[str]
    ) -> None:
        """Puts a stack together.

        Args:
            layers: from the first to the last, of each its forward and, if there is one, its backward direction.
            projected: [M, 4P] by `Kernel.project`, of each direction of the first layer.
            poolings: some of "last", "highest" and "mean", in this order.
        """
        packed = [direction for layer in layers for direction in layer]
        sizes = [layer[0].H for layer in layers]
        inputs = [packed[0].I, *(len(layers[0]) * size for size in sizes[:-1])]
        expected = [(I, H) for I, H in zip(inputs, sizes, strict=True) for _ in layers[0]]  # noqa: E741
        if [(direction.I, direction.H) for direction in packed] != expected:
            came = [[(direction.I, direction.H) for direction in layer] for layer in layers]
            raise ValueError(f"layers of inputs and units {came} do not fit each other")
        if len({direction.precision for direction in packed}) > 1:
            raise ValueError(
                f"layers are packed in {sorted({of.precision for of in packed})}; expected one precision"
            )
        if len(projected) != len(layers[0]):
            raise ValueError(f"{len(projected)} directions are projected; expected {len(layers[0])}")
        for rows, direction in zip(projected, packed, strict=False):
            check_array("projected", rows, (len(projected[0]), 4 * direction.P))
        self.state = 2 * (sum(sizes) + sizes[-1])
        self.features = len(poolings) * len(layers[0]) * sizes[-1]
        self._alive = packed, projected
        self._projected = (ctypes.c_void_p * len(projected))(*(pointer(rows) for rows in projected))
        self._packed = (ctypes.c_void_p * len(packed))(*(pointer(direction.values) for direction in packed))
        self._sizes = (ctypes.c_int64 * len(sizes))(*sizes)
        self.arguments = Texts(
            precision=PRECISIONS.index(packed[0].precision),
            M=len(projected[0]),
            projected=ctypes.addressof(self._projected),
            directions=len(layers[0]),
            layers=len(layers),
            I=packed[0].I,
            H=ctypes.addressof(self._sizes),
            packed=ctypes.addressof(self._packed),
            pooling=sum(1 << ("last", "highest", "mean").index(pooling) for pooling in poolings),
        )
