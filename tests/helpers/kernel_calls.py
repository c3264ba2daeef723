"""Valid calls of every kernel method, whose arguments a test can override one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.helpers.kernel_exact import Size, random_batch, rows_by_word

from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.stack import Stack

METHODS = (
    "pack", "project", "forward", "forward_projected", "backward", "project_backward", "infer", "adam",
)  # fmt: skip


class Calls:
    """One method per kernel method, named as it is. Keyword arguments override the valid defaults."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.batch = kernel, random_batch(Size(5, 3, 3, 7))
        b = self.batch
        self.packed = kernel.pack(b.weight_ih, b.weight_hh, b.bias)
        self.projected = kernel.project(self.packed, b.words)
        self.activations = kernel.allocate_activations(len(b.index), 7)
        self.outputs, _, _ = kernel.forward(
            self.packed, b.batch_sizes, inputs=b.inputs, activations=self.activations
        )
        self.order, self.starts = rows_by_word(b)

    def pack(self, **overrides: Any) -> Any:
        b = self.batch
        return self.kernel.pack(
            **({"weight_ih": b.weight_ih, "weight_hh": b.weight_hh, "bias": b.bias} | overrides)
        )

    def project(self, **overrides: Any) -> Any:
        defaults: dict[str, Any] = {"packed": self.packed, "inputs": self.batch.words}
        return self.kernel.project(**(defaults | overrides))

    def forward(self, **overrides: Any) -> Any:
        b = self.batch
        defaults: dict[str, Any] = {
            "packed": self.packed, "batch_sizes": b.batch_sizes, "inputs": b.inputs, "h0": b.h0, "c0": b.c0,
            "activations": self.activations,
        }  # fmt: skip
        return self.kernel.forward(**(defaults | overrides))

    def forward_projected(self, **overrides: Any) -> Any:
        return self.forward(
            **({"inputs": None, "projected": self.projected, "index": self.batch.index} | overrides)
        )

    def backward(self, **overrides: Any) -> Any:
        b = self.batch
        defaults: dict[str, Any] = {
            "batch_sizes": b.batch_sizes, "weight_hh": b.weight_hh, "outputs": self.outputs,
            "activations": self.activations,
            "inputs": b.inputs, "weight_ih": b.weight_ih, "h0": b.h0, "c0": b.c0, "grad_outputs": b.grad_outputs,
            "grad_h_n": b.grad_h_n, "grad_c_n": b.grad_c_n,
        }  # fmt: skip
        return self.kernel.backward(**(defaults | overrides))

    def project_backward(self, **overrides: Any) -> Any:
        defaults: dict[str, Any] = {
            "gates": self.activations.gates, "order": self.order, "starts": self.starts, "inputs": self.batch.words,
            "weight_ih": self.batch.weight_ih,
        }  # fmt: skip
        return self.kernel.project_backward(**(defaults | overrides))

    def infer(self, **overrides: Any) -> Any:
        defaults: dict[str, Any] = {
            "stack": Stack([[self.packed]], [self.projected], ["last", "mean"]),
            "starts": np.array([0, 2, 5]), "index": np.array([0, 1, 2, 0, 1], np.int32),
        }  # fmt: skip
        return self.kernel.infer(**(defaults | overrides))

    def adam(self, **overrides: Any) -> Any:
        defaults: dict[str, Any] = {
            "weight": np.ones((5, 3), np.float32), "mean": np.ones((5, 3), np.float32),
            "square": np.ones((5, 3), np.float32), "last_steps": np.zeros(5, np.int64),
            "rates": np.ones((4, 2), np.float32), "rows": np.array([3, 1], np.int32),
            "grads": np.ones((2, 3), np.float32),
        }  # fmt: skip
        return self.kernel.adam(**(defaults | overrides))
