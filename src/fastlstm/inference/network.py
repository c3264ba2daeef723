"""Token ids -> probabilities: the network's forward pass."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fastlstm._typing import FloatArray, TokenIds
from fastlstm.config import ModelConfig
from fastlstm.errors import OptionError, suggest
from fastlstm.kernel import find_kernel, reference
from fastlstm.kernel.abi import PRECISIONS
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.reference import sigmoid, times
from fastlstm.kernel.stack import Stack
from fastlstm.serialization import weights
from fastlstm.serialization.weights import layer_weights
from fastlstm.text.batches import DistinctTokens, lengths_of, pack_batch
from fastlstm.text.ngrams import NGRAM_KINDS, NGramLogits

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

    def __call__(self, texts: Sequence[TokenIds]) -> FloatArray:
        """[texts, F] for texts in any order, of at least one token each."""
        ids = np.concatenate(texts)
        starts = np.zeros(len(texts) + 1, np.int64)
        np.cumsum(lengths_of(texts), out=starts[1:])
        if self._table is not None:
            return self._kernel.texts(self._table, starts, ids)
        read = DistinctTokens.of(ids)
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

    def pieces(self, texts: Sequence[TokenIds], states: FloatArray, read: npt.NDArray[np.int64]) -> FloatArray:
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
        distinct = DistinctTokens.of(ids)
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

    def __call__(self, texts: Sequence[TokenIds]) -> FloatArray:
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

    def pieces(self, texts: Sequence[TokenIds], states: FloatArray, read: npt.NDArray[np.int64]) -> FloatArray:
        """As that of `KernelFeatures`."""
        rows = [self._piece(ids, states[k : k + 1], read[k : k + 1]) for k, ids in enumerate(texts)]
        return np.concatenate(rows)

    def _piece(self, ids: TokenIds, states: FloatArray, read: npt.NDArray[np.int64]) -> FloatArray:
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

    def _read(self, texts: Sequence[TokenIds]) -> FloatArray:
        """The features of texts that are sorted by length, longest first."""
        batch = pack_batch(texts)
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


class Network:
    """A model's weights, ready to score token ids."""

    def __init__(
        self,
        config: ModelConfig,
        classes: int,
        arrays: Mapping[str, FloatArray],
        temperature: float,
        precision: str = "float32",
        numbers: Mapping[str, npt.NDArray[np.int32]] | None = None,
    ) -> None:
        """Raises `OptionError` for a precision that can't be had."""
        self._made_of = config, classes, arrays, temperature, precision, numbers
        kernel = find_kernel().kernel
        check_precision(precision, kernel)
        self.features = (
            NumPyFeatures(config, arrays) if kernel is None else KernelFeatures(config, arrays, kernel, precision)
        )
        self._output = arrays["output.weight"], arrays["output.bias"]
        self.precision = precision
        self._temperature = np.float32(temperature)
        self._sigmoid = weights.uses_sigmoid(config, classes)
        self.wide = (
            NGramLogits(numbers["wide.ngrams"], arrays["wide.weight"], NGRAM_KINDS[config.ngram_kinds])
            if numbers
            else None
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled without the kernel and its packed weights, which another machine may lay out otherwise."""
        return Network, self._made_of

    def probabilities(self, texts: Sequence[TokenIds], whole: Sequence[TokenIds] | None = None) -> FloatArray:
        """[B, classes] for texts of at least one token each. A row depends on its text alone.

        Args:
            texts: what the LSTM reads.
            whole: what the wide part reads, the same texts before they were cut; None where nothing was.
        """
        return self.likely(self.logits(texts, whole))

    def likely(self, logits: FloatArray) -> FloatArray:
        """[B, classes] of `logits`."""
        return probabilities_of(logits, self._sigmoid)

    def logits(self, texts: Sequence[TokenIds], whole: Sequence[TokenIds] | None = None) -> FloatArray:
        """[B, logits], divided by the temperature: what `probabilities` are made of."""
        evidence = None if self.wide is None else self.wide(texts if whole is None else whole)
        return self._logits(self.features(texts), evidence)

    def _logits(self, features: FloatArray, evidence: FloatArray | None) -> FloatArray:
        weight, bias = self._output
        logits = times(features, weight) + bias
        if evidence is not None:
            logits += evidence
        scaled: FloatArray = logits / self._temperature
        return scaled

    def scored(self, features: FloatArray, evidence: FloatArray | None) -> FloatArray:
        """[B, classes] for the features [B, F] of texts, and what their n-grams add to the logits [B, logits]."""
        return self.likely(self._logits(features, evidence))

    @cached_property
    def fingerprint(self) -> str:
        """What tells this model from others, in 16 characters: made of all that its probabilities depend on."""
        config, classes, arrays, temperature, precision, numbers = self._made_of
        digest = hashlib.sha256(repr((config, classes, temperature, precision)).encode())
        for of in (arrays, numbers or {}):
            for name in sorted(of):
                digest.update(name.encode())
                digest.update(np.ascontiguousarray(of[name]).data)
        return digest.hexdigest()[:16]

    def evidence(self, whole: TokenIds) -> FloatArray:
        """[T, logits] what each token of a text adds by way of the wide part, divided by the temperature."""
        if self.wide is None:
            return np.zeros((len(whole), len(self._output[1])), np.float32)
        scaled: FloatArray = self.wide.of_tokens(whole) / self._temperature
        return scaled


def check_precision(precision: str, kernel: Kernel | None) -> None:
    """Raises `OptionError` for one that is unknown, or that this kernel lacks. NumPy has float32 alone."""
    if precision not in PRECISIONS:
        raise OptionError(f"unknown precision {precision!r}; {suggest(precision, PRECISIONS)}")
    there = [name for name in PRECISIONS if name == "float32" or (kernel is not None and kernel.has(name))]
    if precision not in there:
        needs = {"bfloat16": "AVX512-BF16", "int8": "AVX512-VNNI"}[precision]
        if kernel is None:
            lacks = "there is no compiled kernel here (fastlstm doctor says why, and what helps)"
        elif kernel.isa == "v4":
            lacks = f"this processor has no {needs}"
        else:
            lacks = f"the kernel runs {kernel.isa}, as FASTLSTM_ISA asks or for want of AVX-512"
        raise OptionError(
            f"{precision} was asked for, and needs the kernel on a processor with {needs}; {lacks}; "
            f"it has {', '.join(there)}"
        )


def probabilities_of(logits: FloatArray, use_sigmoid: bool) -> FloatArray:
    """[B, classes] that sum to 1: sigmoid of one logit, of each scaled to sum 1, or softmax."""
    if not use_sigmoid:
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        result: FloatArray = exponentials / exponentials.sum(axis=1, keepdims=True)
        return result
    likely = sigmoid(logits)
    if logits.shape[1] == 1:
        return np.concatenate([1 - likely, likely], axis=1)
    likely = np.maximum(likely, np.finfo(np.float32).tiny)  # all classes refused still leaves a row to scale
    scaled: FloatArray = likely / likely.sum(axis=1, keepdims=True)
    return scaled
