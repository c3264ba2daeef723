"""What is kept of all steps of a text: the largest and the mean output, over packed rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastlstm.batches import Packed
from fastlstm.training.pytorch_lstm import padded
from fastlstm.training.transfer import sent

FloatArray = npt.NDArray[np.float32]


def pooled(outputs: Tensor, batch: Packed) -> tuple[Tensor, Tensor]:
    """The largest and the mean of each text's outputs, both [B, H], from rows [N, H] on the batch's packing.

    Where several steps share the largest output, all of them get its gradient on a CPU.
    """
    if outputs.device.type == "cpu" and outputs.dtype == torch.float32:
        apply: Callable[..., tuple[Tensor, Tensor]] = _Pooled.apply
        return apply(outputs, batch)
    lengths = sent(batch.lengths(), outputs.device)
    grid = padded(outputs, batch, -math.inf)
    mean = grid.masked_fill(grid == -math.inf, 0.0).sum(dim=0) / lengths[:, None]
    return grid.amax(dim=0), mean


class _Pooled(torch.autograd.Function):
    """Step by step, as the rows lie, since PyTorch can't reduce packed rows without padding them first."""

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, batch: Packed) -> tuple[Tensor, Tensor]:
        rows: FloatArray = outputs.detach().numpy()
        texts = int(batch.batch_sizes[0])
        total = np.zeros((texts, rows.shape[1]), np.float32)
        highest = np.full_like(total, -np.inf)
        start = 0
        for running in batch.batch_sizes:
            step = rows[start : start + running]
            total[:running] += step
            np.maximum(highest[:running], step, out=highest[:running])
            start += running
        lengths = batch.lengths().astype(np.float32)[:, None]
        ctx.batch_sizes, ctx.lengths = batch.batch_sizes, lengths
        result = torch.from_numpy(highest), torch.from_numpy(total / lengths)
        ctx.save_for_backward(outputs, result[0])
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_highest: Tensor, by_mean: Tensor) -> tuple[Tensor, None]:
        outputs, highest = (saved.numpy() for saved in ctx.saved_tensors)
        from_highest, from_mean = by_highest.numpy(), by_mean.numpy() / ctx.lengths
        gradients = np.empty_like(outputs)
        start = 0
        for running in ctx.batch_sizes:
            step, rows = gradients[start : start + running], slice(start, start + running)
            np.multiply(outputs[rows] == highest[:running], from_highest[:running], out=step)
            step += from_mean[:running]
            start += running
        return torch.from_numpy(gradients), None
