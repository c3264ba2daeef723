"""The output layer on the compiled kernel: features -> logits and probabilities. csrc/lstm.h defines its function.

Dimensions: F floats of a text's features, C logits.
"""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import numpy as np

from fastlstm._typing import FloatArray
from fastlstm.kernel.abi import ACTIVATIONS, OutputArguments
from fastlstm.kernel.arguments import check_array, check_status, pointer


class OutputLayer:
    """The weights of an output layer. Created by `Kernel.output_layer`.

    Attributes:
        library: The functions of the kernel library.
        arguments: The arguments of fastlstm_output that do not depend on the texts.
        classes: The number of columns of probabilities.
    """

    def __init__(
        self, library: SimpleNamespace, weight: FloatArray, bias: FloatArray, temperature: float, activation: str
    ) -> None:
        """See `Kernel.output_layer`."""
        C, F = weight.shape
        check_array("weight", weight, (C, F))
        check_array("bias", bias, (C,))
        self.library = library
        self._references = weight, bias  # keep the arrays alive
        self.classes = 2 if activation == "sigmoid" and C == 1 else C
        self.arguments = OutputArguments(
            F=F, C=C, weight=pointer(weight), bias=pointer(bias), temperature=temperature,
            activation=ACTIVATIONS.index(activation),
        )  # fmt: skip

    def logits(self, features: FloatArray, ngram_logits: FloatArray | None) -> FloatArray:
        """Return the logits [texts, C] of features [texts, F]; n-gram logits [texts, C] are added.

        Raise `ValueError` if an array has another shape or dtype.
        """
        return OutputCall(self, features, ngram_logits).logits()

    def probabilities(self, logits: FloatArray) -> FloatArray:
        """Return the probabilities [texts, classes] of logits [texts, C]. Raise `ValueError` as `logits`."""
        check_array("logits", logits, (len(logits), self.arguments.C))
        probabilities = np.empty((len(logits), self.classes), np.float32)
        arguments = OutputArguments.from_buffer_copy(self.arguments)
        arguments.texts, arguments.logits, arguments.probabilities = (
            len(logits), pointer(logits), pointer(probabilities),
        )  # fmt: skip
        check_status(self.library.output(ctypes.byref(arguments)))
        return probabilities


class OutputCall:
    """A call for arrays at fixed places, which can be repeated when their values have changed."""

    def __init__(self, layer: OutputLayer, features: FloatArray, ngram_logits: FloatArray | None) -> None:
        """Prepare the call. Arguments and errors as in `OutputLayer.logits`."""
        texts, C = len(features), layer.arguments.C
        check_array("features", features, (texts, layer.arguments.F))
        check_array("ngram_logits", ngram_logits, (texts, C))
        self._output = layer.library.output
        self._logits = np.empty((texts, C), np.float32)
        self._probabilities = np.empty((texts, layer.classes), np.float32)
        self._references = layer, features, ngram_logits  # keep the arrays alive
        self._arguments = OutputArguments.from_buffer_copy(layer.arguments)
        self._arguments.texts, self._arguments.features = texts, pointer(features)
        self._arguments.ngram_logits, self._arguments.logits = pointer(ngram_logits), pointer(self._logits)
        self._probabilities_pointer = pointer(self._probabilities)
        self._reference = ctypes.byref(self._arguments)

    def logits(self) -> FloatArray:
        """Return the logits [texts, C]."""
        self._arguments.probabilities = None
        check_status(self._output(self._reference))
        logits: FloatArray = self._logits.copy()
        return logits

    def probabilities(self) -> FloatArray:
        """Return the probabilities [texts, classes]."""
        self._arguments.probabilities = self._probabilities_pointer
        check_status(self._output(self._reference))
        probabilities: FloatArray = self._probabilities.copy()
        return probabilities
