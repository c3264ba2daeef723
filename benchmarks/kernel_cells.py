"""One size of the comparison of kernel.py: the kernel in each precision, and oneDNN."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from fastlstm.kernel import find_kernel
from fastlstm.precision import Task, fastest_precision
from kernel_layer import Layer
from precisions import explicit_precisions, runtime_name
from timing import alternate, medians

OPERATIONS = 5e9
"""Approximate operations per forward pass; the number of steps is between `MIN_STEPS` and `MAX_STEPS`."""
MIN_STEPS, MAX_STEPS = 16, 200
PASSES: Mapping[str, Task] = {"forward": "inference", "forward and backward": "training"}
ONEDNN = "oneDNN"
Call = Callable[[], object]


def compare_with_onednn(hidden: int, batch: int, threads: int, repeats: int) -> dict[str, Any]:
    """Return the median times of forward, and of forward and backward, of the kernel and oneDNN."""
    steps = int(min(MAX_STEPS, max(MIN_STEPS, OPERATIONS / (16 * hidden * hidden * batch))))
    layer = Layer(hidden, hidden, np.full(batch, steps))
    layer.kernel.threads = threads
    padded = layer.inputs.detach().view(steps, batch, hidden).requires_grad_()
    grad_outputs = layer.grad_outputs.view(steps, batch, hidden)

    def infer(bfloat16: bool) -> None:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            layer.module(padded)

    def train(bfloat16: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            outputs, _ = layer.module(padded)
        torch.autograd.backward(outputs.float(), grad_outputs)

    cell: dict[str, Any] = {"hidden": hidden, "batch": batch, "steps": steps, "threads": threads}
    for name, own, opponent in (("forward", layer.infer, infer), ("forward and backward", layer.train, train)):
        calls: dict[str, Call] = {
            runtime_name(precision): _with_threads(1, partial(own, precision))  # the kernel has its own threads
            for precision in explicit_precisions()
            if precision != "int8" or name == "forward"
        }
        calls[ONEDNN] = _with_threads(threads, partial(opponent, False))
        if multiplies_bfloat16():
            calls[f"{ONEDNN} bfloat16"] = _with_threads(threads, partial(opponent, True))
        seconds = alternate(calls, repeats)
        choice = fastest_precision(PASSES[name], (hidden,), find_kernel(), sequences=(batch,))
        cell[name] = {"seconds": seconds, "medians": medians(seconds), "auto": choice}
    return cell


def multiplies_bfloat16() -> bool:
    """Return whether this processor has instructions that multiply bfloat16 numbers."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def fastest_own(times: Mapping[str, float]) -> float:
    """Return the least time of the kernel's precisions."""
    return min(seconds for name, seconds in times.items() if not name.startswith(ONEDNN))


def fastest_opponent(times: Mapping[str, float]) -> float:
    """Return the least time of oneDNN's precisions."""
    return min(seconds for name, seconds in times.items() if name.startswith(ONEDNN))


def auto_time(passes: Mapping[str, Any]) -> float:
    """Return the time of the precision that "auto" chooses; in results before "auto", that of float32."""
    return float(passes["medians"][runtime_name(passes.get("auto", "float32"))])


def _with_threads(count: int, call: Call) -> Call:
    def run() -> None:
        if torch.get_num_threads() != count:
            torch.set_num_threads(count)
        call()

    return run
