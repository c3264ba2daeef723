"""The kernel against oneDNN (as used by PyTorch's nn.LSTM) at all sizes, and against the processor's peak.

    python benchmarks/kernel.py IMDB_FOLDER [--hidden 64 256] [--batches 64] [--threads 1]

The forward pass is that of inference: the kernel's weights are packed before, as when a model is loaded, and PyTorch
runs under no_grad. Forward and backward is that of training and includes packing. All sequences of the comparison with
oneDNN have the same length, so that the kernel gains nothing from skipping padding. The kernel is measured in every
precision that the processor supports; "auto" is one of them, and the result contains its choice. PyTorch is measured
in float32 and, if the processor multiplies bfloat16, with bfloat16 autocast; elsewhere PyTorch emulates it slowly.
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

import machine
from build import build
from fastlstm.kernel import find_kernel
from fastlstm.kernel.bindings import Kernel
from fastlstm.text.batches import lengths_of
from kernel_cells import PASSES, auto_time, compare_with_onednn, fastest_opponent, fastest_own
from kernel_layer import Layer
from peak import Peak
from timing import alternate, medians
from training import tutorial

HIDDEN = (32, 64, 128, 256, 512, 1024, 2048)
BATCHES = (1, 8, 64, 256)


def main() -> None:
    """Measure, print tables and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--hidden", type=int, nargs="+", default=HIDDEN)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--threads", type=int, nargs="+", help="default: 1 and all cores")
    arguments = parser.parse_args()
    info = find_kernel()
    if info.kernel is None or info.path is None:
        sys.exit(f"no compiled kernel: {info.reason}")
    kernel, cores = info.kernel, info.kernel.threads
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)  # as in training: idle PyTorch threads spin on the cores that the kernel needs

    lengths = lengths_of(tutorial(arguments.data_dir, epochs=1).training.texts)
    ragged = np.sort(np.random.default_rng(0).choice(lengths, 64, replace=False))[::-1]
    thread_counts = arguments.threads or sorted({1, cores})
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
    print(f"{cell['threads']} threads, H {cell['hidden']}, B {cell['batch']}, T {cell['steps']}")
    for name in PASSES:
        times, auto = cell[name]["medians"], auto_time(cell[name])
        listed = ", ".join(f"{runtime} {seconds * 1e3:.2f}" for runtime, seconds in times.items())
        print(
            f"  {name}: {listed} ms; auto ({cell[name]['auto']}): {auto / fastest_own(times):.2f} x the fastest "
            f"precision, {auto / fastest_opponent(times):.2f} x the fastest opponent",
            flush=True,
        )


if __name__ == "__main__":
    main()
