"""One LSTM layer in one direction, ready to read: on the compiled kernel, or on NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastlstm.kernel import reference
from fastlstm.kernel.found import find

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


class Direction:
    """Weights [4H, I], [4H, H] and bias [4H], float32, gates in the order i, f, g, o. They are copied."""

    def __init__(self, weight_ih: FloatArray, weight_hh: FloatArray, bias: FloatArray) -> None:
        self._weights = weight_ih, weight_hh, bias
        self._kernel = find().kernel
        if self._kernel is not None:
            self._packed = self._kernel.pack(
                *(np.ascontiguousarray(weight, np.float32) for weight in (weight_ih, weight_hh, bias))
            )

    def forward(
        self,
        inputs: FloatArray,
        batch_sizes: IntArray,
        *,
        h0: FloatArray | None = None,
        c0: FloatArray | None = None,
        reverse: bool = False,
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Outputs [N, H] and last states h and c [B, H]. See `fastlstm.kernel.reference.forward`."""
        if self._kernel is None:
            return reference.forward(inputs, batch_sizes, *self._weights, h0=h0, c0=c0, reverse=reverse)
        return self._kernel.forward(self._packed, batch_sizes, inputs=inputs, h0=h0, c0=c0, reverse=reverse)

    def project(self, rows: FloatArray) -> FloatArray:
        """Rows [M, I] as `forward_projected` reads them, in an order of the implementation's own.

        A row's projection, and what is read from it, has the same bits whatever it is projected with.
        """
        if self._kernel is None:
            weight_ih, _, bias = self._weights
            return reference.project(rows, weight_ih, bias)
        return self._kernel.project(self._packed, rows)

    def forward_projected(
        self,
        projected: FloatArray,
        index: npt.NDArray[np.int32],
        batch_sizes: IntArray,
        *,
        h0: FloatArray | None = None,
        c0: FloatArray | None = None,
        reverse: bool = False,
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """`forward`, where step n of the packed batch reads row index[n] [N] of what `project` made."""
        if self._kernel is None:
            weight_hh = self._weights[1]
            return reference.recur(projected[index], batch_sizes, weight_hh, h0=h0, c0=c0, reverse=reverse)
        return self._kernel.forward(
            self._packed, batch_sizes, projected=projected, index=index, h0=h0, c0=c0, reverse=reverse
        )
