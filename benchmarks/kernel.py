"""The kernel against oneDNN (as used by PyTorch's nn.LSTM) at all sizes, and against the processor's peak.

    python benchmarks/kernel.py IMDB_FOLDER

The forward pass is that of inference: the kernel's weights are packed before, as when a model is loaded, and PyTorch
runs under no_grad. Forward and backward is that of training and includes packing. All sequences of the comparison with
oneDNN have the same length, so that the kernel gains nothing from skipping padding.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

import machine
from build import build
from fastlstm.kernel import find_kernel
from fastlstm.kernel.bindings import Kernel
from fastlstm.nn import kernel_lstm
from fastlstm.text.batches import lengths_of
from peak import Peak
from timing import alternate, medians
from training import tutorial

HIDDEN = (32, 64, 128, 256, 512, 1024)
BATCHES = (1, 8, 64, 256)
OPERATIONS = 5e9
"""Approximate operations per forward pass of the comparison; the number of steps is between 16 and 200."""


def main() -> None:
    """Measure, print tables and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--hidden", type=int, nargs="+", default=HIDDEN)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    arguments = parser.parse_args()
    info = find_kernel()
    if info.kernel is None or info.path is None:
        sys.exit(f"no compiled kernel: {info.reason}")
    kernel, cores = info.kernel, info.kernel.threads
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)  # as in training: idle PyTorch threads spin on the cores that the kernel needs

    lengths = lengths_of(tutorial(arguments.data_dir, epochs=1).training.texts)
    ragged = np.sort(np.random.default_rng(0).choice(lengths, 64, replace=False))[::-1]
    thread_counts = sorted({1, cores})
    measure, peak = Peak(), dict[int, float]()
    shares = []
    for threads in thread_counts:
        peak[threads] = measure.gigaflops(threads)
        kernel.threads = threads
        shares.append(share_of_peak(Layer(64, 64, ragged), arguments.repeats, threads, peak[threads]))
        print_share(shares[-1])
    result: dict[str, Any] = {
        "isa": kernel.isa,
        "peak_gigaflops_a_core": peak,
        "build": build(),
        "ragged_lengths": ragged.tolist(),
        "share_of_peak": shares,
        "ragged": ragged_ratio(ragged, 5 * arguments.repeats),  # a ratio of two noisy times
        "memory": fresh_memory(kernel, ragged, arguments.repeats),
        "onednn": [],
    }
    for name in ("build", "ragged", "memory"):
        print(name, result[name])
    for threads, hidden, batch in itertools.product(thread_counts, arguments.hidden, arguments.batches):
        cell = compare_with_onednn(hidden, batch, threads, arguments.repeats)
        result["onednn"].append(cell)
        print_cell(cell)
    print(machine.save("kernel", ["fastlstm", "torch", "numpy"], result, publish=arguments.publish))


def array(tensor: Tensor) -> npt.NDArray[np.float32]:
    """Return a NumPy view of a tensor's memory."""
    values: npt.NDArray[np.float32] = tensor.detach().numpy()
    return values


