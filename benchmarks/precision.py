"""Training time and gradient error of bfloat16 against float32, for the forward and backward pass of one layer.

    python benchmarks/precision.py

The batch has 64 sequences of 64 steps and 256 inputs, as a language model's window. Weights are packed in every step.
"""

from __future__ import annotations

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
    """Measure, print a line per hidden size and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    kernel = kernel_lstm.kernel()
    if kernel is None or not kernel.supports("bfloat16"):
        sys.exit("no compiled kernel, or this processor does not support bfloat16")
    layers = []
    for hidden in HIDDEN:
        make_step = layer(hidden)
        steps = {name: make_step(name) for name in ("float32", "bfloat16")}
        exact, rounded = (step() for step in steps.values())
        difference = float(np.linalg.norm(rounded - exact) / np.linalg.norm(exact))
        seconds = medians(alternate(steps, arguments.repeats))
        layers.append({"hidden": hidden, "seconds": seconds, "gradient_difference": difference})
        print(
            f"H {hidden}: float32 {1e3 * seconds['float32']:.1f} ms, bfloat16 {1e3 * seconds['bfloat16']:.1f} ms "
            f"({seconds['float32'] / seconds['bfloat16']:.2f} x), gradients differ by {difference:.2%}"
        )
    print(
        machine.save(
            "precision",
            ["fastlstm", "torch", "numpy"],
            {"build": build(), "layers": layers},
            publish=arguments.publish,
        )
    )


def layer(hidden: int) -> Callable[[str], Callable[[], np.ndarray]]:
    """Return a function from a precision to a training step, which returns the gradient with respect to W_hh."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int, scale: float = 1.0) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * scale

    inputs = normal(SEQUENCES * STEPS, INPUTS).requires_grad_()
    weight_ih, weight_hh = (normal(4 * hidden, n, scale=n**-0.5).requires_grad_() for n in (INPUTS, hidden))
    bias = normal(4 * hidden).requires_grad_()
    sizes, gradient = np.full(STEPS, SEQUENCES), normal(SEQUENCES * STEPS, hidden)

    def make_step(precision: str) -> Callable[[], np.ndarray]:
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

    return make_step


if __name__ == "__main__":
    main()
