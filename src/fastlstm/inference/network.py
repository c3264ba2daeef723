"""Token ids -> probabilities: the network's forward pass."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fastlstm import weights
from fastlstm.config import ModelConfig
from fastlstm.errors import OptionError, near
from fastlstm.inference.features import KernelFeatures, NumPyFeatures
from fastlstm.kernel import find
from fastlstm.kernel.abi import PRECISIONS
from fastlstm.kernel.native import Kernel
from fastlstm.kernel.reference import sigmoid, times
from fastlstm.ngrams import KINDS, Evidence

FloatArray = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]


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
        kernel = find().kernel
        check_precision(precision, kernel)
        self.features = (
            NumPyFeatures(config, arrays) if kernel is None else KernelFeatures(config, arrays, kernel, precision)
        )
        self._output = arrays["output.weight"], arrays["output.bias"]
        self.precision = precision
        self._temperature = np.float32(temperature)
        self._sigmoid = weights.uses_sigmoid(config, classes)
        self.wide = (
            Evidence(numbers["wide.ngrams"], arrays["wide.weight"], KINDS[config.ngram_kinds]) if numbers else None
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled without the kernel and its packed weights, which another machine may lay out otherwise."""
        return Network, self._made_of

    def probabilities(self, texts: Sequence[Ids], whole: Sequence[Ids] | None = None) -> FloatArray:
        """[B, classes] for texts of at least one token each. A row depends on its text alone.

        Args:
            texts: what the LSTM reads.
            whole: what the wide part reads, the same texts before they were cut; None where nothing was.
        """
        return self.likely(self.logits(texts, whole))

    def likely(self, logits: FloatArray) -> FloatArray:
        """[B, classes] of `logits`."""
        return probabilities_of(logits, self._sigmoid)

    def logits(self, texts: Sequence[Ids], whole: Sequence[Ids] | None = None) -> FloatArray:
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

    def evidence(self, whole: Ids) -> FloatArray:
        """[T, logits] what each token of a text adds by way of the wide part, divided by the temperature."""
        if self.wide is None:
            return np.zeros((len(whole), len(self._output[1])), np.float32)
        scaled: FloatArray = self.wide.of_tokens(whole) / self._temperature
        return scaled


def check_precision(precision: str, kernel: Kernel | None) -> None:
    """Raises `OptionError` for one that is unknown, or that this kernel lacks. NumPy has float32 alone."""
    if precision not in PRECISIONS:
        raise OptionError(f"unknown precision {precision!r}; {near(precision, PRECISIONS)}")
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
