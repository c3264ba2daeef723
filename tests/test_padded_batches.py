"""Batches of similar lengths for transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.helpers.benchmarks import load_benchmark

IDS = [[1] * length for length in (5, 1, 9, 2, 2, 30, 3)]


@pytest.fixture
def padded_batches(monkeypatch: pytest.MonkeyPatch) -> Any:
    """benchmarks/opponents/padded_batches.py"""
    return load_benchmark("opponents/padded_batches", monkeypatch)


def test_every_text_is_in_one_batch_within_the_limits(padded_batches: Any) -> None:
    batches = list(padded_batches.padded_batches(IDS, 12, 3))
    assert sorted(np.concatenate([batch for batch, _, _ in batches])) == list(range(len(IDS)))
    for batch, ids, mask in batches:
        assert len(batch) <= 3
        assert ids.size <= 12 or len(batch) == 1
        assert mask.sum(1).tolist() == [len(IDS[k]) for k in batch]


def test_texts_are_sorted_by_length(padded_batches: Any) -> None:
    batches = padded_batches.batches_by_length([len(ids) for ids in IDS], 100, 2)
    lengths = [len(IDS[k]) for batch in batches for k in batch]
    assert lengths == sorted(lengths)


def test_padding_is_zero_and_masked(padded_batches: Any) -> None:
    ids, mask = padded_batches.pad([[7, 8, 9], [5]])
    assert ids.tolist() == [[7, 8, 9], [5, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
