"""The LSTM layers and pooling: token ids -> features of texts, on the compiled kernel or on NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fastlstm._typing import FloatArray, IndexArray, TokenIds
from fastlstm.config import ModelConfig
from fastlstm.inference.last_step import LayerWeights, last_step_features
from fastlstm.kernel import reference
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.stack import Stack
from fastlstm.kernel.stream import LSTMReader
from fastlstm.serialization import weights
from fastlstm.serialization.weights import layer_weights
from fastlstm.text.batches import DistinctTokens, join_texts, lengths_of, pack_batch
from fastlstm.text.tokenizer import PADDING_ID

MAX_TABLE_BYTES = 128 << 20
"""The projections of a whole vocabulary are cached only if they take at most this many bytes."""
NUMPY_BATCH_SIZE = 256
"""Texts per batch on NumPy."""
EMPTY_TEXT_ID = PADDING_ID
"""The only id of a text without tokens, if `ModelConfig.empty_text` is "zeros" and padding is not read."""
POOLINGS = {
    "last": ("last",),
    "max": ("max",),
    "mean": ("mean",),
    "concat": ("last", "max", "mean"),
    "last-step": ("last-step",),
}
"""`ModelConfig.pooling` -> the poolings whose results are concatenated, in this order."""


class KernelFeatures:
    """The LSTM layers and pooling on the compiled kernel: token ids -> features [texts, F].

    The first layer's input projection is computed once per distinct token of a call. After as many projections as
    the vocabulary has entries, all of them are cached in a table of at most `MAX_TABLE_BYTES`.
    """

    def __init__(
        self, config: ModelConfig, arrays: Mapping[str, FloatArray], kernel: Kernel, precision: str
    ) -> None:
        """Pack the weights. `precision` is one of `kernel.abi.PRECISIONS` that the kernel supports."""
        self._kernel = kernel
        self._embedding = np.ascontiguousarray(arrays["embedding.weight"], np.float32)
        layers = [
            [layer_weights(arrays, spec.prefix) for spec in weights.directions(config) if spec.layer == layer]
            for layer in range(len(config.hidden_sizes))
        ]
        self._last_step_layers = layers if config.pooling == "last-step" and config.bidirectional else None
        # Word vectors are projected in float32, so the first layer's input is never rounded.
        self._projections = [kernel.pack(*direction) for direction in layers[0]]
        self._layers = [
            [kernel.pack(ih if layer else None, hh, bias, precision) for ih, hh, bias in directions]
            for layer, directions in enumerate(layers)
        ]
        self._poolings = ("last",) if config.pooling == "last-step" else POOLINGS[config.pooling]
        self._hidden_sizes = config.hidden_sizes
        self._row_bytes = 16 * sum(direction.P for direction in self._projections)
        self._projected_count = 0
        self._table: Stack | None = None

    def __call__(self, texts: Sequence[TokenIds]) -> FloatArray:
        """Return the features [texts, F] of texts in any order, each with at least one token."""
        ids, starts = join_texts(texts)
        if self._last_step_layers is not None:
            return self._last_step_features(self._last_step_layers, ids, starts)
        if self._table is not None:
            return self._kernel.infer(self._table, starts, ids)
        distinct = DistinctTokens.from_ids(ids)
        features = self._kernel.infer(self._stack(self._embedding[distinct.ids]), starts, distinct.index)
        self._projected_count += len(distinct.ids)
        if self._projected_count >= len(self._embedding):
            self.project_all()
        return features

    def _last_step_features(
        self, layers: Sequence[Sequence[LayerWeights]], ids: TokenIds, starts: IndexArray
    ) -> FloatArray:
        distinct = DistinctTokens.from_ids(ids)
        projected = [
            self._kernel.project(direction, self._embedding[distinct.ids]) for direction in self._projections
        ]

        def last_states(count: int) -> FloatArray:
            return self._kernel.infer(Stack(self._layers[:count], projected, ("last",)), starts, distinct.index)

        return last_step_features(layers, self._embedding[ids[starts[1:] - 1]], last_states)

    def project_all(self) -> None:
        """Cache the projections of the whole vocabulary, if they fit into `MAX_TABLE_BYTES`."""
        if self._table is None and len(self._embedding) * self._row_bytes <= MAX_TABLE_BYTES:
            self._table = self._stack(self._embedding)

    @property
    def state_size(self) -> int:
        """S, the size of a text's state in `advance`: h and c of each layer, then max and sum of the last h."""
        return _state_size(self._hidden_sizes)

    def advance(self, pieces: Sequence[TokenIds], states: FloatArray, token_counts: IndexArray) -> FloatArray:
        """Process the next piece of each text and return the features [n, F] so far. Unidirectional models only.

        Args:
            pieces: n pieces of at least one token each.
            states: float32 [n, S], updated in place. The values of a text without earlier pieces are ignored.
            token_counts: int64 [n], tokens in the earlier pieces, updated in place.
        """
        ids, starts = join_texts(pieces)
        if self._table is not None:
            return self._kernel.infer(self._table, starts, ids, states=states, steps_read=token_counts)
        distinct = DistinctTokens.from_ids(ids)
        stack = self._stack(self._embedding[distinct.ids])
        return self._kernel.infer(stack, starts, distinct.index, states=states, steps_read=token_counts)

    def pool_state(self, states: FloatArray, token_count: int) -> FloatArray:
        """Return the features [1, F] of `states` [1, S], as `advance` left them after `token_count` tokens."""
        return _pool_state(states, token_count, self._hidden_sizes, self._poolings)

    def start_text(self) -> LSTMReader | None:
        """Return an empty text, to be read in pieces as by `advance`, only faster; None without a table."""
        return None if self._table is None else self._kernel.start_text(self._table)

    def _stack(self, rows: FloatArray) -> Stack:
        projected = [self._kernel.project(direction, rows) for direction in self._projections]
        return Stack(self._layers, projected, self._poolings)


