"""Token ids -> features: the LSTM layers and their pooling, on the compiled kernel or on NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fastlstm import weights
from fastlstm.batches import Distinct, lengths_of, packed
from fastlstm.config import ModelConfig
from fastlstm.inference.recurrence import layer_weights
from fastlstm.kernel import reference
from fastlstm.kernel.native import Kernel
from fastlstm.kernel.stack import Stack

FloatArray = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]

TABLE_BYTES = 128 << 20
"""Vocabularies whose projections take more than this are projected word by word as they come."""
NUMPY_TEXTS = 256
"""Texts that NumPy reads together."""
POOLINGS = {"last": ("last",), "max": ("highest",), "mean": ("mean",), "concat": ("last", "highest", "mean")}


class KernelFeatures:
    """What the kernel makes of texts.

    Every word is projected by the first layer's input weights before any is read: those of a call once each, and
    when as many have been as the vocabulary has, all of it for good, as a table of at most `TABLE_BYTES`.
    """

    def __init__(
        self, config: ModelConfig, arrays: Mapping[str, FloatArray], kernel: Kernel, precision: str
    ) -> None:
        """`precision`: one of `kernel.abi.PRECISIONS` that the kernel has."""
        self._kernel = kernel
        self._embedding = np.ascontiguousarray(arrays["embedding.weight"], np.float32)
        of_layers = [
            [layer_weights(arrays, spec.prefix) for spec in weights.directions(config) if spec.layer == layer]
            for layer in range(len(config.hidden_sizes))
        ]
        # Words are projected in float32, so what the first layer reads of them is never rounded.
        self._projections = [kernel.pack(*direction) for direction in of_layers[0]]
        self._layers = [
            [kernel.pack(ih if layer else None, hh, bias, precision) for ih, hh, bias in directions]
            for layer, directions in enumerate(of_layers)
        ]
        self._poolings = POOLINGS[config.pooling]
        self._sizes = config.hidden_sizes
        self._row_bytes = 16 * sum(direction.P for direction in self._projections)
        self._projected = 0
        self._table: Stack | None = None

    def __call__(self, texts: Sequence[Ids]) -> FloatArray:
        """[texts, F] for texts in any order, of at least one token each."""
        ids = np.concatenate(texts)
        starts = np.zeros(len(texts) + 1, np.int64)
        np.cumsum(lengths_of(texts), out=starts[1:])
        if self._table is not None:
            return self._kernel.texts(self._table, starts, ids)
        read = Distinct.of(ids)
        features = self._kernel.texts(self._stack(self._embedding[read.ids]), starts, read.index)
        self._projected += len(read.ids)
        if self._projected >= len(self._embedding):
            self.project_all()
        return features

    def project_all(self) -> None:
        """Makes the table, where it is small enough."""
        words = len(self._embedding)
        if self._table is None and words * self._row_bytes <= TABLE_BYTES:
            self._table = self._stack(self._embedding)

    @property
    def state(self) -> int:
        """Numbers that `pieces` keeps of a text: h and c of each layer, of the last the highest h and their sum."""
        return _state_size(self._sizes)

    def pieces(self, texts: Sequence[Ids], states: FloatArray, read: npt.NDArray[np.int64]) -> FloatArray:
        """[n, F] of texts of which [n] `read` tokens were read before, which left the states [n, S].

        Both are changed in place to what these pieces leave. Models of one direction only.

        Args:
            texts: the pieces to read now, of at least one token each.
            states: float32; whatever stands there where nothing was read before.
            read: int64.
        """
        ids = texts[0] if len(texts) == 1 else np.concatenate(texts)
        starts = np.zeros(len(texts) + 1, np.int64)
        np.cumsum([len(text) for text in texts], out=starts[1:])
        if self._table is not None:
            return self._kernel.texts(self._table, starts, ids, states=states, read=read)
        distinct = Distinct.of(ids)
        stack = self._stack(self._embedding[distinct.ids])
        return self._kernel.texts(stack, starts, distinct.index, states=states, read=read)

    def of_state(self, states: FloatArray, read: int) -> FloatArray:
        """[1, F] as `pieces` gave them when it left these states [1, S] after `read` tokens, at least one."""
        return _of_state(states, read, self._sizes, self._poolings)

    def _stack(self, rows: FloatArray) -> Stack:
        projected = [self._kernel.project(direction, rows) for direction in self._projections]
        return Stack(self._layers, projected, self._poolings)


class NumPyFeatures:
    """What the reference makes of texts."""

    def __init__(self, config: ModelConfig, arrays: Mapping[str, FloatArray]) -> None:
        self._embedding = arrays["embedding.weight"]
        self._directions = [(spec, layer_weights(arrays, spec.prefix)) for spec in weights.directions(config)]
        self._poolings = POOLINGS[config.pooling]
        self._sizes = config.hidden_sizes
        self._size = weights.feature_size(config)

    def __call__(self, texts: Sequence[Ids]) -> FloatArray:
        """[texts, F] for texts in any order, of at least one token each."""
        features = np.empty((len(texts), self._size), np.float32)
        order = np.argsort(-lengths_of(texts), kind="stable")
        for start in range(0, len(texts), NUMPY_TEXTS):
            members = order[start : start + NUMPY_TEXTS]
            features[members] = self._read([texts[i] for i in members])
        return features

    def project_all(self) -> None:
        """Nothing: NumPy keeps no table."""

    @property
    def state(self) -> int:
        """As that of `KernelFeatures`."""
        return _state_size(self._sizes)

    def pieces(self, texts: Sequence[Ids], states: FloatArray, read: npt.NDArray[np.int64]) -> FloatArray:
        """As that of `KernelFeatures`."""
        rows = [self._piece(ids, states[k : k + 1], read[k : k + 1]) for k, ids in enumerate(texts)]
        return np.concatenate(rows)

    def _piece(self, ids: Ids, states: FloatArray, read: npt.NDArray[np.int64]) -> FloatArray:
        size = self._sizes[-1]
        if not read[0]:
            states[:] = 0
            states[:, -2 * size : -size] = -np.inf
        inputs, at, steps = self._embedding[ids], 0, np.ones(len(ids), np.int64)
        for (_, weights_of), size in zip(self._directions, self._sizes, strict=True):
            h, c = states[:, at : at + size], states[:, at + size : at + 2 * size]
            inputs, h[:], c[:] = reference.forward(inputs, steps, *weights_of, h0=h, c0=c)
            at += 2 * size
        highest, total = states[0, at : at + size], states[0, at + size :]
        for step in inputs:
            np.maximum(highest, step, out=highest)
            total += step
        read += len(ids)
        return self.of_state(states, int(read[0]))

    def of_state(self, states: FloatArray, read: int) -> FloatArray:
        """As that of `KernelFeatures`."""
        return _of_state(states, read, self._sizes, self._poolings)

    def _read(self, texts: Sequence[Ids]) -> FloatArray:
        """The features of texts that are sorted by length, longest first."""
        batch = packed(texts)
        read = batch.distinct
        words = self._embedding[read.ids]
        outputs: list[FloatArray] = []
        for spec, (weight_ih, weight_hh, bias) in self._directions:
            if not spec.reverse:
                inputs, outputs, last = outputs, [], []
            if spec.layer == 0:  # a word is projected once, however often it is read
                projected = reference.project(words, weight_ih, bias)[read.index]
            else:
                projected = reference.project(np.concatenate(inputs, axis=1), weight_ih, bias)
            of_steps, h_n, _ = reference.recur(projected, batch.batch_sizes, weight_hh, reverse=spec.reverse)
            outputs.append(of_steps)
            last.append(h_n)
        pooled = _pool(np.concatenate(outputs, axis=1), np.concatenate(last, axis=1), batch.batch_sizes)
        return np.concatenate([pooled[pooling] for pooling in self._poolings], axis=1)


def _state_size(sizes: Sequence[int]) -> int:
    return 2 * (sum(sizes) + sizes[-1])


def _of_state(states: FloatArray, read: int, sizes: Sequence[int], poolings: Sequence[str]) -> FloatArray:
    size = sizes[-1]
    parts = {
        "last": states[:, -4 * size : -3 * size],
        "highest": states[:, -2 * size : -size],
        "mean": states[:, -size:] / np.float32(read),
    }
    return np.concatenate([parts[pooling] for pooling in poolings], axis=1)


def _pool(outputs: FloatArray, last: FloatArray, batch_sizes: npt.NDArray[np.int64]) -> dict[str, FloatArray]:
    """Name -> [B, H], from the outputs [N, H] of all steps and the last states [B, H]."""
    total, highest = np.zeros_like(last), np.full_like(last, -np.inf)
    steps = np.zeros((len(last), 1), np.float32)
    start = 0
    for running in batch_sizes:
        step = outputs[start : start + running]
        total[:running] += step
        steps[:running] += 1
        np.maximum(highest[:running], step, out=highest[:running])
        start += running
    return {"last": last, "highest": highest, "mean": total / steps}
