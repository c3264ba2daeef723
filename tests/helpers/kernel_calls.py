"""Every call of a kernel, with arguments that are right until a test changes some."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.helpers.kernel_exact import Size, batch, readers

from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.stack import Stack

METHODS = (
    "pack", "project", "forward", "forward_projected", "backward", "project_backward", "texts", "adam",
)  # fmt: skip


class Calls:
    """The calls, by name."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.b = kernel, batch(Size(5, 3, 3, 7))
        b = self.b
        self.packed = kernel.pack(b.weight_ih, b.weight_hh, b.bias)
        self.projected = kernel.project(self.packed, b.words)
        self.kept = kernel.keep(len(b.index), 7)
        self.outputs, _, _ = kernel.forward(self.packed, b.batch_sizes, inputs=b.inputs, kept=self.kept)
        self.order, self.starts = readers(b)
        self.alive: Any = None

    def pack(self, **changed: Any) -> Any:
        b = self.b
        return self.kernel.pack(**({"weight_ih": b.weight_ih, "weight_hh": b.weight_hh, "bias": b.bias} | changed))

    def project(self, **changed: Any) -> Any:
        right: dict[str, Any] = {"packed": self.packed, "inputs": self.b.words}
        return self.kernel.project(**(right | changed))

    def forward(self, **changed: Any) -> Any:
        b = self.b
        right: dict[str, Any] = {
            "packed": self.packed, "batch_sizes": b.batch_sizes, "inputs": b.inputs, "h0": b.h0, "c0": b.c0,
            "kept": self.kept,
        }  # fmt: skip
        return self.kernel.forward(**(right | changed))

    def forward_projected(self, **changed: Any) -> Any:
        return self.forward(**({"inputs": None, "projected": self.projected, "index": self.b.index} | changed))

    def backward(self, **changed: Any) -> Any:
        b = self.b
        right: dict[str, Any] = {
            "batch_sizes": b.batch_sizes, "weight_hh": b.weight_hh, "outputs": self.outputs, "kept": self.kept,
            "inputs": b.inputs, "weight_ih": b.weight_ih, "h0": b.h0, "c0": b.c0, "grad_outputs": b.grad_outputs,
            "grad_h_n": b.grad_h_n, "grad_c_n": b.grad_c_n,
        }  # fmt: skip
        return self.kernel.backward(**(right | changed))

    def project_backward(self, **changed: Any) -> Any:
        right: dict[str, Any] = {
            "gates": self.kept.gates, "order": self.order, "starts": self.starts, "inputs": self.b.words,
            "weight_ih": self.b.weight_ih,
        }  # fmt: skip
        return self.kernel.project_backward(**(right | changed))

    def texts(self, **changed: Any) -> Any:
        right: dict[str, Any] = {
            "stack": Stack([[self.packed]], [self.projected], ["last", "mean"]),
            "starts": np.array([0, 2, 5]), "index": np.array([0, 1, 2, 0, 1], np.int32),
        }  # fmt: skip
        return self.kernel.texts(**(right | changed))

    def adam(self, **changed: Any) -> Any:
        right: dict[str, Any] = {
            "weight": np.ones((5, 3), np.float32), "mean": np.ones((5, 3), np.float32),
            "square": np.ones((5, 3), np.float32), "done": np.zeros(5, np.int64),
            "rates": np.ones((4, 2), np.float32), "rows": np.array([3, 1], np.int32),
            "grads": np.ones((2, 3), np.float32),
        }  # fmt: skip
        return self.kernel.adam(**(right | changed))