class Layer:
    """One LSTM layer and a random batch."""

    def __init__(self, input_size: int, hidden_size: int, lengths: npt.NDArray[np.int64]) -> None:
        torch.manual_seed(0)
        self.module = nn.LSTM(input_size, hidden_size)
        weights = self.module.state_dict()
        bias = weights["bias_ih_l0"] + weights["bias_hh_l0"]
        parts = weights["weight_ih_l0"], weights["weight_hh_l0"], bias
        self.weight_ih, self.weight_hh, self.bias = (part.clone().requires_grad_() for part in parts)
        self.batch_sizes = np.array([(lengths > t).sum() for t in range(lengths.max())], np.int64)
        self.tokens = int(lengths.sum())
        self.inputs = torch.randn(self.tokens, input_size).requires_grad_()
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
        self.packed = kernel.pack(array(self.weight_ih), array(self.weight_hh), array(self.bias))

    def infer(self) -> None:
        self.inference.forward(self.packed, self.batch_sizes, inputs=array(self.inputs))

    def forward(self) -> tuple[Any, ...]:
        """Run a forward pass that saves the activations for the backward pass."""
        activations = self.kernel.allocate_activations(self.tokens, self.weight_hh.shape[1])
        inputs = array(self.inputs)
        return *self.kernel.forward(
            self.packed, self.batch_sizes, inputs=inputs, activations=activations
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

    def train(self) -> None:
        outputs, *_ = kernel_lstm.kernel_lstm(
            self.inputs, self.weight_ih, self.weight_hh, self.bias, self.batch_sizes
        )
        torch.autograd.backward(outputs, self.grad_outputs)


def compare_with_onednn(hidden: int, batch: int, threads: int, repeats: int) -> dict[str, Any]:
    """Return the median times of forward, and of forward and backward, of the kernel and oneDNN."""
    steps = int(min(200, max(16, OPERATIONS / (16 * hidden * hidden * batch))))
    layer = Layer(hidden, hidden, np.full(batch, steps))
    padded = layer.inputs.detach().view(steps, batch, hidden).requires_grad_()
    grad_outputs = layer.grad_outputs.view(steps, batch, hidden)
    layer.kernel.threads = threads

    def infer() -> None:
        with torch.no_grad():
            layer.module(padded)

    def train() -> None:
        torch.autograd.backward(layer.module(padded)[0], grad_outputs)

    def with_threads(count: int, call: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            if torch.get_num_threads() != count:
                torch.set_num_threads(count)
            call()

        return run

    cell: dict[str, Any] = {"hidden": hidden, "batch": batch, "steps": steps, "threads": threads}
    for name, kernel_call, onednn_call in (
        ("forward", layer.infer, infer),
        ("forward and backward", layer.train, train),
    ):
        # The kernel has its own threads.
        calls = {"fastlstm": with_threads(1, kernel_call), "oneDNN": with_threads(threads, onednn_call)}
        seconds = alternate(calls, repeats)
        cell[name] = {"seconds": seconds, "medians": medians(seconds)}
    return cell


def share_of_peak(layer: Layer, repeats: int, threads: int, peak: float) -> dict[str, Any]:
    """Return the fraction of the peak that training's forward and backward and inference's forward pass reach."""
    outputs, _, _, activations = layer.forward()
    layer.kernel.threads = threads
    calls = {
        "forward": (layer.forward, 1),
        "backward": (lambda: layer.backward(outputs, activations), 2),
        "forward of inference": (layer.infer, 1),
    }
    seconds = alternate({name: call for name, (call, _) in calls.items()}, repeats)
    times = medians(seconds)
    return {
        "threads": threads,
        "seconds": seconds,
        "medians": times,
        "share": {
            name: layer.operations * passes / times[name] / 1e9 / (peak * threads)
            for name, (_, passes) in calls.items()
        },
    }


def ragged_ratio(lengths: npt.NDArray[np.int64], repeats: int) -> dict[str, float]:
    """Return a ragged batch's time per token, relative to that of a batch of full-length sequences."""
    ragged, full = Layer(64, 64, lengths), Layer(64, 64, np.full(len(lengths), lengths.max()))
    ratio = {}
    for name in ("infer", "train"):
        times = medians(alternate({"ragged": getattr(ragged, name), "full": getattr(full, name)}, repeats))
        ratio[name] = times["ragged"] / (times["full"] * ragged.tokens / full.tokens)
    return ratio


def fresh_memory(kernel: Kernel, lengths: npt.NDArray[np.int64], repeats: int) -> dict[str, Any]:
    """Return the times of forward and backward in reused memory and in memory that is new in every call."""
    pooled, fresh = Layer(64, 64, lengths), Layer(64, 64, lengths)
    fresh.reset(kernel)  # the inference kernel allocates from the system

    def step(layer: Layer) -> Callable[[], None]:
        def run() -> None:
            outputs, _, _, activations = layer.forward()
            layer.backward(outputs, activations)

        return run

    seconds = alternate({"used again": step(pooled), "new": step(fresh)}, repeats)
    return {"seconds": seconds, "medians": medians(seconds)}


def print_share(share: dict[str, Any]) -> None:
    shares = ", ".join(f"{name} {value:.0%}" for name, value in share["share"].items())
    print(f"H = 64, B = 64, ragged, {share['threads']} threads, share of the FMA peak: {shares}")


def print_cell(cell: dict[str, Any]) -> None:
    line = f"{cell['threads']} threads, H {cell['hidden']:4}, B {cell['batch']:3}, T {cell['steps']:3}"
    for name in ("forward", "forward and backward"):
        times = cell[name]["medians"]
        line += f"   {name} {times['fastlstm'] * 1e3:8.2f} ms, {times['oneDNN'] / times['fastlstm']:.2f} x"
    print(line, flush=True)


if __name__ == "__main__":
    main()
