"""Token ids -> probabilities: LSTM features, n-gram logits and the output layer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from fastlstm._typing import FloatArray, IndexArray, TokenIds
from fastlstm.config import ModelConfig
from fastlstm.errors import OptionError, suggest
from fastlstm.inference.head import Head
from fastlstm.inference.last_step import LayerWeights, last_step_features
from fastlstm.inference.ngrams import NGramModel
from fastlstm.kernel import KernelInfo, find_kernel, reference
from fastlstm.kernel.abi import PRECISIONS
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.output import OutputCall
from fastlstm.kernel.stack import Stack
from fastlstm.kernel.stream import LSTMReader
from fastlstm.precision import AUTO, INFERENCE_PRECISIONS, fastest_precision
from fastlstm.serialization import weights
from fastlstm.serialization.weights import layer_weights
from fastlstm.text.batches import DistinctTokens, join_texts, lengths_of, pack_batch
from fastlstm.text.ngrams import NGRAM_KINDS
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


class Network:
    """A model's forward pass: token ids -> logits and probabilities.

    Each row of a result depends on its text only, to the last bit.

    Attributes:
        features: The LSTM layers and pooling.
        head: The dense layers and the output layer.
        ngram_logits: The linear model of n-grams; None for a model without n-grams.
        precision: Actual precision of the LSTM's matrix products, never "auto".
        feature_size: F, features of a text.
    """

    def __init__(
        self,
        config: ModelConfig,
        classes: int,
        arrays: Mapping[str, FloatArray],
        temperature: float,
        precision: str = "float32",
        integer_arrays: Mapping[str, TokenIds] | None = None,
    ) -> None:
        """Prepare the weights. Raise `OptionError` if `precision` is unknown or not supported on this machine."""
        kernel_info = find_kernel()
        kernel, precision = kernel_info.kernel, actual_precision(precision, config, kernel_info)
        self._arguments = config, classes, arrays, temperature, precision, integer_arrays
        features = (
            NumPyFeatures(config, arrays) if kernel is None else KernelFeatures(config, arrays, kernel, precision)
        )
        self.features = ZeroFeaturesOfEmptyTexts(features) if reads_empty_texts_as_zeros(config) else features
        self.feature_size = weights.feature_size(config)
        self.head = Head(config, arrays)
        self.precision = precision
        self._temperature = np.float32(temperature)
        self._use_sigmoid = weights.uses_sigmoid(config, classes)
        activation = "sigmoid" if self._use_sigmoid else "softmax"
        self._output = (
            None if kernel is None else kernel.output_layer(*self.head.output_weights, temperature, activation)
        )
        self.ngram_logits = (
            NGramModel(
                integer_arrays["wide.ngrams"], arrays["wide.weight"], NGRAM_KINDS[config.ngram_kinds], kernel
            )
            if integer_arrays
            else None
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments only: another machine may pack the weights differently."""
        return Network, self._arguments

    def probabilities(self, texts: Sequence[TokenIds], untruncated: Sequence[TokenIds] | None = None) -> FloatArray:
        """Return the probabilities [texts, classes], float32; rows sum to 1.

        Args:
            texts: Input of the LSTM, at least one token per text.
            untruncated: Input of the n-grams: the same texts before truncation. None: `texts`.
        """
        ngram_logits = self._ngram_logits(texts, untruncated)
        return self.prepare_output(self.features(texts), ngram_logits)()

    def logits(self, texts: Sequence[TokenIds], untruncated: Sequence[TokenIds] | None = None) -> FloatArray:
        """Return the logits [texts, logits], divided by the temperature. Arguments as in `probabilities`."""
        ngram_logits = self._ngram_logits(texts, untruncated)
        return self.output_layer(self.features(texts), ngram_logits)

    def _ngram_logits(self, texts: Sequence[TokenIds], untruncated: Sequence[TokenIds] | None) -> FloatArray | None:
        if self.ngram_logits is None:
            return None
        return self.ngram_logits(texts if untruncated is None else untruncated)

    def output_layer(self, features: FloatArray, ngram_logits: FloatArray | None) -> FloatArray:
        """Return the logits [B, logits] of features [B, F] and n-gram logits [B, logits]."""
        if self._output is not None:
            inputs = np.ascontiguousarray(self.head.dense(features), np.float32)
            return self._output.logits(inputs, ngram_logits)
        logits = self.head(features)
        if ngram_logits is not None:
            logits += ngram_logits
        scaled: FloatArray = logits / self._temperature
        return scaled

    def to_probabilities(self, logits: FloatArray) -> FloatArray:
        """Return the probabilities [B, classes] of logits [B, logits]."""
        if self._output is not None:
            return self._output.probabilities(logits)
        return probabilities_of(logits, self._use_sigmoid)

    def prepare_output(self, features: FloatArray, ngram_logits: FloatArray | None) -> Callable[[], FloatArray]:
        """Return a function that computes the probabilities [B, classes] of the present values of the arrays.

        Args:
            features: [B, F] float32, contiguous.
            ngram_logits: [B, logits] float32, contiguous.
        """
        if self._output is not None and self.head.is_linear:
            return OutputCall(self._output, features, ngram_logits).probabilities
        return lambda: self.to_probabilities(self.output_layer(features, ngram_logits))

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits, a hash of everything that the probabilities depend on."""
        config, classes, arrays, temperature, precision, integer_arrays = self._arguments
        digest = hashlib.sha256(repr((config, classes, temperature, precision)).encode())
        if config.import_fields:
            digest.update(repr(config.import_fields).encode())
        for named_arrays in (arrays, integer_arrays or {}):
            for name in sorted(named_arrays):
                digest.update(name.encode())
                digest.update(np.ascontiguousarray(named_arrays[name]).data)
        return digest.hexdigest()[:16]

    def token_ngram_logits(self, untruncated: TokenIds) -> FloatArray:
        """Return each token's share of the n-gram logits [T, logits] of one text, divided by the temperature."""
        if self.ngram_logits is None:
            return np.zeros((len(untruncated), self.head.output_count), np.float32)
        scaled: FloatArray = self.ngram_logits.reference.by_token(untruncated) / self._temperature
        return scaled


