"""Dynamic batching: texts of several requests are predicted together, and each request gets its own rows.

The cost of a text is its length. Texts are long enough for the first thread, except where short ones are tested.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import pytest

from fastlstm._typing import DoubleArray
from fastlstm.server.batching import FIRST_COST_PER_SECOND, Batcher
from fastlstm.server.errors import APIError
from fastlstm.server.scheduling import SHORT_FRACTION, SLICE_SECONDS

SLICE_COST = SLICE_SECONDS * FIRST_COST_PER_SECOND
LONG = SHORT_FRACTION * SLICE_COST + 1
"""Cost of a text that is not short."""


def lengths(texts: Sequence[str]) -> DoubleArray:
    return np.array([[len(text)] for text in texts], np.float64)


class BlockingModel:
    """Predicts once `release` is set, and records its batches. Fails for batches that contain "bad".

    Texts that begin with "short" are predicted at once, and not recorded. `seconds` is a clock on which the speed is
    always the estimated one.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.release, self.started = threading.Event(), threading.Event()
        self.batches: list[list[str]] = []
        self.name = "model"

    def __call__(self, texts: Sequence[str]) -> tuple[str, DoubleArray]:
        name = self.name
        if all(text.startswith("short") for text in texts):
            return name, lengths(texts)
        self.started.set()
        assert self.release.wait(10)
        self.seconds += sum(map(cost, texts)) / FIRST_COST_PER_SECOND
        self.batches.append(list(texts))
        if "bad" in texts:
            raise ValueError("bad text")
        return name, lengths(texts)


def cost(text: str) -> float:
    """Return the cost of a text: low for "short", 4 slices for "huge", else `LONG`."""
    return {"short": 1.0, "huge": 4 * SLICE_COST}.get(text[:5].rstrip("0123456789"), LONG)


async def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("timeout")


