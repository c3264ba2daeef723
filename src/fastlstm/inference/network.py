"""Token ids -> probabilities: LSTM features, n-gram logits and the output layer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from fastlstm._typing import FloatArray, TokenIds
from fastlstm.config import ModelConfig
from fastlstm.errors import OptionError, suggest
from fastlstm.inference.features import (
    KernelFeatures,
    NumPyFeatures,
    ZeroFeaturesOfEmptyTexts,
    reads_empty_texts_as_zeros,
)
from fastlstm.inference.head import Head
from fastlstm.inference.ngrams import NGramModel
from fastlstm.kernel import KernelInfo, find_kernel
from fastlstm.kernel.abi import PRECISIONS
from fastlstm.kernel.output import OutputCall
from fastlstm.precision import AUTO, INFERENCE_PRECISIONS, fastest_precision
from fastlstm.serialization import weights
from fastlstm.text.ngrams import NGRAM_KINDS


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
