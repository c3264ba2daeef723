"""How training computes, whatever it trains: threads, tiny numbers, precision, seeds and the learning rate."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from fastlstm.nn import kernel_lstm

GPU_GRADIENT_SCALE = 1024.0
"""What gradients are multiplied by on a GPU until `Adam` divides by it: float16 would lose the smallest ones."""


def derive_seed(*numbers: int) -> int:
    """One seed from several numbers, so that a step draws the same whatever ran before it."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def decay_parameters(schedule: str, progress: float) -> float:
    """The share of the learning rate that is left when a share `progress` (0..1) of the run's steps is done."""
    if schedule == "linear":
        return 1 - progress
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    return 1.0


def autocast(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """float16 arithmetic on a GPU; on a CPU float32 as it is.

    PyTorch's autocast gives cuDNN's LSTM float16 in any case, whose cell state needs more digits than bfloat16 has.
    """
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.float16)
    return contextlib.nullcontext()


def scaled_backward(loss: Tensor) -> Tensor:
    """The loss to take gradients of: on a GPU, scaled."""
    return loss * GPU_GRADIENT_SCALE if loss.is_cuda else loss


@contextlib.contextmanager
def training_numerics(precision: str = "float32") -> Iterator[None]:
    """How training computes here: numbers too small to matter count as zero, where else they slow a CPU down.

    What is trained inside multiplies in `precision`, on a CPU that can. See `kernel_lstm.multiplying`.

    PyTorch's worker threads take the setting of the thread that starts them, so the model is made inside too. They
    wait for work busily, on the cores that the kernel's threads need: where there is a kernel they get none.
    """
    threads, flushed = torch.get_num_threads(), not bool(torch.tensor([1e-30]) * 1e-10)
    torch.set_flush_denormal(True)
    if kernel_lstm.kernel() is not None:
        torch.set_num_threads(1)
    try:
        with kernel_lstm.multiply_precision(precision):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushed)
