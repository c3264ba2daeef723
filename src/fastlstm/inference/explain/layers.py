"""LSTM layers that keep every step, and the way back from their features to the words they read.

One text is read several times side by side, each time from other word vectors. Legend: T tokens, B readings, N rows
(of the tokens in order, of each its readings), H units of a layer, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastlstm._typing import FloatArray
from fastlstm.config import ModelConfig
from fastlstm.inference.network import POOLINGS
from fastlstm.kernel import find_kernel, reference
from fastlstm.kernel.bindings import Kernel, SavedActivations
from fastlstm.kernel.memory import BufferPool
from fastlstm.serialization import weights
from fastlstm.serialization.weights import LayerDirection, layer_weights


@dataclass(frozen=True)
class LayerPass:
    """What one layer in one direction did: h after every row's step [N, H], and what `SavedActivations` says."""

    of: LayerDirection
    outputs: FloatArray
    kept: SavedActivations


class OneDirection:
    """One layer in one direction, on the compiled kernel or on NumPy."""

    def __init__(self, of: LayerDirection, arrays: Mapping[str, FloatArray], kernel: Kernel | None) -> None:
        self.of = of
        self.weight_ih, self._weight_hh, self._bias = layer_weights(arrays, of.prefix)
        self._kernel = kernel
        self._packed = None if kernel is None else kernel.pack(self.weight_ih, self._weight_hh, self._bias)

    def project(self, inputs: FloatArray) -> FloatArray:
        """W_ih x + b of rows, in an order that `forward` knows: a linear function of each row."""
        if self._kernel is not None and self._packed is not None:
            return self._kernel.project(self._packed, inputs)
        projected: FloatArray = reference.project(inputs, self.weight_ih, self._bias)
        return projected

    def forward(self, projected: FloatArray, batch_sizes: npt.NDArray[np.int64]) -> LayerPass:
        """Reads rows that are projected, from states of zero."""
        rows, units = len(projected), self.of.hidden_size
        if self._kernel is not None and self._packed is not None:
            kept, index = self._kernel.keep(rows, units), np.arange(rows, dtype=np.int32)
            outputs, _, _ = self._kernel.forward(
                self._packed, batch_sizes, projected=projected, index=index, reverse=self.of.reverse, kept=kept
            )
            return LayerPass(self.of, outputs, kept)
        kept = SavedActivations(np.empty((rows, 4, units), np.float32), np.empty((rows, units), np.float32))
        outputs, _, _ = reference.recur(projected, batch_sizes, self._weight_hh, reverse=self.of.reverse, kept=kept)
        return LayerPass(self.of, outputs, kept)

    def backward(self, done: LayerPass, batch_sizes: npt.NDArray[np.int64], grad_outputs: FloatArray) -> FloatArray:
        """[N, 4H] the gradient by every row's W_ih x + b. Of the kernel's pass, `done.kept.gates` are lost."""
        rows, units = len(done.outputs), self.of.hidden_size
        if self._kernel is None:
            gradient: FloatArray = reference.backward(
                done.kept, batch_sizes, self._weight_hh, reverse=self.of.reverse, grad_outputs=grad_outputs
            )
        else:
            self._kernel.backward(
                batch_sizes,
                self._weight_hh,
                done.outputs,
                done.kept,
                reverse=self.of.reverse,
                grad_outputs=grad_outputs,
                want_weights=False,
            )
            gradient = done.kept.gates[:, :, :units]
        return gradient.reshape(rows, 4 * units)