class NumPyFeatures:
    """The LSTM layers and pooling on the NumPy reference. Same methods as `KernelFeatures`."""

    def __init__(self, config: ModelConfig, arrays: Mapping[str, FloatArray]) -> None:
        self._embedding = arrays["embedding.weight"]
        self._directions = [(spec, layer_weights(arrays, spec.prefix)) for spec in weights.directions(config)]
        self._poolings = POOLINGS[config.pooling]
        self._hidden_sizes = config.hidden_sizes
        self._size = weights.feature_size(config)

    def __call__(self, texts: Sequence[TokenIds]) -> FloatArray:
        """Return the features [texts, F] of texts in any order, each with at least one token."""
        features = np.empty((len(texts), self._size), np.float32)
        order = np.argsort(-lengths_of(texts), kind="stable")
        for start in range(0, len(texts), NUMPY_BATCH_SIZE):
            members = order[start : start + NUMPY_BATCH_SIZE]
            features[members] = self._batch_features([texts[i] for i in members])
        return features

    def project_all(self) -> None:
        """Do nothing: there is no table on NumPy."""

    @property
    def state_size(self) -> int:
        """See `KernelFeatures.state_size`."""
        return _state_size(self._hidden_sizes)

    def advance(self, pieces: Sequence[TokenIds], states: FloatArray, token_counts: IndexArray) -> FloatArray:
        """See `KernelFeatures.advance`."""
        rows = [self._advance_one(ids, states[k : k + 1], token_counts[k : k + 1]) for k, ids in enumerate(pieces)]
        return np.concatenate(rows)

    def _advance_one(self, ids: TokenIds, states: FloatArray, token_counts: IndexArray) -> FloatArray:
        size = self._hidden_sizes[-1]
        if not token_counts[0]:
            states[:] = 0
            states[:, -2 * size : -size] = -np.inf
        inputs, offset, batch_sizes = self._embedding[ids], 0, np.ones(len(ids), np.int64)
        for (_, layer), size in zip(self._directions, self._hidden_sizes, strict=True):
            h, c = states[:, offset : offset + size], states[:, offset + size : offset + 2 * size]
            inputs, h[:], c[:] = reference.forward(inputs, batch_sizes, *layer, h0=h, c0=c)
            offset += 2 * size
        maximum, total = states[0, offset : offset + size], states[0, offset + size :]
        for step in inputs:
            np.maximum(maximum, step, out=maximum)
            total += step
        token_counts += len(ids)
        return self.pool_state(states, int(token_counts[0]))

    def start_text(self) -> None:
        """See `KernelFeatures.start_text`."""

    def pool_state(self, states: FloatArray, token_count: int) -> FloatArray:
        """See `KernelFeatures.pool_state`."""
        return _pool_state(states, token_count, self._hidden_sizes, self._poolings)

    def _batch_features(self, texts: Sequence[TokenIds]) -> FloatArray:
        """Return the features of texts sorted by length, longest first."""
        batch = pack_batch(texts)
        distinct = batch.distinct
        vectors = self._embedding[distinct.ids]
        outputs: list[FloatArray] = []
        for spec, (weight_ih, weight_hh, bias) in self._directions:
            if not spec.reverse:
                inputs, outputs, last = outputs, [], []
            if spec.layer == 0:  # each distinct token is projected once
                projected = reference.project(vectors, weight_ih, bias)[distinct.index]
            else:
                projected = reference.project(np.concatenate(inputs, axis=1), weight_ih, bias)
            direction_outputs, h_n, _ = reference.recur(
                projected, batch.batch_sizes, weight_hh, reverse=spec.reverse
            )
            outputs.append(direction_outputs)
            last.append(h_n)
        all_outputs = np.concatenate(outputs, axis=1)
        if self._poolings == ("last-step",):
            return all_outputs[batch.last_rows()]
        pooled = _pool(all_outputs, np.concatenate(last, axis=1), batch.batch_sizes)
        return np.concatenate([pooled[pooling] for pooling in self._poolings], axis=1)