def run(
    test: Callable[[Batcher[str], BlockingModel], Awaitable[None]],
    *,
    batch_texts: int = 4,
    queue_texts: int = 100,
    queue_seconds: float = 100.0,
) -> tuple[BlockingModel, list[int]]:
    """Run a test with a started batcher. Return the model and the reported batch sizes."""
    model, sizes, waiting = BlockingModel(), list[int](), list[int]()

    async def run_started() -> None:
        batcher: Batcher[str] = Batcher(
            model,
            cost=cost,
            batch_texts=batch_texts,
            queue_texts=queue_texts,
            queue_seconds=queue_seconds,
            on_batch=sizes.append,
            on_waiting=waiting.append,
            clock=lambda: model.seconds,
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
        tasks = await queue_behind_first(batcher, model, [["a"], ["bb"], ["ccc"], ["dd"], ["e"], ["f"]])
        model.release.set()
        results = await asyncio.gather(*tasks)
        assert [rows.ravel().tolist() for _, rows in results] == [[5], [1], [2], [3], [2], [1], [1]]
        await wait_until(lambda: batcher.waiting == 0)

    model, sizes = run(test)
    assert model.batches == [["first"], ["a", "bb", "ccc", "dd"], ["e", "f"]]
    assert sizes == [1, 4, 2]


def test_request_larger_than_a_batch_is_split_and_its_rows_are_in_order() -> None:
    async def test(batcher: Batcher[str], model: BlockingModel) -> None:
        model.release.set()
        name, rows = await batcher.submit(["x" * k for k in range(1, 10)])
        assert (name, rows.ravel().tolist()) == ("model", list(range(1, 10)))

    model, _ = run(test)
    assert [len(texts) for texts in model.batches] == [4, 4, 1]


def test_smaller_request_is_predicted_before_the_rest_of_a_larger_one() -> None:
    async def test(batcher: Batcher[str], model: BlockingModel) -> None:
        large = asyncio.create_task(batcher.submit(["a", "b", "c"]))
        await wait_until(model.started.is_set)
        small = asyncio.create_task(batcher.submit(["small"]))
        await wait_until(lambda: batcher.waiting == 4)
        model.release.set()
        assert (await small)[1].tolist() == [[5]]
        assert (await large)[1].tolist() == [[1], [1], [1]]

    model, _ = run(test, batch_texts=1)
    assert model.batches == [["a"], ["small"], ["b"], ["c"]]


def test_short_request_does_not_wait_for_the_current_slice() -> None:
    async def test(batcher: Batcher[str], model: BlockingModel) -> None:
        first = asyncio.create_task(batcher.submit(["first"]))
        await wait_until(model.started.is_set)
        assert (await batcher.submit(["short1", "short2"]))[1].tolist() == [[6], [6]]
        assert not first.done()
        model.release.set()
        await first

    run(test)


def test_request_is_predicted_by_one_model_if_the_model_is_reloaded_between_its_slices() -> None:
    async def test(batcher: Batcher[str], model: BlockingModel) -> None:
        task = asyncio.create_task(batcher.submit(["a", "b"]))
        await wait_until(model.started.is_set)
        model.name = "reloaded"  # the first slice has begun with the old one
        model.release.set()
        name, rows = await task
        assert (name, rows.tolist()) == ("reloaded", [[1], [1]])

    model, _ = run(test, batch_texts=1)
    assert model.batches == [["a"], ["b"], ["a"], ["b"]]


def test_a_late_slice_of_the_old_model_does_not_change_a_completed_request() -> None:
    """One thread predicts "0" by the old model, until the other one has completed the request by the new model."""
    counts = dict.fromkeys("012", 0)
    slices = 0
    completed, late = threading.Event(), threading.Event()

    def predict(texts: Sequence[str]) -> tuple[str, DoubleArray]:
        (text,) = texts
        counts[text] += 1
        is_old = counts[text] == 1 and text != "2"
        if text == "0" and is_old:
            assert completed.wait(10)
        return "old" if is_old else "new", np.array([[float(text)]])

    def on_batch(texts: int) -> None:
        nonlocal slices
        slices += texts
        (completed if slices == 5 else late if slices == 6 else threading.Event()).set()

    async def submit() -> tuple[Any, DoubleArray]:
        batcher = Batcher[str](
            predict, cost=lambda _: 1.0, batch_texts=1, queue_texts=9, queue_seconds=9.0, on_batch=on_batch,
            on_waiting=lambda _: None,
        )  # fmt: skip
        batcher.start()
        task = asyncio.create_task(batcher.submit(["0", "1", "2"]))
        await asyncio.sleep(0)
        assert late.wait(10)  # the event loop is busy meanwhile
        result = await task
        await batcher.stop()
        return result

    name, rows = asyncio.run(submit())
    assert (name, rows.tolist()) == ("new", [[0], [1], [2]])


def test_full_queue_rejects_all_requests_until_part_of_it_is_free() -> None:
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
        await asyncio.gather(*tasks)
        await wait_until(lambda: not batcher.rejecting)
        assert [len(rows) for _, rows in await asyncio.gather(*tasks, batcher.submit(["d"]))] == [1, 4, 1]

    run(test, queue_texts=6)


def test_long_estimated_time_rejects_requests_and_is_the_time_to_retry_after() -> None:
    async def test(batcher: Batcher[str], model: BlockingModel) -> None:
        tasks = await queue_behind_first(batcher, model, [["huge"] * 70])  # 5.6 s
        with pytest.raises(APIError) as raised:
            await batcher.submit(["a"])
        assert (raised.value.code, raised.value.headers) == ("queue-full", {"Retry-After": "6"})
        model.release.set()
        await asyncio.gather(*tasks)
        await wait_until(lambda: not batcher.rejecting)
        assert len((await batcher.submit(["a"]))[1]) == 1

    run(test, queue_seconds=2.0)


def test_failing_request_does_not_affect_others_in_its_batch() -> None:
    async def test(batcher: Batcher[str], model: BlockingModel) -> None:
        tasks = await queue_behind_first(batcher, model, [["a"], ["bad"], ["cc"]])
        model.release.set()
        first, a, bad, cc = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(bad, ValueError)
        assert [result[1].tolist() for result in (first, a, cc)] == [[[5]], [[1]], [[2]]]  # type: ignore[index]
        await wait_until(lambda: batcher.waiting == 0)
        assert (await batcher.submit(["more"]))[1].tolist() == [[4]]

    run(test)


def test_request_that_fails_in_one_slice_is_not_predicted_further() -> None:
    async def test(batcher: Batcher[str], model: BlockingModel) -> None:
        model.release.set()
        with pytest.raises(ValueError, match="bad"):
            await batcher.submit(["a", "b", "c", "bad", "e"])
        await wait_until(lambda: batcher.waiting == 0)

    model, _ = run(test)
    assert model.batches == [["a", "b", "c", "bad"]]


def test_failing_callback_does_not_stop_the_batcher() -> None:
    async def test() -> list[int]:
        sizes = list[int]()

        def fail_once(texts: int) -> None:
            sizes.append(texts)
            if len(sizes) == 1:
                raise OSError("no space left")

        batcher: Batcher[str] = Batcher(
            lambda texts: ("model", lengths(texts)),
            cost=cost,
            batch_texts=4,
            queue_texts=9,
            queue_seconds=9.0,
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
        tasks = await queue_behind_first(batcher, model, [["a"], ["b", "c"]])
        stop = asyncio.create_task(batcher.stop())
        await asyncio.sleep(0)
        model.release.set()
        await stop
        first, *others = await asyncio.gather(*tasks, return_exceptions=True)
        assert first[1].tolist() == [[5]]  # type: ignore[index]
        assert [type(other) for other in others] == [asyncio.CancelledError] * 2

    run(test)
