"""A random LSTM stack and random texts, computed by one `Kernel.texts` call or by `Kernel.forward` per layer."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from tests.helpers.kernel_exact import Array

from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.stack import PackedWeights, Stack

WORDS, I = 29, 5  # noqa: E741
POOLINGS = [
    ("last",), ("max",), ("mean",), ("last", "max"), ("last", "mean"), ("max", "mean"), ("last", "max", "mean"),
]  # fmt: skip


@cache
def random_weights(sizes: tuple[int, ...], directions: int) -> list[list[tuple[Array, Array, Array]]]:
    """Return weight_ih, weight_hh and bias of each layer and direction."""
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
def random_word_ids(count: int, max_length: int = 23) -> list[Array]:
    """Return the word ids of `count` texts of 1 to `max_length` words."""
    generator = np.random.default_rng(count)
    return [generator.integers(0, WORDS, n, np.int32) for n in generator.integers(1, max_length + 1, count)]


class TextModel:
    """A random stack of LSTM layers with pooling."""

    def __init__(self, kernel: Kernel, sizes: tuple[int, ...], directions: int, poolings: tuple[str, ...]) -> None:
        self.kernel, self.poolings = kernel, poolings
        words = np.random.default_rng(4).standard_normal((WORDS, I)).astype(np.float32)
        self.layers = [[kernel.pack(*weights) for weights in layer] for layer in random_weights(sizes, directions)]
        self.projected = [kernel.project(packed, words) for packed in self.layers[0]]

    def stack(self) -> Stack:
        return Stack(self.layers, self.projected, self.poolings)

    def features(self, texts: list[Array]) -> Array:
        """Return the features of all texts, computed by one call of `Kernel.texts`."""
        starts = np.cumsum([0, *map(len, texts)]).astype(np.int64)
        index = np.concatenate(texts) if texts else np.empty(0, np.int32)
        return self.kernel.infer(self.stack(), starts, index)

    def features_by_layer(self, text: Array) -> Array:
        """Return the features of one text, computed layer by layer."""
        steps, sources = np.ones(len(text), np.int64), [{"projected": p, "index": text} for p in self.projected]
        for layer in self.layers:
            results = [self._run(packed, steps, k, sources[k]) for k, packed in enumerate(layer)]
            outputs = np.concatenate([outputs for outputs, _ in results], 1)
            sources = [{"inputs": outputs}] * len(layer)
        total = np.zeros_like(outputs[0])
        for row in outputs:
            total += row
        pooled = {
            "last": np.concatenate([last for _, last in results]),
            "max": outputs.max(0),
            "mean": total / np.float32(len(text)),
        }
        return np.concatenate([pooled[pooling] for pooling in self.poolings])

    def _run(
        self, packed: PackedWeights, steps: Array, direction: int, source: dict[str, Any]
    ) -> tuple[Array, Array]:
        outputs, h_n, _ = self.kernel.forward(packed, steps, reverse=direction == 1, **source)
        return outputs, h_n[0]
