"""What bfloat16 saves in training: a layer's forward and backward pass, and what its gradients then differ by.

    python benchmarks/precision.py

64 sequences of 64 steps, 256 inputs, as a language model's window. Weights are packed in every step.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import numpy as np
import torch

import machine
from build import build
from fastlstm.nn import kernel_lstm
from fastlstm.nn.numerics import training_numerics
from timing import alternate, medians

HIDDEN = (64, 96, 256, 512, 1024)
SEQUENCES, STEPS, INPUTS = 64, 64, 256


def main() -> None:
    """Measures, prints a line a size and keeps the raw result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    kernel = kernel_lstm.kernel()
    if kernel is None or not kernel.has("bfloat16"):
        sys.exit("there is no kernel, or this processor does not multiply bfloat16")
    layers = []
    for hidden in HIDDEN:
        step = layer(hidden)
        exact, rounded = step("float32")(), step("bfloat16")()
        difference = float(np.linalg.norm(rounded - exact) / np.linalg.norm(exact))
        ways = {name: step(name) for name in ("float32", "bfloat16")}
        seconds = medians(alternate(ways, arguments.repeats))
        layers.append({"hidden": hidden, "seconds": seconds, "gradient_difference": difference})
        print(
            f"H {hidden}: float32 {1e3 * seconds['float32']:.1f} ms, bfloat16 {1e3 * seconds['bfloat16']:.1f} ms "
            f"({seconds['float32'] / seconds['bfloat16']:.2f} x), gradients differ by {difference:.2%}"
        )
    print(
        machine.save(
            "precision", machine.describe(["fastlstm", "torch", "numpy"]), {"build": build(), "layers": layers}
        )
    )


def layer(hidden: int) -> Callable[[str], Callable[[], np.ndarray]]:
    """Of a precision, one step; which returns the gradient by W_hh."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int, scale: float = 1.0) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * scale

    inputs = normal(SEQUENCES * STEPS, INPUTS).requires_grad_()
    weight_ih, weight_hh = (normal(4 * hidden, n, scale=n**-0.5).requires_grad_() for n in (INPUTS, hidden))
    bias = normal(4 * hidden).requires_grad_()
    sizes, gradient = np.full(STEPS, SEQUENCES), normal(SEQUENCES * STEPS, hidden)

    def of(precision: str) -> Callable[[], np.ndarray]:
        def step() -> np.ndarray:
            for tensor in (inputs, weight_ih, weight_hh, bias):
                tensor.grad = None
            with training_numerics(precision):
                outputs, _, _ = kernel_lstm.kernel_lstm(inputs, weight_ih, weight_hh, bias, sizes)
                torch.autograd.backward(outputs, gradient)
            assert weight_hh.grad is not None
            result: np.ndarray = weight_hh.grad.numpy()
            return result

        return step

    return of


if __name__ == "__main__":
    main()
