"""Data-parallel training: each process of a group computes a share of every batch, and all take the same step.

The group is that of `torch.distributed`, if it is initialized. The processes have the same data, settings and weights.
A step sums gradients and losses over the group, so that the weights stay equal to the last bit, and the losses equal
those of one process up to the order of sums.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, distributed

from fastlstm._typing import IndexArray

Rows = TypeVar("Rows")

AWAKE_SECONDS = 0.1
"""Time that a process waits for the others before its core may sleep."""


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
        """Return the rows of this process, of a list, an array or a tensor.

        The processes take one row each in the order of their ranks, then one each in the reverse order, and so on. If
        the rows are sorted by length, every process gets about the same number of tokens.
        """
        if self.size == 1:
            return rows
        own = self._own(len(rows))  # type: ignore[arg-type]
        return [rows[i] for i in own] if isinstance(rows, list) else rows[own]  # type: ignore[return-value, index]

    def _own(self, count: int) -> IndexArray:
        """Return the increasing indices of the rows of this process, of `count` rows."""
        rounds = np.arange(-(-count // self.size))
        own = rounds * self.size + np.where(rounds % 2 == 0, self.rank, self.size - 1 - self.rank)
        return own[own < count]

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the sums of tensors of one type over the group, the same bits in every process."""
        if self.size == 1 or not tensors:
            return list(tensors)
        buffer = torch.cat([tensor.reshape(-1) for tensor in tensors])
        _wait(distributed.all_reduce(buffer, async_op=True))
        parts = torch.split(buffer, [tensor.numel() for tensor in tensors])
        return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]

    def sum_numbers(self, *numbers: float) -> list[float]:
        """Return the sums of numbers over the group."""
        return self.start_sum_numbers(*numbers)()

    def start_sum_numbers(self, *numbers: float) -> Callable[[], list[float]]:
        """Return a function that waits for the sums of numbers over the group, and returns them."""
        if self.size == 1:
            return lambda: list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64)
        work = distributed.all_reduce(sums, async_op=True)

        def wait() -> list[float]:
            _wait(work)
            result: list[float] = sums.tolist()
            return result

        return wait

    def decide(self, decision: bool) -> bool:
        """Return the decision of the first process, in every process."""
        return bool(self.sum_numbers(float(decision and self.is_first))[0])

    def gather(self, rows: Tensor, count: int) -> Tensor:
        """Return the rows of all processes, in every process.

        Args:
            rows: The `share` of this process, of [count, ...], of any type that `sum` adds.
            count: The number of rows of all processes.

        Returns:
            All rows, in their order before `share`: [count, ...], of the type of `rows`.
        """
        if self.size == 1:
            return rows
        whole = rows.new_zeros(count, *rows.shape[1:])
        whole[self._own(count)] = rows
        return self.sum([whole])[0]


def _wait(work: Any) -> None:
    """Wait for an operation of `torch.distributed`; at first without putting this core to sleep.

    In a virtual machine, a sleeping core can take several milliseconds to wake up, a good part of a small step.
    """
    end = time.monotonic() + AWAKE_SECONDS
    while not work.is_completed() and time.monotonic() < end:
        os.sched_yield()
    work.wait()


def process_group() -> Group:
    """Return the group of this process; one of a single process if `torch.distributed` is not initialized."""
    if distributed.is_available() and distributed.is_initialized():
        return Group(distributed.get_rank(), distributed.get_world_size())
    return Group()
