"""The order of texts: slices of bounded cost, small jobs first, and a limited time of being overtaken."""

from __future__ import annotations

import pytest

from fastlstm.server.scheduling import (
    BACKLOG_FRACTION,
    HEAD_START_SECONDS,
    MAX_SLICE_SECONDS,
    MIN_SLICE_TEXTS,
    SHORT_FRACTION,
    SHORT_SLICE_FRACTION,
    SLICE_SECONDS,
    Job,
    Piece,
    SliceQueue,
)

SPEED = 1000 / SLICE_SECONDS
"""Cost per second, so that a slice has a cost of 1,000."""
SHORT = 1000 * SHORT_FRACTION


def job(name: str, *costs: float, arrival: float = 0.0) -> Job:
    """Return a job with a text for each cost, named by a letter and its position."""
    return Job([f"{name}{k}" for k in range(len(costs))], costs, arrival)


def queue_of(*jobs: Job, max_texts: int = 100) -> SliceQueue:
    queue = SliceQueue(max_texts, SPEED)
    for each in jobs:
        queue.push(each)
    return queue


def names(pieces: list[Piece]) -> list[str]:
    return [text for piece in pieces for text in piece.texts]


def test_slice_has_texts_of_several_jobs_up_to_the_maximum_cost() -> None:
    queue = queue_of(job("a", *[50] * 12), job("b", *[50] * 12, arrival=0.001))
    assert names(queue.take_slice()) == [*(f"a{k}" for k in range(12)), *(f"b{k}" for k in range(8))]
    assert (queue.texts, queue.cost) == (4, 200)
    assert names(queue.take_slice()) == ["b8", "b9", "b10", "b11"]
    assert (queue.texts, queue.cost) == (0, 0)
    assert queue.take_slice() == []


def test_slice_has_a_minimum_number_of_texts_at_any_cost() -> None:
    queue = queue_of(job("a", *[5000] * (MIN_SLICE_TEXTS + 1)))
    assert len(names(queue.take_slice())) == MIN_SLICE_TEXTS
    assert len(names(queue.take_slice())) == 1


@pytest.mark.parametrize(
    ("waiting", "taken"),
    [(20, 20), (24, 20), (40, 40 * BACKLOG_FRACTION), (99, 20 * MAX_SLICE_SECONDS / SLICE_SECONDS)],
)
def test_slices_grow_with_the_waiting_cost_up_to_a_maximum(waiting: int, taken: float) -> None:
    queue = queue_of(job("a", *[50] * waiting))
    assert len(names(queue.take_slice())) == taken


def test_slice_has_at_most_the_maximum_number_of_texts() -> None:
    queue = queue_of(job("a", 1, 1, 1), job("b", 1, 1, 1, arrival=0.001), max_texts=4)
    assert names(queue.take_slice()) == ["a0", "a1", "a2", "b0"]
    assert names(queue.take_slice()) == ["b1", "b2"]


def test_smaller_job_goes_ahead_of_the_rest_of_a_larger_one() -> None:
    queue = queue_of(job("large", *[50] * 24))
    assert len(names(queue.take_slice())) == 20
    queue.push(job("small", 50, arrival=0.01))
    assert names(queue.take_slice())[:2] == ["small0", "large20"]


@pytest.mark.parametrize(("seconds", "first"), [(0.9, "small0"), (1.1, "large0")])
def test_job_of_half_the_cost_goes_ahead_if_it_arrives_within_the_head_start(seconds: float, first: str) -> None:
    queue = queue_of(job("large", 400), job("small", 200, arrival=seconds * HEAD_START_SECONDS))
    assert names(queue.take_slice())[0] == first


def test_large_job_is_not_overtaken_forever() -> None:
    """The head start grows with the logarithm of the ratio of costs: 1 : 64 is 6 times that of 1 : 2."""
    queue = queue_of(job("large", 6400), max_texts=1)
    taken: list[str] = []
    for k in range(20):
        queue.push(job("small", 100, arrival=(k + 0.5) * HEAD_START_SECONDS))
        taken += names(queue.take_slice())
    assert taken.index("large0") == 6


def test_jobs_of_equal_cost_are_in_order_of_arrival() -> None:
    queue = queue_of(*(job(name, 600, arrival=0.5) for name in "ab"))
    assert names(queue.take_slice()) == ["a0", "b0"]


def test_short_slices_have_short_jobs_only() -> None:
    queue = queue_of(job("long", 300), job("s", SHORT / 2, SHORT / 2, arrival=1.0))
    assert names(queue.take_short_slice()) == ["s0", "s1"]
    assert queue.take_short_slice() == []
    assert names(queue.take_slice()) == ["long0"]


def test_short_slices_have_a_lower_maximum_cost() -> None:
    queue = SliceQueue(100, SPEED)
    assert all(queue.push(job("s", SHORT, arrival=k / 1000)) for k in range(100))
    assert len(names(queue.take_short_slice())) == SHORT_SLICE_FRACTION / SHORT_FRACTION
    assert queue.push(job("long", SHORT + 1)) is False


def test_slices_follow_the_measured_speed() -> None:
    queue = SliceQueue(100, SPEED)
    for _ in range(100):
        queue.measure(2000, SLICE_SECONDS)
    assert queue.cost_per_second == pytest.approx(2 * SPEED, rel=1e-3)
    queue.push(job("a", *[51] * 40))
    assert len(names(queue.take_slice())) == 39


def test_slices_that_are_much_shorter_than_the_maximum_do_not_change_the_speed() -> None:
    queue = SliceQueue(100, SPEED)
    queue.measure(400, 0.4 * SLICE_SECONDS)
    assert queue.cost_per_second == SPEED
    queue.measure(400, 0.6 * SLICE_SECONDS)
    assert queue.cost_per_second < SPEED
    queue.measure(2000, 0.1 * SLICE_SECONDS)
    assert queue.cost_per_second > SPEED


def test_discarded_jobs_are_not_taken() -> None:
    first, second = job("a", 600, 600), job("b", 100, arrival=1.0)
    queue = queue_of(first, second, max_texts=1)
    assert names(queue.take_slice()) == ["a0"]
    queue.discard(first)
    assert (queue.texts, queue.cost) == (1, 100)
    assert names(queue.take_slice()) == ["b0"]


@pytest.mark.parametrize("taken", [1, 2])
def test_restarted_jobs_are_taken_from_their_first_text(taken: int) -> None:
    restarted = job("a", 600, 600)
    queue = queue_of(restarted, max_texts=1)
    for _ in range(taken):
        queue.take_slice()
    queue.restart(restarted)
    assert (queue.texts, queue.cost) == (2, 1200)
    assert [names(queue.take_slice()) for _ in range(3)] == [["a0"], ["a1"], []]


def test_clear_returns_the_jobs_with_remaining_texts() -> None:
    first, second, third = job("a", 600), job("b", 600, 600, arrival=1.0), job("c", SHORT, arrival=9.0)
    queue = queue_of(first, second, third, max_texts=1)
    queue.take_slice()
    assert queue.clear() == [third, second]
    assert (queue.texts, queue.cost, queue.take_slice()) == (0, 0, [])
