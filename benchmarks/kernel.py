"""The kernel held against oneDNN (as PyTorch's nn.LSTM runs it) at all sizes, and against the processor's own peak.

    python benchmarks/kernel.py IMDB_FOLDER

The forward pass is inference's: the kernel's weights are packed beforehand, as they are when a model is loaded, and
PyTorch runs in no_grad. Forward and backward is training's, packing included. Every sequence of the comparison with
oneDNN is as long as the others, so that padding, which the kernel does no work on, gives it no advantage.
"""

from __future__ import annotations

import argparse
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
"""About as many a forward pass of the comparison takes, in 16 to 200 steps."""


def main() -> None:
    """Measures, prints tables and keeps the raw result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--hidden", type=int, nargs="+", default=HIDDEN)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    arguments = parser.parse_args()
    found = find_kernel()
    if found.kernel is None or found.path is None:
        sys.exit(f"there is no kernel: {found.why_not}")
    kernel, cores = found.kernel, found.kernel.threads
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)  # as in training: PyTorch's threads wait busily, on the cores that the kernel's need

    lengths = lengths_of(tutorial(arguments.data_dir, epochs=1).training.texts)
    ragged = np.sort(np.random.default_rng(0).choice(lengths, 64, replace=False))[::-1]
    each_threads = sorted({1, cores})
    measure, peak = Peak(), dict[int, float]()
    shares = []
    for threads in each_threads:
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
        "ragged": ragged_ratio(ragged, 5 * arguments.repeats),  # of two times, each with its noise
        "memory": fresh_memory(kernel, ragged, arguments.repeats),
        "onednn": [],
    }
    for name in ("build", "ragged", "memory"):
        print(name, result[name])
    for threads, hidden, batch in itertools.product(each_threads, arguments.hidden, arguments.batches):
        cell = against_onednn(hidden, batch, threads, arguments.repeats)
        result["onednn"].append(cell)
        print_cell(cell)
    print(machine.save("kernel", machine.describe(["fastlstm", "torch", "numpy"]), result))


def array(tensor: Tensor) -> npt.NDArray[np.float32]:
    """The tensor's own memory."""
    values: npt.NDArray[np.float32] = tensor.detach().numpy()
    return values


class Layer:
    """One LSTM layer and a batch, ready to be read by the kernel."""

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
        self.by_outputs = torch.randn(self.tokens, hidden_size)
        self.operations = 2 * 4 * hidden_size * (input_size + hidden_size) * self.tokens
        found = find_kernel().kernel
        assert found is not None
        self.inference = found
        self.reset(self._kernel())

    @staticmethod
    def _kernel() -> Kernel:
        found = kernel_lstm.kernel()
        assert found is not None
        return found

    def reset(self, kernel: Kernel) -> None:
        """Packs the weights for `kernel`."""
        self.kernel = kernel
        self.packed = kernel.pack(array(self.weight_ih), array(self.weight_hh), array(self.bias))

    def infer(self) -> None:
        self.inference.forward(self.packed, self.batch_sizes, inputs=array(self.inputs))

    def keep(self) -> tuple[Any, ...]:
        """The forward pass that backward can follow."""
        kept = self.kernel.keep(self.tokens, self.weight_hh.shape[1])
        inputs = array(self.inputs)
        return *self.kernel.forward(self.packed, self.batch_sizes, inputs=inputs, kept=kept), kept

    def backward(self, outputs: npt.NDArray[np.float32], kept: Any) -> None:
        self.kernel.backward(
            self.batch_sizes,
            array(self.weight_hh),
            outputs,
            kept,
            inputs=array(self.inputs),
            weight_ih=array(self.weight_ih),
            grad_outputs=self.by_outputs.numpy(),
        )

    def train(self) -> None:
        outputs = kernel_lstm.kernel_lstm(self.inputs, self.weight_ih, self.weight_hh, self.bias, self.batch_sizes)[
            0
        ]
        torch.autograd.backward(outputs, self.by_outputs)


def against_onednn(hidden: int, batch: int, threads: int, repeats: int) -> dict[str, Any]:
    """Medians of forward, and of forward and backward, of both."""
    steps = int(min(200, max(16, OPERATIONS / (16 * hidden * hidden * batch))))
    layer = Layer(hidden, hidden, np.full(batch, steps))
    padded = layer.inputs.detach().view(steps, batch, hidden).requires_grad_()
    by_outputs = layer.by_outputs.view(steps, batch, hidden)
    layer.kernel.threads = threads

    def infer() -> None:
        with torch.no_grad():
            layer.module(padded)

    def train() -> None:
        torch.autograd.backward(layer.module(padded)[0], by_outputs)

    def with_threads(count: int, call: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            if torch.get_num_threads() != count:
                torch.set_num_threads(count)
            call()

        return run

    cell: dict[str, Any] = {"hidden": hidden, "batch": batch, "steps": steps, "threads": threads}
    for name, own, other in (("forward", layer.infer, infer), ("forward and backward", layer.train, train)):
        calls = {"fastlstm": with_threads(1, own), "oneDNN": with_threads(threads, other)}  # the kernel has its own
        seconds = alternate(calls, repeats)
        cell[name] = {"seconds": seconds, "medians": medians(seconds)}
    return cell


def share_of_peak(layer: Layer, repeats: int, threads: int, peak: float) -> dict[str, Any]:
    """Of the forward pass as training runs it, of backward, and of inference's."""
    outputs, _, _, kept = layer.keep()
    layer.kernel.threads = threads
    calls = {
        "forward": (layer.keep, 1),
        "backward": (lambda: layer.backward(outputs, kept), 2),
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
    """A ragged batch's time over what its share of the tokens of a full-length batch takes."""
    ragged, full = Layer(64, 64, lengths), Layer(64, 64, np.full(len(lengths), lengths.max()))
    ratio = {}
    for name in ("infer", "train"):
        times = medians(alternate({"ragged": getattr(ragged, name), "full": getattr(full, name)}, repeats))
        ratio[name] = times["ragged"] / (times["full"] * ragged.tokens / full.tokens)
    return ratio


def fresh_memory(kernel: Kernel, lengths: npt.NDArray[np.int64], repeats: int) -> dict[str, Any]:
    """Forward and backward in memory that is used again, and in memory new to every call."""
    pooled, fresh = Layer(64, 64, lengths), Layer(64, 64, lengths)
    fresh.reset(kernel)  # inference's, which asks the system

    def step(layer: Layer) -> Callable[[], None]:
        def run() -> None:
            outputs, _, _, kept = layer.keep()
            layer.backward(outputs, kept)

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
