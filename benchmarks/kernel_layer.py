"""One LSTM layer of the kernel and its passes, for benchmarks."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fastlstm.config.options import Precision
from fastlstm.kernel import find_kernel
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.stack import PackedWeights
from fastlstm.nn import kernel_lstm


def array(tensor: Tensor) -> npt.NDArray[np.float32]:
    """Return a NumPy view of a tensor's memory."""
    values: npt.NDArray[np.float32] = tensor.detach().numpy()
    return values


class Layer:
    """One LSTM layer and a random batch, whose inputs are between -1 and 1, as the outputs of a layer are."""

    def __init__(self, input_size: int, hidden_size: int, lengths: npt.NDArray[np.int64]) -> None:
        torch.manual_seed(0)
        self.module = nn.LSTM(input_size, hidden_size)
        weights = self.module.state_dict()
        bias = weights["bias_ih_l0"] + weights["bias_hh_l0"]
        parts = weights["weight_ih_l0"], weights["weight_hh_l0"], bias
        self.weight_ih, self.weight_hh, self.bias = (part.clone().requires_grad_() for part in parts)
        self.batch_sizes = np.array([(lengths > t).sum() for t in range(lengths.max())], np.int64)
        self.tokens = int(lengths.sum())
        self.inputs = torch.randn(self.tokens, input_size).tanh().requires_grad_()
        self.grad_outputs = torch.randn(self.tokens, hidden_size)
        self.operations = 2 * 4 * hidden_size * (input_size + hidden_size) * self.tokens
        kernel = find_kernel().kernel
        assert kernel is not None
        self.inference = kernel
        self.reset(self._kernel())

    @staticmethod
    def _kernel() -> Kernel:
        kernel = kernel_lstm.kernel()
        assert kernel is not None
        return kernel

    def reset(self, kernel: Kernel) -> None:
        """Pack the weights for `kernel`."""
        self.kernel = kernel
        self.packed = {"float32": self._pack("float32")}

    def _pack(self, precision: str) -> PackedWeights:
        return self.kernel.pack(array(self.weight_ih), array(self.weight_hh), array(self.bias), precision)

    def infer(self, precision: str = "float32") -> None:
        """Run a forward pass of inference, with weights that are packed in the first call."""
        if precision not in self.packed:
            self.packed[precision] = self._pack(precision)
        self.inference.forward(self.packed[precision], self.batch_sizes, inputs=array(self.inputs))

    def forward(self) -> tuple[Any, ...]:
        """Run a forward pass that saves the activations for the backward pass."""
        activations = self.kernel.allocate_activations(self.tokens, self.weight_hh.shape[1])
        inputs = array(self.inputs)
        return *self.kernel.forward(
            self.packed["float32"], self.batch_sizes, inputs=inputs, activations=activations
        ), activations

    def backward(self, outputs: npt.NDArray[np.float32], activations: Any) -> None:
        self.kernel.backward(
            self.batch_sizes,
            array(self.weight_hh),
            outputs,
            activations,
            inputs=array(self.inputs),
            weight_ih=array(self.weight_ih),
            grad_outputs=self.grad_outputs.numpy(),
        )

    def train(self, precision: str = "float32") -> None:
        """Run a forward and a backward pass of training, which include packing."""
        with kernel_lstm.multiply_precision(cast("Precision", precision)):
            outputs, *_ = kernel_lstm.kernel_lstm(
                self.inputs, self.weight_ih, self.weight_hh, self.bias, self.batch_sizes
            )
            torch.autograd.backward(outputs, self.grad_outputs)
