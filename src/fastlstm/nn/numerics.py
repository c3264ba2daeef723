"""Numerics of training: precision, denormals, threads, gradient scale, seeds, learning rates, finite losses."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from fastlstm.errors import TrainingError
from fastlstm.nn import kernel_lstm
from fastlstm.nn.threads import one_thread

GPU_GRADIENT_SCALE = 1024.0
"""Factor on a GPU's loss, which `Adam` divides out: without it the smallest float16 gradients become 0."""


def derive_seed(*numbers: int) -> int:
    """Return one seed from several numbers, so that the random draws of a step do not depend on earlier steps."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def learning_rate_factor(schedule: str, progress: float) -> float:
    """Return the factor on the learning rate after a fraction `progress` (0..1) of the run's steps."""
    if schedule == "linear":
        return 1 - progress
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    return 1.0


def require_finite_loss(loss: float, place: str) -> None:
    """Raise `TrainingError` if the loss is not finite. `place` is when it was measured: "in step 3 of epoch 1"."""
    if not math.isfinite(loss):
        raise TrainingError(
            f"training diverged: the loss is {loss} {place}; set a lower learning_rate, or a clip_norm from 0.1 to 1",
            code="diverged",
            loss=loss,
        )


def autocast(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Compute in float16 on a GPU and unchanged in float32 on a CPU.

    PyTorch's autocast runs cuDNN's LSTM in float16 in any case. The cell state needs more digits than bfloat16 has.
    """
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.float16)
    return contextlib.nullcontext()


def scale_loss(loss: Tensor) -> Tensor:
    """Return the loss to call `backward` on: multiplied by `GPU_GRADIENT_SCALE` on a GPU, unchanged on a CPU."""
    return loss * GPU_GRADIENT_SCALE if loss.is_cuda else loss


@contextlib.contextmanager
def training_numerics(precision: str = "float32") -> Iterator[None]:
    """Compute on one thread of PyTorch, flush denormals to zero, and multiply in `precision` in this context.

    All three are set for the calling thread alone, and restored. Denormals slow a CPU down. See `one_thread` and
    `kernel_lstm.multiply_precision`.
    """
    with one_thread(), _flushed_denormals(), kernel_lstm.multiply_precision(precision):
        yield


@contextlib.contextmanager
def _flushed_denormals() -> Iterator[None]:
    """Flush denormals to zero in the calling thread, in this context."""
    flushed_before = not bool(torch.tensor([1e-30], dtype=torch.float32, device="cpu") * 1e-10)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed_before)
