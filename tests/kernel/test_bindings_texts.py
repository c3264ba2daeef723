"""Whole texts in one call against the layers one by one, to the bit."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from tests.helpers.kernel_exact import Array

from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.stack import PackedWeights, Stack

WORDS, I = 29, 5  # noqa: E741
POOLINGS = [
    ("last",), ("highest",), ("mean",), ("last", "highest"), ("last", "mean"), ("highest", "mean"),
    ("last", "highest", "mean"),
]  # fmt: skip


@cache
def weights(sizes: tuple[int, ...], directions: int) -> list[list[tuple[Array, Array, Array]]]:
    generator, layers, inputs = np.random.default_rng(3), [], I
    for H in sizes:
        shapes = ((4 * H, inputs), (4 * H, H), (4 * H,))
        layers.append([
            tuple((generator.standard_normal(s) * H**-0.5).astype(np.float32) for s in shapes)
            for _ in range(directions)
        ])  # fmt: skip
        inputs = directions * H
    return layers


@cache
def texts_of(count: int, longest: int = 23) -> list[Array]:
    generator = np.random.default_rng(count)
    return [generator.integers(0, WORDS, n, np.int32) for n in generator.integers(1, longest + 1, count)]


class Reading:
    """One model, by `texts` and by `forward`."""

    def __init__(self, kernel: Kernel, sizes: tuple[int, ...], directions: int, poolings: tuple[str, ...]) -> None:
        self.kernel, self.poolings = kernel, poolings
        words = np.random.default_rng(4).standard_normal((WORDS, I)).astype(np.float32)
        self.layers = [[kernel.pack(*weight) for weight in layer] for layer in weights(sizes, directions)]
        self.projected = [kernel.project(packed, words) for packed in self.layers[0]]

    def together(self, texts: list[Array]) -> Array:
        starts = np.cumsum([0, *map(len, texts)]).astype(np.int64)
        index = np.concatenate(texts) if texts else np.empty(0, np.int32)
        return self.kernel.texts(Stack(self.layers, self.projected, self.poolings), starts, index)

    def one(self, text: Array) -> Array:
        steps, read = np.ones(len(text), np.int64), [{"projected": p, "index": text} for p in self.projected]
        for layer in self.layers:
            came = [self.read(packed, steps, k, read[k]) for k, packed in enumerate(layer)]
            outputs = np.concatenate([outputs for outputs, _ in came], 1)
            read = [{"inputs": outputs}] * len(layer)
        total = np.zeros_like(outputs[0])
        for row in outputs:
            total += row
        pooled = {
            "last": np.concatenate([last for _, last in came]),
            "highest": outputs.max(0),
            "mean": total / np.float32(len(text)),
        }
        return np.concatenate([pooled[pooling] for pooling in self.poolings])

    def read(
        self, packed: PackedWeights, steps: Array, direction: int, read: dict[str, Any]
    ) -> tuple[Array, Array]:
        outputs, h_n, _ = self.kernel.forward(packed, steps, reverse=direction == 1, **read)
        return outputs, h_n[0]


@pytest.mark.parametrize("sizes", [(7,), (13, 5), (3, 16, 9)], ids=str)
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("poolings", POOLINGS, ids="+".join)
def test_texts_have_the_bits_of_their_layers_one_by_one(
    kernel: Kernel, sizes: tuple[int, ...], directions: int, poolings: tuple[str, ...]
) -> None:
    reading, texts = Reading(kernel, sizes, directions, poolings), texts_of(70)
    expected = np.array([reading.one(text) for text in texts])
    for threads in (1, 2, 3, 8):
        kernel.threads = threads
        for count in (1, 2, 33, 70):
            assert reading.together(texts[:count]).tobytes() == expected[:count].tobytes()
        order = np.random.default_rng(threads).permutation(70)
        assert reading.together([texts[k] for k in order]).tobytes() == expected[order].tobytes()


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("count", [1, 5, 40])
def test_large_layers_have_the_bits_of_their_layers_one_by_one(kernel: Kernel, directions: int, count: int) -> None:
    reading, texts = Reading(kernel, (301, 7), directions, ("last", "highest", "mean")), texts_of(count, 9)
    expected = np.array([reading.one(text) for text in texts])
    for threads in (1, 2, 3):
        kernel.threads = threads
        assert reading.together(texts).tobytes() == expected.tobytes()


@pytest.mark.parametrize("directions", [1, 2])
def test_long_texts_are_read_a_stretch_at_a_time(kernel: Kernel, directions: int) -> None:
    reading = Reading(kernel, (13, 5), directions, ("last", "highest", "mean"))
    texts = texts_of(9, 3000)
    assert reading.together(texts).tobytes() == np.array([reading.one(text) for text in texts]).tobytes()


def test_no_texts_have_no_features(kernel: Kernel) -> None:
    assert Reading(kernel, (7,), 1, ("mean",)).together([]).shape == (0, 7)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("H", [7, 301])
def test_what_is_no_number_stays_in_its_text_and_in_its_highest(kernel: Kernel, directions: int, H: int) -> None:
    reading, texts = Reading(kernel, (H,), directions, ("highest", "mean")), texts_of(20)
    texts = [np.where(text == 0, 1, text).astype(np.int32) for text in texts]
    sound = reading.together(texts)
    for rows in reading.projected:
        rows[0] = np.nan
    assert reading.together(texts).tobytes() == sound.tobytes()
    texts[11][len(texts[11]) // 2] = 0
    ill = reading.together(texts)
    assert np.isnan(ill[11]).all()
    assert np.delete(ill, 11, 0).tobytes() == np.delete(sound, 11, 0).tobytes()


def test_a_mean_so_small_that_it_counts_as_zero_does_so_on_any_number_of_threads(kernel: Kernel) -> None:
    """The least numbers that are no denormals, and half of them."""
    H, least = 301, np.float32(1.2e-38)
    weight = np.zeros((4 * H, 1), np.float32)
    weight[2 * H : 3 * H] = 4 * least
    packed = kernel.pack(weight, np.zeros((4 * H, H), np.float32), np.zeros(4 * H, np.float32))
    projected = kernel.project(packed, np.array([[1], [-0.5]], np.float32))
    stack = Stack([[packed]], [projected], ("mean",))
    outputs, _, _ = kernel.forward(
        packed, np.ones(2, np.int64), projected=projected, index=np.array([0, 1], np.int32)
    )
    assert (outputs[0] == least).all()
    assert not outputs[1].any()
    starts, index = np.arange(0, 42, 2, dtype=np.int64), np.tile(np.array([0, 1], np.int32), 20)
    for threads in (1, 2, 8):  # by shards of texts, and by teams
        kernel.threads = threads
        assert not kernel.texts(stack, starts, index).any()
