"""Data-parallel training: each process of a group computes a share of every batch, and all take the same step.

The group is that of `torch.distributed`, if it is initialized. The processes have the same data, settings and weights.
A step sums gradients and losses over the group, so that the weights stay equal to the last bit, and the losses equal
those of one process up to the order of sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, distributed

Rows = TypeVar("Rows")


@dataclass(frozen=True)
class Group:
    """The processes that train together.

    Attributes:
        rank: The number of this process, from 0.
        size: The number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def share(self, rows: Rows) -> Rows:
        """Return the rows of this process, of a list, an array or a tensor: every `size`-th."""
        return rows[self.rank :: self.size] if self.size > 1 else rows  # type: ignore[index]

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one type by their sums over the group, the same bits in every process."""
        if self.size == 1 or not tensors:
            return
        buffer = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(buffer)
        start = 0
        for tensor in tensors:
            tensor.copy_(buffer[start : start + tensor.numel()].view_as(tensor))
            start += tensor.numel()

    def sum_numbers(self, *numbers: float) -> list[float]:
        """Return the sums of numbers over the group."""
        if self.size == 1:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(sums)
        result: list[float] = sums.tolist()
        return result

    def decide(self, decision: bool) -> bool:
        """Return the decision of the first process, in every process."""
        return bool(self.sum_numbers(float(decision and self.is_first))[0])

    def gather(self, rows: Tensor, count: int) -> Tensor:
        """Return the rows of all processes, in every process.

        Args:
            rows: The `share` of this process, of [count, ...]: [ceil((count - rank) / size), ...], of any type that
                `sum` adds.
            count: The number of rows of all processes.

        Returns:
            Row i is row `i // size` of process `i % size`: [count, ...], of the type of `rows`.
        """
        if self.size == 1:
            return rows
        whole = rows.new_zeros(count, *rows.shape[1:])
        self.share(whole).copy_(rows)
        self.sum([whole])
        return whole


def process_group() -> Group:
    """Return the group of this process; one of a single process if `torch.distributed` is not initialized."""
    if distributed.is_available() and distributed.is_initialized():
        return Group(distributed.get_rank(), distributed.get_world_size())
    return Group()
