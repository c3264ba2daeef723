"""Texts read in pieces, their states handed on, against texts read at once, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from tests.helpers.kernel_exact import Array
from tests.kernel.test_bindings_texts import POOLINGS, Reading, texts_of

from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.stack import Stack


def in_pieces(reading: Reading, stack: Stack, texts: list[Array], seed: int) -> tuple[Array, Array, Array]:
    """The features after the last piece of each text; what was read; and the states."""
    generator = np.random.default_rng(seed)
    states = np.full((len(texts), stack.state), np.nan, np.float32)  # whatever stands there at first
    read = np.zeros(len(texts), np.int64)
    features = np.zeros((len(texts), stack.features), np.float32)
    while (going := [k for k, text in enumerate(texts) if read[k] < len(text)]) != []:
        some = generator.permutation(going)[: max(1, len(going) // 2 + 1)]
        pieces = [texts[k][read[k] : read[k] + int(generator.integers(1, 9))] for k in some]
        starts = np.cumsum([0, *map(len, pieces)]).astype(np.int64)
        before, counted = states[some], read[some]
        features[some] = reading.kernel.texts(stack, starts, np.concatenate(pieces), states=before, read=counted)
        states[some], read[some] = before, counted
    return features, read, states


@pytest.mark.parametrize("sizes", [(7,), (13, 5), (301,)], ids=str)
@pytest.mark.parametrize("poolings", POOLINGS, ids="+".join)
def test_pieces_have_the_bits_of_the_whole(
    kernel: Kernel, sizes: tuple[int, ...], poolings: tuple[str, ...]
) -> None:
    reading, texts = Reading(kernel, sizes, 1, poolings), texts_of(9)
    whole = reading.together(texts)
    stack = Stack(reading.layers, reading.projected, poolings)
    for threads in (1, 2):
        kernel.threads = threads
        features, read, states = in_pieces(reading, stack, texts, threads)
        assert features.tobytes() == whole.tobytes()
        assert read.tolist() == [len(text) for text in texts]
        assert np.isfinite(states).all()


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_rounded_pieces_have_the_bits_of_the_whole(kernel: Kernel, precision: str) -> None:
    if not kernel.has(precision):
        pytest.skip(f"no {precision} beside {kernel.isa}")
    generator = np.random.default_rng(2)
    ih, hh, bias = ((generator.standard_normal(s) * 0.3).astype(np.float32) for s in ((76, 5), (76, 19), (76,)))
    reading, texts = Reading(kernel, (19,), 1, ("last", "highest", "mean")), texts_of(9)
    projected = [kernel.project(kernel.pack(ih, hh, bias), generator.standard_normal((29, 5)).astype(np.float32))]
    stack = Stack([[kernel.pack(None, hh, bias, precision)]], projected, reading.poolings)
    starts = np.cumsum([0, *map(len, texts)]).astype(np.int64)
    whole = kernel.texts(stack, starts, np.concatenate(texts))
    features, _, _ = in_pieces(reading, stack, texts, 5)
    assert features.tobytes() == whole.tobytes()


def test_states_and_counts_come_together_and_for_one_direction(kernel: Kernel) -> None:
    both = Reading(kernel, (7,), 2, ("mean",))
    one = Reading(kernel, (7,), 1, ("mean",))
    starts, index = np.array([0, 2]), np.array([3, 1], np.int32)
    for reading in (both, one):
        stack = Stack(reading.layers, reading.projected, ("mean",))
        states, read = np.zeros((1, stack.state), np.float32), np.zeros(1, np.int64)
        if reading is both:
            with pytest.raises(ValueError, match="a size is out of range"):
                kernel.texts(stack, starts, index, states=states, read=read)
            continue
        with pytest.raises(ValueError, match="an array is missing"):
            kernel.texts(stack, starts, index, states=states)
        with pytest.raises(ValueError, match=r"states is float32 \[1, 27\]; expected float32 \[1, 28\]"):
            kernel.texts(stack, starts, index, states=states[:, 1:].copy(), read=read)
        for bad in (-1, 2**62):
            with pytest.raises(ValueError, match="a size is out of range"):
                kernel.texts(stack, starts, index, states=states, read=np.array([bad]))
        assert not read.any()
        assert not states.any()
