"""Measurement of the kernel's speed in each precision on this machine, in a fraction of a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fastlstm._typing import FloatArray
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.memory import BufferPool
from fastlstm.kernel.stack import PackedWeights, Stack

MIN_ROUNDS, MAX_ROUNDS = 4, 100
"""Every precision is timed once per round."""
ENOUGH_SECONDS, MAX_SECONDS = 0.004, 0.05
"""After `MIN_ROUNDS`, no round starts once the shortest calls, times the rounds, exceed `ENOUGH_SECONDS` of processor
time, or once `MAX_SECONDS` have passed."""
MIN_SECONDS = time.get_clock_info("thread_time").resolution
"""A shorter call counts as this long."""
MAX_MULTIPLICATIONS = 1 << 25
"""Multiplications of a call, unless two steps take more."""
MIN_STEPS, MAX_STEPS = 2, 32
TOKENS = 16
"""Number of distinct tokens."""

Run = Callable[[], object]


@dataclass(frozen=True)
class Workload:
    """What is timed: one layer of `units`, over `sequences` at a time; `training` includes the backward pass."""

    training: bool
    units: int
    sequences: int

    @property
    def steps(self) -> int:
        """The number of steps of each sequence."""
        steps = MAX_MULTIPLICATIONS // (4 * self.units**2 * self.sequences)
        return min(max(steps, MIN_STEPS), MAX_STEPS)


def measure_seconds(kernel: Kernel, workload: Workload, precisions: Sequence[str]) -> dict[str, float]:
    """Return the seconds of the workload in each precision: the shortest of several calls, which take turns.

    These are seconds of processor time on one thread, so that nothing that runs at the same time disturbs them much:
    threads that share a layer wait for each other. The input of the layer is projected before, as in inference and
    training on tokens.
    """
    make_run = _training_run if workload.training else _inference_run
    pooled = kernel.with_allocator(BufferPool().take)
    runs = {precision: make_run(pooled, workload, precision) for precision in precisions}
    threads, kernel.threads = kernel.threads, 1
    try:
        return _shortest_turns(runs)
    finally:
        kernel.threads = threads


def _shortest_turns(runs: Mapping[str, Run]) -> dict[str, float]:
    for run in runs.values():
        run()  # touches memory
    seconds = dict.fromkeys(runs, float("inf"))
    started = time.perf_counter()
    for done in range(MAX_ROUNDS):
        undisturbed, elapsed = done * sum(seconds.values()), time.perf_counter() - started
        if done >= MIN_ROUNDS and (undisturbed > ENOUGH_SECONDS or elapsed > MAX_SECONDS):
            break
        for precision, run in runs.items():
            before = time.thread_time()
            run()
            spent = time.thread_time() - before
            seconds[precision] = min(seconds[precision], max(spent, MIN_SECONDS))
    return seconds


def _inference_run(kernel: Kernel, workload: Workload, precision: str) -> Run:
    packed, projected = _layer(kernel, workload.units, precision)
    stack = Stack([[packed]], [projected], ("last",))
    starts = np.arange(workload.sequences + 1, dtype=np.int64) * workload.steps
    index = np.arange(starts[-1], dtype=np.int32) % TOKENS
    return lambda: kernel.infer(stack, starts, index)


def _training_run(kernel: Kernel, workload: Workload, precision: str) -> Run:
    packed, projected = _layer(kernel, workload.units, precision)
    batch_sizes = np.full(workload.steps, workload.sequences, np.int64)
    count = workload.steps * workload.sequences
    index = np.arange(count, dtype=np.int32) % TOKENS
    weight_hh = _weight_hh(workload.units)
    grad_outputs = np.full((count, workload.units), 1e-3, np.float32)

    def run() -> None:
        activations = kernel.allocate_activations(count, workload.units)
        outputs, _, _ = kernel.forward(
            packed, batch_sizes, projected=projected, index=index, activations=activations
        )
        kernel.backward(
            batch_sizes, weight_hh, outputs, activations, grad_outputs=grad_outputs, precision=precision
        )

    return run


def _layer(kernel: Kernel, units: int, precision: str) -> tuple[PackedWeights, FloatArray]:
    """Return the packed weights of a layer, and the projected tokens [TOKENS, 4P] that it reads."""
    packed = kernel.pack(None, _weight_hh(units), np.zeros(4 * units, np.float32), precision)
    return packed, np.full((TOKENS, 4 * packed.P), 0.1, np.float32)


def _weight_hh(units: int) -> FloatArray:
    """Return recurrent weights [4H, H], all equal: the time does not depend on the values."""
    return np.full((4 * units, units), 1 / units, np.float32)
