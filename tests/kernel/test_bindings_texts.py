"""Whole texts computed by one call against the layers computed one by one, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from tests.helpers.kernel_texts import POOLINGS, TextModel, random_word_ids

from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.stack import Stack


@pytest.mark.parametrize("sizes", [(7,), (13, 5), (3, 16, 9)], ids=str)
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("poolings", POOLINGS, ids="+".join)
def test_texts_are_bit_identical_to_their_layers_one_by_one(
    kernel: Kernel, sizes: tuple[int, ...], directions: int, poolings: tuple[str, ...]
) -> None:
    model, texts = TextModel(kernel, sizes, directions, poolings), random_word_ids(70)
    expected = np.array([model.features_by_layer(text) for text in texts])
    for threads in (1, 2, 3, 8):
        kernel.threads = threads
        for count in (1, 2, 33, 70):
            assert model.features(texts[:count]).tobytes() == expected[:count].tobytes()
        order = np.random.default_rng(threads).permutation(70)
        assert model.features([texts[k] for k in order]).tobytes() == expected[order].tobytes()


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("count", [1, 5, 40])
def test_large_layers_are_bit_identical_to_their_layers_one_by_one(
    kernel: Kernel, directions: int, count: int
) -> None:
    model, texts = TextModel(kernel, (301, 7), directions, ("last", "max", "mean")), random_word_ids(count, 9)
    expected = np.array([model.features_by_layer(text) for text in texts])
    for threads in (1, 2, 3):
        kernel.threads = threads
        assert model.features(texts).tobytes() == expected.tobytes()


@pytest.mark.parametrize("directions", [1, 2])
def test_long_texts_are_bit_identical_to_their_layers_one_by_one(kernel: Kernel, directions: int) -> None:
    """The kernel processes long texts in several parts."""
    model = TextModel(kernel, (13, 5), directions, ("last", "max", "mean"))
    texts = random_word_ids(9, 3000)
    expected = np.array([model.features_by_layer(text) for text in texts])
    assert model.features(texts).tobytes() == expected.tobytes()


def test_no_texts_have_no_features(kernel: Kernel) -> None:
    assert TextModel(kernel, (7,), 1, ("mean",)).features([]).shape == (0, 7)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("H", [7, 301])
def test_nan_of_a_word_affects_only_its_text(kernel: Kernel, directions: int, H: int) -> None:
    """Max and mean pooling both propagate it."""
    model, texts = TextModel(kernel, (H,), directions, ("max", "mean")), random_word_ids(20)
    texts = [np.where(text == 0, 1, text).astype(np.int32) for text in texts]
    expected = model.features(texts)
    for rows in model.projected:
        rows[0] = np.nan
    assert model.features(texts).tobytes() == expected.tobytes()
    texts[11][len(texts[11]) // 2] = 0
    features = model.features(texts)
    assert np.isnan(features[11]).all()
    assert np.delete(features, 11, 0).tobytes() == np.delete(expected, 11, 0).tobytes()


def test_denormal_mean_is_flushed_to_zero_with_any_number_of_threads(kernel: Kernel) -> None:
    """The mean of the smallest normal number and zero is a denormal."""
    H, smallest_normal = 301, np.float32(1.2e-38)
    weight = np.zeros((4 * H, 1), np.float32)
    weight[2 * H : 3 * H] = 4 * smallest_normal
    packed = kernel.pack(weight, np.zeros((4 * H, H), np.float32), np.zeros(4 * H, np.float32))
    projected = kernel.project(packed, np.array([[1], [-0.5]], np.float32))
    stack = Stack([[packed]], [projected], ("mean",))
    outputs, _, _ = kernel.forward(
        packed, np.ones(2, np.int64), projected=projected, index=np.array([0, 1], np.int32)
    )
    assert (outputs[0] == smallest_normal).all()
    assert not outputs[1].any()
    starts, index = np.arange(0, 42, 2, dtype=np.int64), np.tile(np.array([0, 1], np.int32), 20)
    for threads in (1, 2, 8):  # each thread has its own texts, or all threads share one layer's weights
        kernel.threads = threads
        assert not kernel.infer(stack, starts, index).any()