def reads_empty_texts_as_zeros(config: ModelConfig) -> bool:
    """Return whether a text without tokens is `[EMPTY_TEXT_ID]`, whose features are zeros."""
    return config.empty_text == "zeros" and config.padding == "none"


def actual_precision(precision: str, config: ModelConfig, kernel_info: KernelInfo) -> str:
    """Return the precision of a model: `precision`, or the fastest on this machine if it is "auto".

    Raise `OptionError` if it is unknown or not supported by the kernel. NumPy supports float32 only.
    """
    if precision == AUTO:
        return fastest_precision("inference", config.hidden_sizes, kernel_info)
    if precision not in PRECISIONS:
        raise OptionError(
            f"unknown precision {precision!r}; {suggest(str(precision), INFERENCE_PRECISIONS)}",
            code="bad-option-value",
            option="precision",
            value=precision,
        )
    kernel, supported = kernel_info.kernel, supported_precisions(kernel_info)
    if precision in supported:
        return precision
    instructions = {"bfloat16": "AVX512-BF16", "int8": "AVX512-VNNI"}[precision]
    if kernel is None:
        reason = "there is no compiled kernel (see fastlstm doctor)"
    elif kernel.isa == "v4":
        reason = "this processor does not support it"
    else:
        reason = f"the kernel runs {kernel.isa} (no AVX-512, or limited by FASTLSTM_ISA)"
    raise OptionError(
        f"precision {precision} needs {instructions}; {reason}; supported: {', '.join(supported)}",
        code="unsupported-precision",
        precision=precision,
        isa=None if kernel is None else kernel.isa,
        supported=supported,
    )


def supported_precisions(kernel_info: KernelInfo) -> tuple[str, ...]:
    """Return the precisions that this machine supports: "float32" alone without a kernel."""
    kernel = kernel_info.kernel
    return tuple(name for name in PRECISIONS if name == "float32" or (kernel is not None and kernel.supports(name)))


def probabilities_of(logits: FloatArray, use_sigmoid: bool) -> FloatArray:
    """Return the probabilities [B, classes] of logits [B, logits]; rows sum to 1.

    Without `use_sigmoid`, they are the softmax. With it and one logit, the second class has its sigmoid; with more
    logits, the sigmoids are scaled to sum to 1.
    """
    if not use_sigmoid:
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        softmax: FloatArray = exponentials / exponentials.sum(axis=1, keepdims=True)
        return softmax
    with np.errstate(over="ignore"):  # of exp; the quotient is then 0
        sigmoids = (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)  # small ones are accurate
    if logits.shape[1] == 1:
        return np.concatenate([1 - sigmoids, sigmoids], axis=1)
    sigmoids = np.maximum(sigmoids, np.finfo(np.float32).tiny)  # the sum must not be 0
    scaled: FloatArray = sigmoids / sigmoids.sum(axis=1, keepdims=True)
    return scaled