class Layers:
    """All layers of a model, and their pooling, in float32."""

    def __init__(self, config: ModelConfig, arrays: Mapping[str, FloatArray]) -> None:
        found = find_kernel().kernel
        # Room that the call before has left: getting it anew takes as long as the passes.
        kernel = None if found is None else found.allocating(BufferPool().take)
        made = [OneDirection(of, arrays, kernel) for of in weights.directions(config)]
        self._layers = [
            [direction for direction in made if direction.of.layer == layer]
            for layer in range(len(config.hidden_sizes))
        ]
        self._embedding = arrays["embedding.weight"]
        self._poolings = POOLINGS[config.pooling]

    @property
    def first(self) -> Sequence[OneDirection]:
        """The layer that reads words: its forward and, if there is one, its backward direction."""
        return self._layers[0]

    def words(self, ids: npt.NDArray[np.int32]) -> FloatArray:
        """[T, I] the word vectors of token ids."""
        return np.ascontiguousarray(self._embedding[ids], np.float32)

    def forward(self, projected: Sequence[FloatArray], readings: int) -> list[list[LayerPass]]:
        """What every layer did, from rows that each direction of the first one has projected."""
        batch_sizes = self._batch_sizes(projected[0], readings)
        done: list[list[LayerPass]] = []
        for number, layer in enumerate(self._layers):
            if number:
                inputs = _side_by_side([before.outputs for before in done[-1]])
                projected = [direction.project(inputs) for direction in layer]
            done.append(
                [direction.forward(rows, batch_sizes) for direction, rows in zip(layer, projected, strict=True)]
            )
        return done

    def features(self, done: Sequence[Sequence[LayerPass]], readings: int) -> FloatArray:
        """[B, F] what pooling takes of the last layer."""
        pooled: dict[str, list[FloatArray]] = {name: [] for name in self._poolings}
        for one in done[-1]:
            steps = one.outputs.reshape(-1, readings, one.of.hidden_size)
            for name, values in pooled.items():
                values.append(_pooled(name, steps, one.of.reverse))
        return np.concatenate([value for values in pooled.values() for value in values], axis=1)

    def backward(
        self, done: Sequence[Sequence[LayerPass]], readings: int, grad_features: FloatArray
    ) -> list[FloatArray]:
        """[N, 4H] of each direction of the first layer, the gradient by its projected rows.

        Args:
            done: by `forward`; the gates that it kept are lost.
            readings: B.
            grad_features: [B, F].
        """
        batch_sizes = self._batch_sizes(done[0][0].outputs, readings)
        # By pooling, and within each by direction; all directions of a layer have as many units.
        parts = np.split(grad_features, len(self._poolings) * len(done[-1]), axis=1)
        grads = [
            _unpooled(one, readings, dict(zip(self._poolings, parts[number :: len(done[-1])], strict=True)))
            for number, one in enumerate(done[-1])
        ]
        for number in range(len(self._layers) - 1, -1, -1):
            layer = self._layers[number]
            by_rows = [
                direction.backward(one, batch_sizes, grad)
                for direction, one, grad in zip(layer, done[number], grads, strict=True)
            ]
            if not number:
                return by_rows
            by_inputs = sum(rows @ direction.weight_ih for rows, direction in zip(by_rows, layer, strict=True))
            widths = [one.of.hidden_size for one in done[number - 1]]
            grads = [np.ascontiguousarray(part) for part in np.split(by_inputs, np.cumsum(widths)[:-1], axis=1)]
        raise AssertionError("a model has a layer")

    @staticmethod
    def _batch_sizes(rows: FloatArray, readings: int) -> npt.NDArray[np.int64]:
        return np.full(len(rows) // readings, readings, np.int64)


def _side_by_side(arrays: Sequence[FloatArray]) -> FloatArray:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=1)


def _pooled(name: str, steps: FloatArray, reverse: bool) -> FloatArray:
    """[B, H] of steps [T, B, H]."""
    pooled: FloatArray
    if name == "last":
        pooled = steps[0 if reverse else -1]
    else:
        pooled = steps.max(axis=0) if name == "highest" else steps.mean(axis=0)
    return pooled


def _unpooled(one: LayerPass, readings: int, grads: Mapping[str, FloatArray]) -> FloatArray:
    """[N, H] the gradient by a direction's outputs, from that by what was pooled of them."""
    steps = one.outputs.reshape(-1, readings, one.of.hidden_size)
    result = np.zeros_like(steps)
    for name, grad in grads.items():
        if name == "last":
            result[0 if one.of.reverse else -1] += grad
        elif name == "highest":
            highest = steps.argmax(axis=0)[None]
            np.put_along_axis(result, highest, np.take_along_axis(result, highest, 0) + grad, 0)
        else:
            result += grad / len(steps)
    by_outputs: FloatArray = result.reshape(one.outputs.shape)
    return by_outputs
