"""LSTM layers that keep their activations, and the gradient of their features with respect to their inputs.

A batch holds several copies of one text, each with different word vectors. Legend: T tokens, B copies, N = T * B rows
(for each token in order, its copies), I size of a word vector, H units of a layer, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fastlstm._typing import FloatArray, IndexArray, TokenIds
from fastlstm.config import ModelConfig
from fastlstm.inference.features import POOLINGS
from fastlstm.kernel import find_kernel, reference
from fastlstm.kernel.bindings import Kernel, SavedActivations
from fastlstm.kernel.memory import BufferPool
from fastlstm.serialization import weights
from fastlstm.serialization.weights import LayerDirection, layer_weights


@dataclass(frozen=True)
class LayerPass:
    """The forward pass of one layer in one direction.

    Attributes:
        spec: Which layer and direction.
        outputs: float32 [N, H], h of every row.
        activations: Gates and cells of every row.
    """

    spec: LayerDirection
    outputs: FloatArray
    activations: SavedActivations


class DirectionalLayer:
    """One layer in one direction, on the compiled kernel or on NumPy."""

    def __init__(self, spec: LayerDirection, arrays: Mapping[str, FloatArray], kernel: Kernel | None) -> None:
        self.spec = spec
        self.weight_ih, self._weight_hh, self._bias = layer_weights(arrays, spec.prefix)
        self._kernel = kernel
        self._packed = None if kernel is None else kernel.pack(self.weight_ih, self._weight_hh, self._bias)

    def project(self, inputs: FloatArray) -> FloatArray:
        """Return W_ih x + b of each row, in the layout that `forward` expects. It is linear in the row."""
        if self._kernel is not None and self._packed is not None:
            return self._kernel.project(self._packed, inputs)
        projected: FloatArray = reference.project(inputs, self.weight_ih, self._bias)
        return projected

    def unpack_gates(self, projected: FloatArray) -> FloatArray:
        """Return rows of `project`, or linear combinations of them, as [N, 4H] in the order of the weights."""
        return projected if self._kernel is None else self._kernel.unpack_gates(projected, self.spec.hidden_size)

    def forward(self, projected: FloatArray, batch_sizes: IndexArray) -> LayerPass:
        """Run the layer on projected rows, from zero states."""
        rows, units, reverse = len(projected), self.spec.hidden_size, self.spec.reverse
        if self._kernel is not None and self._packed is not None:
            activations, index = self._kernel.allocate_activations(rows, units), np.arange(rows, dtype=np.int32)
            outputs, _, _ = self._kernel.forward(
                self._packed,
                batch_sizes,
                projected=projected,
                index=index,
                reverse=reverse,
                activations=activations,
            )
        else:
            activations = SavedActivations(
                np.empty((rows, 4, units), np.float32), np.empty((rows, units), np.float32)
            )
            outputs, _, _ = reference.recur(
                projected, batch_sizes, self._weight_hh, reverse=reverse, activations=activations
            )
        return LayerPass(self.spec, outputs, activations)

    def backward(self, layer_pass: LayerPass, batch_sizes: IndexArray, grad_outputs: FloatArray) -> FloatArray:
        """Return the gradient [N, 4H] with respect to W_ih x + b. The kernel overwrites `activations.gates`."""
        rows, units = len(layer_pass.outputs), self.spec.hidden_size
        if self._kernel is None:
            gradient: FloatArray = reference.backward(
                layer_pass.activations,
                batch_sizes,
                self._weight_hh,
                reverse=self.spec.reverse,
                grad_outputs=grad_outputs,
            )
        else:
            self._kernel.backward(
                batch_sizes,
                self._weight_hh,
                layer_pass.outputs,
                layer_pass.activations,
                reverse=self.spec.reverse,
                grad_outputs=grad_outputs,
                want_weights=False,
            )
            gradient = layer_pass.activations.gates[:, :, :units]
        return gradient.reshape(rows, 4 * units)


class Layers:
    """All LSTM layers of a model, and the pooling, in float32.

    Attributes:
        allocate: Returns a float32 array of a shape, not initialized, in memory that is reused.
    """

    def __init__(self, config: ModelConfig, arrays: Mapping[str, FloatArray]) -> None:
        self.allocate = BufferPool().take  # reuse buffers: allocating them takes as long as a pass
        kernel = find_kernel().kernel
        if kernel is not None:
            kernel = kernel.with_allocator(self.allocate)
        layers = [DirectionalLayer(spec, arrays, kernel) for spec in weights.directions(config)]
        self._layers = [
            [direction for direction in layers if direction.spec.layer == number]
            for number in range(len(config.hidden_sizes))
        ]
        self._embedding = arrays["embedding.weight"]
        self._poolings = POOLINGS[config.pooling]

    @property
    def first(self) -> Sequence[DirectionalLayer]:
        """The first layer: its forward and, in a bidirectional model, its backward direction."""
        return self._layers[0]

    def embed(self, ids: TokenIds) -> FloatArray:
        """Return the word vectors [T, I] of token ids."""
        return np.ascontiguousarray(self._embedding[ids], np.float32)

    def forward(self, projected: Sequence[FloatArray], copies: int) -> list[list[LayerPass]]:
        """Run all layers. `projected` are the inputs, projected by each direction of the first layer."""
        batch_sizes = _batch_sizes(projected[0], copies)
        passes: list[list[LayerPass]] = []
        for number, layer in enumerate(self._layers):
            if number:
                inputs = _concatenate_columns([layer_pass.outputs for layer_pass in passes[-1]])
                projected = [direction.project(inputs) for direction in layer]
            passes.append(
                [direction.forward(rows, batch_sizes) for direction, rows in zip(layer, projected, strict=True)]
            )
        return passes

    def features(self, passes: Sequence[Sequence[LayerPass]], copies: int) -> FloatArray:
        """Return the features [B, F], pooled from the last layer."""
        pooled: dict[str, list[FloatArray]] = {name: [] for name in self._poolings}
        for layer_pass in passes[-1]:
            steps = layer_pass.outputs.reshape(-1, copies, layer_pass.spec.hidden_size)
            for name, values in pooled.items():
                values.append(_pool(name, steps, layer_pass.spec.reverse))
        return np.concatenate([value for values in pooled.values() for value in values], axis=1)

    def prefix_features(self, ids: TokenIds) -> FloatArray:
        """Return the features [T, F] of each prefix of a text of T tokens. Unidirectional models only."""
        ((layer_pass,),) = self.forward([self.first[0].project(self.embed(ids))], 1)[-1:]
        outputs = layer_pass.outputs
        counts = np.arange(1, len(outputs) + 1, dtype=np.float32)[:, None]
        pooled: dict[str, FloatArray] = {"last": outputs, "last-step": outputs}
        if "max" in self._poolings:
            pooled["max"] = np.maximum.accumulate(outputs)
        if "mean" in self._poolings:
            pooled["mean"] = np.cumsum(outputs, axis=0, dtype=np.float32) / counts
        return np.concatenate([pooled[name] for name in self._poolings], axis=1)

    def backward(
        self, passes: Sequence[Sequence[LayerPass]], copies: int, grad_features: FloatArray
    ) -> list[FloatArray]:
        """Return the gradient [N, 4H] with respect to the projected inputs of each direction of the first layer.

        Args:
            passes: The result of `forward`. Their gates are overwritten.
            copies: B.
            grad_features: The gradient [B, F] with respect to the features.
        """
        batch_sizes = _batch_sizes(passes[0][0].outputs, copies)
        # Features are ordered by pooling, then by direction. All directions of a layer have the same size.
        parts = np.split(grad_features, len(self._poolings) * len(passes[-1]), axis=1)
        grads = [
            _pool_backward(
                layer_pass,
                dict(zip(self._poolings, parts[number :: len(passes[-1])], strict=True)),
                self.allocate(*layer_pass.outputs.shape),
            )
            for number, layer_pass in enumerate(passes[-1])
        ]
        for number in range(len(self._layers) - 1, -1, -1):
            layer = self._layers[number]
            grad_projected = [
                direction.backward(layer_pass, batch_sizes, grad)
                for direction, layer_pass, grad in zip(layer, passes[number], grads, strict=True)
            ]
            if not number:
                return grad_projected
            grad_inputs = sum(
                grad @ direction.weight_ih for grad, direction in zip(grad_projected, layer, strict=True)
            )
            widths = [layer_pass.spec.hidden_size for layer_pass in passes[number - 1]]
            grads = [np.ascontiguousarray(part) for part in np.split(grad_inputs, np.cumsum(widths)[:-1], axis=1)]
        raise AssertionError("a model has at least one layer")


def _batch_sizes(rows: FloatArray, copies: int) -> IndexArray:
    return np.full(len(rows) // copies, copies, np.int64)


def _concatenate_columns(arrays: Sequence[FloatArray]) -> FloatArray:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=1)


def _pool(name: str, steps: FloatArray, reverse: bool) -> FloatArray:
    """Return one pooling [B, H] of steps [T, B, H]."""
    pooled: FloatArray
    if name in ("last", "last-step"):
        pooled = steps[0 if reverse and name == "last" else -1]
    else:
        pooled = steps.max(axis=0) if name == "max" else steps.mean(axis=0)
    return pooled


def _pool_backward(layer_pass: LayerPass, grads: Mapping[str, FloatArray], grad_outputs: FloatArray) -> FloatArray:
    """Write the gradient [N, H] of the outputs to `grad_outputs`, given the gradient [B, H] of each pooling."""
    copies, units = next(iter(grads.values())).shape
    result = grad_outputs.reshape(-1, copies * units)
    result[:] = grads["mean"].ravel() / np.float32(len(result)) if "mean" in grads else 0
    for name in ("last", "last-step"):
        if name in grads:
            result[0 if layer_pass.spec.reverse and name == "last" else -1] += grads[name].ravel()
    if "max" in grads:
        result[_rows_of_maxima(layer_pass.outputs.reshape(result.shape)), np.arange(copies * units)] += grads[
            "max"
        ].ravel()
    return grad_outputs


def _rows_of_maxima(values: FloatArray) -> IndexArray:
    """Return the row [C] of the first maximum of each column of values [R, C]. Faster than `argmax` over columns."""
    maxima = np.flatnonzero(values == values.max(axis=0))[::-1]
    rows, columns = np.divmod(maxima, values.shape[1])
    result = np.zeros(values.shape[1], np.int64)
    result[columns] = rows  # of repeated columns the last one stays: the first maximum
    return result
