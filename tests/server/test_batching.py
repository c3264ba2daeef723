"""Dynamic batching: texts of several requests are predicted together, and each request gets its own rows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import pytest

from fastlstm._typing import DoubleArray
from fastlstm.server.batching import Batcher
from fastlstm.server.errors import APIError


def lengths(texts: Sequence[str]) -> DoubleArray:
    return np.array([[len(text)] for text in texts], np.float64)


class BlockingModel:
    """Predicts once `release` is set, and records its batches. Fails for batches that contain "bad"."""

    def __init__(self) -> None:
        self.release, self.started = threading.Event(), threading.Event()
        self.batches: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> tuple[str, DoubleArray]:
        self.started.set()
        assert self.release.wait(10)
        self.batches.append(list(texts))
        if "bad" in texts:
            raise ValueError("bad text")
        return "model", lengths(texts)


async def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("timeout")


def run(
    test: Callable[[Batcher[str], BlockingModel], Awaitable[None]], *, batch_texts: int = 4, queue_texts: int = 100
) -> tuple[BlockingModel, list[int]]:
    """Run a test with a started batcher. Return the model and the reported batch sizes."""
    model, sizes, waiting = BlockingModel(), list[int](), list[int]()

    async def run_started() -> None:
        batcher: Batcher[str] = Batcher(
            model,
            on_batch=sizes.append,
            on_waiting=waiting.append,
            batch_texts=batch_texts,
            queue_texts=queue_texts,
        )
        batcher.start()
        try:
            await test(batcher, model)
        finally:
            model.release.set()
            await batcher.stop()

    asyncio.run(run_started())
    assert waiting[-1] == 0
    return model, sizes


async def queue_behind_first(
    batcher: Batcher[str], model: BlockingModel, requests: Sequence[Sequence[str]]
) -> list[asyncio.Task[Any]]:
    """Start predicting the text "first", and queue `requests` behind it."""
    tasks = [asyncio.create_task(batcher.submit(["first"]))]
    await wait_until(model.started.is_set)
    for texts in requests:
        tasks.append(asyncio.create_task(batcher.submit(texts)))
        await asyncio.sleep(0)
    await wait_until(lambda: batcher.waiting == 1 + sum(len(texts) for texts in requests))
    return tasks


def test_queued_requests_are_predicted_together_up_to_the_batch_size() -> None:
    async def test(batcher: Batcher[str], model: BlockingModel) -> None:
        tasks = await queue_behind_first(batcher, model, [["a", "bb"], ["ccc"], ["dd", "e"], ["f"]])
        model.release.set()
        results = await asyncio.gather(*tasks)
        assert [rows.ravel().tolist() for _, rows in results] == [[5], [1, 2], [3], [2, 1], [1]]
        assert batcher.waiting == 0

    model, sizes = run(test)
    assert model.batches == [["first"], ["a", "bb", "ccc"], ["dd", "e", "f"]]
    assert sizes == [1, 3, 3]


def test_request_larger_than_a_batch_is_not_split() -> None:
    async def test(batcher: Batcher[str], model: BlockingModel) -> None:
        model.release.set()
        name, rows = await batcher.submit(["x"] * 9)
        assert (name, len(rows)) == ("model", 9)

    model, _ = run(test)
    assert [len(texts) for texts in model.batches] == [9]


def test_full_queue_rejects_all_requests_until_the_next_batch_completes() -> None:
    async def test(batcher: Batcher[str], model: BlockingModel) -> None:
        tasks = await queue_behind_first(batcher, model, [["a"] * 4])
        with pytest.raises(APIError) as raised:
            await batcher.submit(["b", "c"])
        error = raised.value
        assert (error.code, error.status, error.waiting, error.maximum) == ("queue-full", 429, 5, 6)
        assert error.headers == {"Retry-After": "1"}
        with pytest.raises(APIError):  # would fit, but would overtake the rejected request
            await batcher.submit(["d"])
        model.release.set()
        await tasks[0]
        last = asyncio.create_task(batcher.submit(["d"]))
        assert [len(rows) for _, rows in await asyncio.gather(*tasks, last)] == [1, 4, 1]

    run(test, queue_texts=6)


def test_failing_request_does_not_affect_others_in_its_batch() -> None:
    async def test(batcher: Batcher[str], model: BlockingModel) -> None:
        tasks = await queue_behind_first(batcher, model, [["a"], ["bad"], ["cc"]])
        model.release.set()
        first, a, bad, cc = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(bad, ValueError)
        assert [result[1].tolist() for result in (first, a, cc)] == [[[5]], [[1]], [[2]]]  # type: ignore[index]
        assert batcher.waiting == 0
        assert (await batcher.submit(["more"]))[1].tolist() == [[4]]

    run(test)


def test_failing_callback_does_not_stop_the_batcher() -> None:
    async def test() -> list[int]:
        sizes = list[int]()

        def fail_once(texts: int) -> None:
            sizes.append(texts)
            if len(sizes) == 1:
                raise OSError("no space left")

        batcher: Batcher[str] = Batcher(
            lambda texts: ("model", lengths(texts)),
            batch_texts=4,
            queue_texts=9,
            on_batch=fail_once,
            on_waiting=lambda _: None,
        )
        batcher.start()
        for text in ("a", "bb"):
            assert (await batcher.submit([text]))[1].tolist() == [[len(text)]]
        await batcher.stop()
        return sizes

    assert asyncio.run(test()) == [1, 1]


def test_cancelled_requests_are_not_predicted() -> None:
    async def test(batcher: Batcher[str], model: BlockingModel) -> None:
        tasks = await queue_behind_first(batcher, model, [["cancelled"], ["next"]])
        tasks[1].cancel()
        model.release.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert tasks[1].cancelled()
        await wait_until(lambda: batcher.waiting == 0)

    model, _ = run(test)
    assert model.batches == [["first"], ["next"]]


def test_stop_finishes_the_current_batch_and_cancels_queued_requests() -> None:
    async def test(batcher: Batcher[str], model: BlockingModel) -> None:
        tasks = await queue_behind_first(batcher, model, [["a"], ["b"]])
        stop = asyncio.create_task(batcher.stop())
        await asyncio.sleep(0)
        model.release.set()
        await stop
        first, *others = await asyncio.gather(*tasks, return_exceptions=True)
        assert first[1].tolist() == [[5]]  # type: ignore[index]
        assert [type(other) for other in others] == [asyncio.CancelledError] * 2

    run(test)
