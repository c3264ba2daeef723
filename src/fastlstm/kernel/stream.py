"""One text that is read in pieces by the LSTM layers on the compiled kernel. csrc/lstm.h defines its function."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import numpy as np

from fastlstm._typing import TokenIds
from fastlstm.kernel.abi import InferenceArguments
from fastlstm.kernel.arguments import check_array, check_status, pointer
from fastlstm.kernel.stack import Stack


class LSTMReader:
    """A text's state and features, in arrays at fixed places. Created by `Kernel.start_text`.

    Attributes:
        state: float32 [1, S], see `Stack.state_size`.
        token_counts: int64 [1], tokens so far.
        features: float32 [1, F] of the tokens so far; zeros before the first.
    """

    def __init__(self, library: SimpleNamespace, isa: int, stack: Stack) -> None:
        """See `Kernel.start_text`."""
        self.state = np.zeros((1, stack.state_size), np.float32)
        self.token_counts = np.zeros(1, np.int64)
        self.features = np.zeros((1, stack.feature_size), np.float32)
        self._starts = np.zeros(2, np.int64)
        self._infer, self._isa, self._stack = library.infer, isa, stack
        self._arguments = InferenceArguments.from_buffer_copy(stack.arguments)
        self._arguments.texts, self._arguments.starts = 1, pointer(self._starts)
        self._arguments.states, self._arguments.steps_read = pointer(self.state), pointer(self.token_counts)
        self._arguments.features = pointer(self.features)
        self._reference = ctypes.byref(self._arguments)

    def feed(self, index: TokenIds) -> None:
        """Append at least one token: int32, the row of the stack's `projected` of each.

        Raise `ValueError` if the array has another dtype, or a row does not exist.
        """
        check_array("index", index, (index.size,), np.int32)
        self._starts[1] = len(index)
        self._arguments.index = pointer(index)
        check_status(self._infer(self._isa, self._reference))