def _state_size(hidden_sizes: Sequence[int]) -> int:
    return 2 * (sum(hidden_sizes) + hidden_sizes[-1])


def _pool_state(
    states: FloatArray, token_count: int, hidden_sizes: Sequence[int], poolings: Sequence[str]
) -> FloatArray:
    size = hidden_sizes[-1]
    pooled = {
        "last": states[:, -4 * size : -3 * size],
        "last-step": states[:, -4 * size : -3 * size],
        "max": states[:, -2 * size : -size],
        "mean": states[:, -size:] / np.float32(token_count),
    }
    return np.concatenate([pooled[pooling] for pooling in poolings], axis=1)


def _pool(outputs: FloatArray, last: FloatArray, batch_sizes: IndexArray) -> dict[str, FloatArray]:
    """Return each pooling [B, H] of the packed outputs [N, H]; `last` [B, H] are the last states."""
    total, maximum = np.zeros_like(last), np.full_like(last, -np.inf)
    lengths = np.zeros((len(last), 1), np.float32)
    start = 0
    for running in batch_sizes:
        step = outputs[start : start + running]
        total[:running] += step
        lengths[:running] += 1
        np.maximum(maximum[:running], step, out=maximum[:running])
        start += running
    return {"last": last, "max": maximum, "mean": total / lengths}


class ZeroFeaturesOfEmptyTexts:
    """Features of a model for which a text without tokens has no step at all: its features are zeros.

    The tokenizer returns `[EMPTY_TEXT_ID]` for such a text; no other text starts with that id.
    """

    def __init__(self, features: KernelFeatures | NumPyFeatures) -> None:
        self._features = features

    def __call__(self, texts: Sequence[TokenIds]) -> FloatArray:
        """See `KernelFeatures.__call__`."""
        features = self._features(texts)
        features[[bool(ids[0] == EMPTY_TEXT_ID) for ids in texts]] = 0
        return features

    def project_all(self) -> None:
        """See `KernelFeatures.project_all`."""
        self._features.project_all()

    @property
    def state_size(self) -> int:
        """See `KernelFeatures.state_size`."""
        return self._features.state_size

    def advance(self, pieces: Sequence[TokenIds], states: FloatArray, token_counts: IndexArray) -> FloatArray:
        """See `KernelFeatures.advance`."""
        features = self._features.advance(pieces, states, token_counts)
        features[[bool(ids[0] == EMPTY_TEXT_ID) for ids in pieces]] = 0
        return features

    def pool_state(self, states: FloatArray, token_count: int) -> FloatArray:
        """See `KernelFeatures.pool_state`."""
        return self._features.pool_state(states, token_count)

    def start_text(self) -> LSTMReader | None:
        """See `KernelFeatures.start_text`."""
        return self._features.start_text()


def reads_empty_texts_as_zeros(config: ModelConfig) -> bool:
    """Return whether a text without tokens is `[EMPTY_TEXT_ID]`, whose features are zeros."""
    return config.empty_text == "zeros" and config.padding == "none"
