"""The embedding, whose gradient names the words that a step reads and no other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class WordVectors(nn.Embedding):
    """[V, E] vectors of words. With `sparse` the ids of a call must rise, each named once.

    `nn.Embedding`'s own sparse gradient is sorted and summed before it can be used, which takes longer than to
    look the vectors up.
    """

    def forward(self, ids: Tensor) -> Tensor:
        """The vectors [M, E] of ids [M]."""
        if not self.sparse:
            return super().forward(ids)
        rows: Tensor = _Rows.apply(self.weight, ids)  # type: ignore[no-untyped-call]
        return rows


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.shape = weight.shape
        return weight.index_select(0, ids)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (ids,) = ctx.saved_tensors
        rising = torch.sparse_coo_tensor(ids[None], grad, ctx.shape, is_coalesced=True, check_invariants=False)
        return rising, None
