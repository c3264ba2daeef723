"""Texts of several requests are read together, and each gets its own answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tests.server.conftest import Serve  # noqa: F401 -- skips where the extra is missing

from fastlstm.server.batching import Batcher
from fastlstm.server.errors import APIError


def rows(texts: Sequence[str]) -> Any:
    return np.array([[len(text)] for text in texts], np.float32)


class Slow:
    """Reads only once it is let, and remembers what it read together."""

    def __init__(self) -> None:
        self.go, self.begun = threading.Event(), threading.Event()
        self.read: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> Any:
        self.begun.set()
        assert self.go.wait(10)
        self.read.append(list(texts))
        if "bad" in texts:
            raise ValueError("bad came")
        return "reader", rows(texts)


async def until(condition: Any) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to that")


def run(test: Any, **limits: int) -> tuple[Slow, list[int]]:
    """Runs a test with a batcher that is started."""
    slow, sizes, waiting = Slow(), list[int](), list[int]()

    async def started() -> None:
        limits_ = {"batch_texts": 4, "queue_texts": 100, **limits}
        batcher = Batcher(slow, on_batch=sizes.append, on_waiting=waiting.append, **limits_)
        batcher.start()
        try:
            await test(batcher, slow)
        finally:
            slow.go.set()
            await batcher.stop()

    asyncio.run(started())
    assert waiting[-1] == 0
    return slow, sizes


async def first_then(batcher: Batcher, slow: Slow, later: Sequence[Sequence[str]]) -> list[asyncio.Task[Any]]:
    """A text that is being read, and requests that wait behind it."""
    tasks = [asyncio.create_task(batcher.submit(["first"]))]
    await until(slow.begun.is_set)
    for texts in later:
        tasks.append(asyncio.create_task(batcher.submit(texts)))
        await asyncio.sleep(0)
    await until(lambda: batcher.waiting == 1 + sum(len(texts) for texts in later))
    return tasks


def test_what_arrives_while_a_batch_is_read_is_read_together() -> None:
    async def test(batcher: Batcher, slow: Slow) -> None:
        tasks = await first_then(batcher, slow, [["a", "bb"], ["ccc"], ["dd", "e"], ["f"]])
        slow.go.set()
        answers = await asyncio.gather(*tasks)
        assert [answer.ravel().tolist() for _, answer in answers] == [[5], [1, 2], [3], [2, 1], [1]]
        assert batcher.waiting == 0

    slow, sizes = run(test)
    assert slow.read == [["first"], ["a", "bb", "ccc"], ["dd", "e", "f"]]
    assert sizes == [1, 3, 3]


def test_a_request_larger_than_a_batch_is_read_whole() -> None:
    async def test(batcher: Batcher, slow: Slow) -> None:
        slow.go.set()
        reader, answer = await batcher.submit(["x"] * 9)
        assert (reader, len(answer)) == ("reader", 9)

    slow, _ = run(test)
    assert [len(texts) for texts in slow.read] == [9]


def test_more_than_may_wait_is_refused_and_the_rest_is_answered() -> None:
    async def test(batcher: Batcher, slow: Slow) -> None:
        tasks = await first_then(batcher, slow, [["a"] * 4])
        with pytest.raises(APIError, match="5 texts wait to be read, of at most 6") as refused:
            await batcher.submit(["b", "c"])
        assert refused.value.status == 429
        assert refused.value.headers == {"Retry-After": "1"}
        with pytest.raises(APIError):  # it has room for this one, which came later
            await batcher.submit(["d"])
        slow.go.set()
        await tasks[0]
        last = asyncio.create_task(batcher.submit(["d"]))
        assert [len(answer) for _, answer in await asyncio.gather(*tasks, last)] == [1, 4, 1]

    run(test, queue_texts=6)


def test_one_that_can_t_be_read_harms_no_other() -> None:
    async def test(batcher: Batcher, slow: Slow) -> None:
        tasks = await first_then(batcher, slow, [["a"], ["bad"], ["cc"]])
        slow.go.set()
        first, a, bad, c = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(bad, ValueError)
        assert [of[1].tolist() for of in (first, a, c)] == [[[5]], [[1]], [[2]]]  # type: ignore[index]
        assert batcher.waiting == 0
        assert (await batcher.submit(["more"]))[1].tolist() == [[4]]

    run(test)


def test_what_fails_beside_reading_ends_nothing() -> None:
    async def test() -> list[int]:
        sizes = list[int]()

        def count(texts: int) -> None:
            sizes.append(texts)
            if len(sizes) == 1:
                raise OSError("no space left")

        batcher = Batcher(
            lambda texts: ("reader", rows(texts)), batch_texts=4, queue_texts=9, on_batch=count,
            on_waiting=lambda _: None,
        )  # fmt: skip
        batcher.start()
        for text in ("a", "bb"):
            assert (await batcher.submit([text]))[1].tolist() == [[len(text)]]
        await batcher.stop()
        return sizes

    assert asyncio.run(test()) == [1, 1]


def test_what_nobody_waits_for_is_not_read() -> None:
    async def test(batcher: Batcher, slow: Slow) -> None:
        tasks = await first_then(batcher, slow, [["gone"], ["there"]])
        tasks[1].cancel()
        slow.go.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert tasks[1].cancelled()
        await until(lambda: batcher.waiting == 0)

    slow, _ = run(test)
    assert slow.read == [["first"], ["there"]]


def test_when_it_stops_what_waits_is_cancelled() -> None:
    async def test(batcher: Batcher, slow: Slow) -> None:
        tasks = await first_then(batcher, slow, [["a"], ["b"]])
        stopping = asyncio.create_task(batcher.stop())
        await asyncio.sleep(0)
        slow.go.set()
        await stopping
        first, *others = await asyncio.gather(*tasks, return_exceptions=True)
        assert first[1].tolist() == [[5]]  # type: ignore[index]
        assert [type(other) for other in others] == [asyncio.CancelledError] * 2

    run(test)
