"""The order in which texts are predicted: slices of limited duration, in which small requests go first.

The cost of a text is a positive number that is roughly proportional to the time its prediction takes.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

SLICE_SECONDS, MAX_SLICE_SECONDS = 0.02, 0.06
"""Maximum estimated duration of a slice, and of a longer one if many texts are waiting, beyond `MIN_SLICE_TEXTS`."""
BACKLOG_FRACTION = 0.75
"""Maximum fraction of the waiting texts in such a slice. Large slices have a higher throughput."""
MIN_SLICE_TEXTS = 16
"""Number of texts in a slice that no estimate reduces, if so many are waiting. With few rows the kernel is slow, the
measured speed falls, and slices chosen by it alone would shrink further."""
SHORT_FRACTION = 1 / 64
"""A job is short if it takes at most this fraction of `SLICE_SECONDS`: one text of up to about 300 characters."""
SHORT_SLICE_FRACTION = 1 / 8
"""Maximum estimated duration of a slice of short jobs, as a fraction of `SLICE_SECONDS`."""
HEAD_START_SECONDS = 0.01
"""A job goes ahead of one of twice its cost if that one arrived at most this long before it."""
SPEED_DECAY = 0.9
"""Factor of the weight of a slice in the measured speed, for each later slice."""


@dataclass(eq=False)
class Job:
    """The texts of a request, the cost of each, and the time of its arrival in seconds.

    Attributes:
        next: Index of the first text that no slice has taken yet.
    """

    texts: Sequence[Any]
    costs: Sequence[float]
    arrival: float
    next: int = field(default=0, init=False)

    @property
    def rank(self) -> float:
        """The job with the lowest rank is next. A rank never changes, so later jobs overtake for a limited time."""
        return self.arrival + HEAD_START_SECONDS * math.log2(sum(self.costs))

    @property
    def remaining(self) -> int:
        """Number of texts that no slice has taken yet."""
        return len(self.texts) - self.next


@dataclass(frozen=True, eq=False)
class Piece:
    """The texts of a job from index `start` to before `end`, as part of a slice."""

    job: Job
    start: int
    end: int

    @property
    def texts(self) -> Sequence[Any]:
        """The texts."""
        return self.job.texts[self.start : self.end]

    @property
    def cost(self) -> float:
        """The sum of their costs."""
        return sum(self.job.costs[self.start : self.end])


Heap = list[tuple[float, int, Job]]
"""Rank, number, job. Jobs of equal rank are in the order of their numbers."""


class SliceQueue:
    """The waiting jobs. Not safe for concurrent use.

    Attributes:
        texts: Number of waiting texts.
        cost: Sum of their costs.
    """

    def __init__(self, max_texts: int, cost_per_second: float) -> None:
        """Create an empty queue.

        Args:
            max_texts: Maximum number of texts per slice.
            cost_per_second: First estimate of the speed. It counts as much as one full slice.
        """
        self._max_texts = max_texts
        self._short: Heap = []
        self._others: Heap = []
        self._numbers = itertools.count()
        self._measured_cost, self._measured_seconds = cost_per_second * SLICE_SECONDS, SLICE_SECONDS
        self.texts, self.cost = 0, 0.0

    @property
    def cost_per_second(self) -> float:
        """The speed of recent slices."""
        return self._measured_cost / self._measured_seconds

    def measure(self, cost: float, seconds: float) -> None:
        """Update the speed by the cost and the duration of a slice.

        A slice that is short both by estimate and by measurement is ignored: its duration is mostly overhead.
        """
        if cost < self._max_cost / 2 and seconds < SLICE_SECONDS / 2:
            return
        self._measured_cost = SPEED_DECAY * self._measured_cost + cost
        self._measured_seconds = SPEED_DECAY * self._measured_seconds + seconds

    def push(self, job: Job) -> bool:
        """Add a job. Return whether it is short."""
        is_short = sum(job.costs) <= SHORT_FRACTION * self._max_cost
        heapq.heappush(self._short if is_short else self._others, (job.rank, next(self._numbers), job))
        self._count(job, 1)
        return is_short

    def take_slice(self) -> list[Piece]:
        """Remove and return the texts to predict next: at least one, unless the queue is empty."""
        backlog_cost = min(BACKLOG_FRACTION * self.cost, MAX_SLICE_SECONDS * self.cost_per_second)
        return self._take((self._short, self._others), max(self._max_cost, backlog_cost), MIN_SLICE_TEXTS)

    def take_short_slice(self) -> list[Piece]:
        """Remove and return texts of short jobs, if any."""
        return self._take((self._short,), SHORT_SLICE_FRACTION * self._max_cost, 1)

    def discard(self, job: Job) -> None:
        """Remove what remains of a job."""
        self._count(job, -1)
        job.next = len(job.texts)  # later, it is dropped from its heap

    def restart(self, job: Job) -> None:
        """Add the texts of a job that were taken, so that all of its texts are predicted again."""
        self.discard(job)
        job.next = 0
        self.push(job)

    def clear(self) -> list[Job]:
        """Remove and return all jobs."""
        jobs = [job for *_, job in (*self._short, *self._others) if job.remaining]
        self._short.clear()
        self._others.clear()
        self.texts, self.cost = 0, 0.0
        return jobs

    @property
    def _max_cost(self) -> float:
        return SLICE_SECONDS * self.cost_per_second

    def _take(self, heaps: Sequence[Heap], max_cost: float, min_texts: int) -> list[Piece]:
        pieces: list[Piece] = []
        texts, cost = 0, 0.0
        while filled := [heap for heap in heaps if heap]:
            heap = min(filled)
            job = heap[0][-1]
            start = job.next
            self._count(job, -1)
            while job.remaining and texts < self._max_texts:
                if texts >= min_texts and cost + job.costs[job.next] > max_cost:
                    break
                texts, cost = texts + 1, cost + job.costs[job.next]
                job.next += 1
            self._count(job, 1)
            if job.next > start:
                pieces.append(Piece(job, start, job.next))
            if job.remaining:
                break
            heapq.heappop(heap)
        return pieces

    def _count(self, job: Job, sign: int) -> None:
        self.texts += sign * job.remaining
        self.cost += sign * sum(job.costs[job.next :])
