"""Texts read in pieces with saved states against texts read at once, bit by bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.helpers.kernel_exact import Array
from tests.helpers.kernel_texts import POOLINGS, TextModel, random_word_ids

from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.stack import Stack


def read_in_pieces(kernel: Kernel, stack: Stack, texts: list[Array], seed: int) -> tuple[Array, Array, Array]:
    """Read each text in random pieces. Return the final features, the numbers of words read, and the states."""
    generator = np.random.default_rng(seed)
    states = np.full((len(texts), stack.state_size), np.nan, np.float32)  # the first piece ignores them
    words_read = np.zeros(len(texts), np.int64)
    features = np.zeros((len(texts), stack.feature_size), np.float32)
    while unfinished := [k for k, text in enumerate(texts) if words_read[k] < len(text)]:
        chosen = generator.permutation(unfinished)[: max(1, len(unfinished) // 2 + 1)]
        pieces = [texts[k][words_read[k] : words_read[k] + int(generator.integers(1, 9))] for k in chosen]
        starts = np.cumsum([0, *map(len, pieces)]).astype(np.int64)
        chosen_states, chosen_read = states[chosen], words_read[chosen]
        features[chosen] = kernel.infer(
            stack, starts, np.concatenate(pieces), states=chosen_states, steps_read=chosen_read
        )
        states[chosen], words_read[chosen] = chosen_states, chosen_read
    return features, words_read, states


@pytest.mark.parametrize("sizes", [(7,), (13, 5), (301,)], ids=str)
@pytest.mark.parametrize("poolings", POOLINGS, ids="+".join)
def test_pieces_are_bit_identical_to_the_whole_text(
    kernel: Kernel, sizes: tuple[int, ...], poolings: tuple[str, ...]
) -> None:
    model, texts = TextModel(kernel, sizes, 1, poolings), random_word_ids(9)
    expected = model.features(texts)
    for threads in (1, 2):
        kernel.threads = threads
        features, words_read, states = read_in_pieces(kernel, model.stack(), texts, threads)
        assert features.tobytes() == expected.tobytes()
        assert words_read.tolist() == [len(text) for text in texts]
        assert np.isfinite(states).all()


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_low_precision_pieces_are_bit_identical_to_the_whole_text(kernel: Kernel, precision: str) -> None:
    if not kernel.supports(precision):
        pytest.skip(f"this processor does not support {precision} with {kernel.isa}")
    generator = np.random.default_rng(2)
    ih, hh, bias = ((generator.standard_normal(s) * 0.3).astype(np.float32) for s in ((76, 5), (76, 19), (76,)))
    texts = random_word_ids(9)
    projected = [kernel.project(kernel.pack(ih, hh, bias), generator.standard_normal((29, 5)).astype(np.float32))]
    stack = Stack([[kernel.pack(None, hh, bias, precision)]], projected, ("last", "max", "mean"))
    starts = np.cumsum([0, *map(len, texts)]).astype(np.int64)
    expected = kernel.infer(stack, starts, np.concatenate(texts))
    features, _, _ = read_in_pieces(kernel, stack, texts, 5)
    assert features.tobytes() == expected.tobytes()


def test_states_of_two_directions_raise_value_error(kernel: Kernel) -> None:
    stack = TextModel(kernel, (7,), 2, ("mean",)).stack()
    states, steps_read = np.zeros((1, stack.state_size), np.float32), np.zeros(1, np.int64)
    with pytest.raises(ValueError, match="size"):
        kernel.infer(stack, np.array([0, 2]), np.array([3, 1], np.int32), states=states, steps_read=steps_read)


def test_states_need_counts_and_their_shape(kernel: Kernel) -> None:
    starts, index = np.array([0, 2]), np.array([3, 1], np.int32)
    stack = TextModel(kernel, (7,), 1, ("mean",)).stack()
    states, steps_read = np.zeros((1, stack.state_size), np.float32), np.zeros(1, np.int64)
    with pytest.raises(ValueError, match="missing"):
        kernel.infer(stack, starts, index, states=states)
    with pytest.raises(ValueError, match=r"states.*float32 \[1, 27\].*float32 \[1, 28\]"):
        kernel.infer(stack, starts, index, states=states[:, 1:].copy(), steps_read=steps_read)
    for bad in (-1, 2**62):
        with pytest.raises(ValueError, match="size"):
            kernel.infer(stack, starts, index, states=states, steps_read=np.array([bad]))
    assert not steps_read.any()
    assert not states.any()


@pytest.mark.parametrize("sizes", [(7,), (13, 5)], ids=str)
@pytest.mark.parametrize("poolings", POOLINGS, ids="+".join)
def test_a_reader_is_bit_identical_to_the_text_so_far(
    kernel: Kernel, sizes: tuple[int, ...], poolings: tuple[str, ...]
) -> None:
    model, generator = TextModel(kernel, sizes, 1, poolings), np.random.default_rng(3)
    stack = model.stack()
    for text in random_word_ids(4):
        reader, read = kernel.start_text(stack), 0
        assert not reader.features.any()
        while read < len(text):
            piece = text[read : read + int(generator.integers(1, 9))]
            reader.feed(piece)
            read += len(piece)
            assert reader.token_counts.tolist() == [read]
            assert reader.features.tobytes() == model.features([text[:read]]).tobytes()


def test_wrong_pieces_leave_a_reader_unchanged(kernel: Kernel) -> None:
    stack = TextModel(kernel, (7,), 1, ("mean",)).stack()
    reader = kernel.start_text(stack)
    reader.feed(np.array([3, 1], np.int32))
    before = reader.state.tobytes(), reader.features.tobytes()
    too_large = np.array([stack.arguments.M], np.int32)
    wrong: list[Any] = [too_large, -too_large, np.empty(0, np.int32), np.zeros(2), np.zeros((2, 2), np.int32)]
    for piece in wrong:
        with pytest.raises(ValueError, match=r"index|size"):
            reader.feed(piece)
    assert (reader.state.tobytes(), reader.features.tobytes()) == before
    assert reader.token_counts.tolist() == [2]
