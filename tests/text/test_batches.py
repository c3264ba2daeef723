from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlstm._typing import IndexArray, TokenIds
from fastlstm.text.batches import (
    POOL_BATCHES,
    DistinctTokens,
    batches_by_length,
    join_texts,
    lengths_of,
    pack_batch,
    padding_fraction,
    shuffled_batches,
    starts_of,
)

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=300).map(lambda x: np.array(x, np.int64))
BATCH_SIZES = st.sampled_from([1, 2, 3, 7, 64])


def random_texts(lengths: IndexArray, seed: int = 0) -> list[TokenIds]:
    generator = np.random.default_rng(seed)
    return [generator.integers(1, 1000, int(length), np.int32) for length in lengths]


def review_lengths(texts: int) -> IndexArray:
    """Return lengths distributed like those of IMDb: median 174 tokens, truncated at 500."""
    return np.clip(np.random.default_rng(7).lognormal(5.16, 0.75, texts), 10, 500).astype(np.int64)


@given(LENGTHS, BATCH_SIZES, st.integers(0, 99))
def test_shuffled_batches_contain_each_text_once(lengths: IndexArray, batch_size: int, seed: int) -> None:
    batches = shuffled_batches(lengths, batch_size, np.random.default_rng(seed))
    assert all(1 <= len(batch) <= batch_size for batch in batches)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))


@given(st.integers(1, 500), BATCH_SIZES)
def test_batches_of_equal_lengths_are_full(texts: int, batch_size: int) -> None:
    batches = shuffled_batches(np.full(texts, 9), batch_size, np.random.default_rng(0))
    assert len(batches) == sum(-(-size // batch_size) for size in pool_sizes(texts, batch_size))


def pool_sizes(texts: int, batch_size: int) -> list[int]:
    """Return the number of texts of each pool. Only the last batch of a pool may be short."""
    size = POOL_BATCHES * batch_size
    return [min(size, texts - start) for start in range(0, texts, size)]


@given(LENGTHS, BATCH_SIZES, st.integers(0, 99))
def test_same_seed_gives_the_same_batches(lengths: IndexArray, batch_size: int, seed: int) -> None:
    first, second = (shuffled_batches(lengths, batch_size, np.random.default_rng(seed)) for _ in range(2))
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in second]


def test_next_epoch_has_other_batches_in_another_order() -> None:
    lengths, generator = review_lengths(1000), np.random.default_rng(0)
    first, second = (shuffled_batches(lengths, 64, generator) for _ in range(2))
    assert {tuple(sorted(batch)) for batch in first} != {tuple(sorted(batch)) for batch in second}
    order = [int(lengths[batch].max()) for batch in first]
    assert order != sorted(order)


@pytest.mark.parametrize("texts", [5000, 20_000])
def test_padding_of_review_lengths_is_at_most_ten_percent(texts: int) -> None:
    lengths = review_lengths(texts)
    assert 0 < padding_fraction(lengths, shuffled_batches(lengths, 64, np.random.default_rng(0))) <= 0.10


@given(LENGTHS, BATCH_SIZES)
def test_padding_of_any_lengths_is_at_most_ten_percent(lengths: IndexArray, batch_size: int) -> None:
    assert padding_fraction(lengths, shuffled_batches(lengths, batch_size, np.random.default_rng(0))) <= 0.10


@given(LENGTHS, BATCH_SIZES)
def test_padding_fraction_counts_positions_without_a_token(lengths: IndexArray, batch_size: int) -> None:
    batches = list(batches_by_length(lengths, batch_size))
    is_empty = np.concatenate([(np.arange(lengths[b].max()) >= lengths[b][:, None]).ravel() for b in batches])
    assert padding_fraction(lengths, batches) == pytest.approx(is_empty.mean(), abs=1e-12)


@given(LENGTHS)
def test_packed_batch_contains_the_texts_step_by_step(lengths: IndexArray) -> None:
    lengths = np.sort(lengths)[::-1]
    texts = random_texts(lengths)
    batch = pack_batch(texts)
    assert batch.ids.dtype == np.int32
    assert batch.batch_sizes.dtype == np.int64
    assert len(batch.ids) == lengths.sum()
    assert batch.batch_sizes.tolist() == [int((lengths > step).sum()) for step in range(lengths[0])]
    rebuilt: list[list[int]] = [[] for _ in texts]
    rows = iter(batch.ids.tolist())
    for batch_size in batch.batch_sizes:
        for text in range(batch_size):
            rebuilt[text].append(next(rows))
    assert rebuilt == [ids.tolist() for ids in texts]


@given(LENGTHS)
def test_positions_and_reversed_index_of_a_packed_batch(lengths: IndexArray) -> None:
    lengths = np.sort(lengths)[::-1]
    texts = random_texts(lengths)
    batch = pack_batch(texts)
    assert batch.lengths().tolist() == lengths.tolist()
    steps, text_indices = batch.positions()
    rebuilt = [texts[text][step] for step, text in zip(steps, text_indices, strict=True)]
    assert batch.ids.tolist() == rebuilt
    assert batch.ids[batch.reversed_index()].tolist() == pack_batch([text[::-1] for text in texts]).ids.tolist()


@given(LENGTHS)
def test_distinct_tokens_index_the_rows_of_each_id(lengths: IndexArray) -> None:
    ids = np.concatenate(random_texts(lengths))
    distinct = DistinctTokens.from_ids(ids)
    assert distinct.ids.tolist() == sorted(set(ids.tolist()))
    assert distinct.ids[distinct.index].tolist() == ids.tolist()
    assert distinct.ids.dtype == distinct.index.dtype == np.int32
    assert distinct.starts[0] == 0
    assert distinct.starts[-1] == len(ids)
    for m, (start, end) in enumerate(zip(distinct.starts[:-1], distinct.starts[1:], strict=True)):
        assert distinct.order[start:end].tolist() == np.flatnonzero(distinct.index == m).tolist()


@given(LENGTHS, BATCH_SIZES)
def test_shuffled_batches_have_the_longest_text_first(lengths: IndexArray, batch_size: int) -> None:
    for batch in shuffled_batches(lengths, batch_size, np.random.default_rng(0)):
        assert (np.diff(lengths[batch]) <= 0).all()


@given(LENGTHS, BATCH_SIZES)
def test_batches_by_length_contain_each_text_once_longest_first(lengths: IndexArray, batch_size: int) -> None:
    batches = list(batches_by_length(lengths, batch_size))
    order = np.concatenate(batches)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert (np.diff(lengths[order]) <= 0).all()
    assert all(len(batch) == batch_size for batch in batches[:-1])
    assert 1 <= len(batches[-1]) <= batch_size
    assert all(np.diff(order[lengths[order] == length]).min(initial=1) > 0 for length in set(lengths.tolist()))


def test_no_texts_have_no_batches() -> None:
    assert list(batches_by_length(np.zeros(0, np.int64), 8)) == []


@pytest.mark.parametrize("lengths", [[5], [0], [3, 0, 4], [0, 0]])
def test_joined_texts_can_be_split_again(lengths: list[int]) -> None:
    texts = random_texts(np.array(lengths))
    ids, starts = join_texts(texts)
    assert ids.dtype == np.int32
    assert starts.dtype == np.int64
    assert len(ids) == starts[-1]
    assert [ids[a:b].tolist() for a, b in itertools.pairwise(starts)] == [text.tolist() for text in texts]
    assert join_texts([np.arange(8, dtype=np.int32)[::2]])[0].flags.c_contiguous


@given(LENGTHS)
def test_lengths_are_token_counts(lengths: IndexArray) -> None:
    assert lengths_of(random_texts(lengths)).tolist() == lengths.tolist()
    assert starts_of(random_texts(lengths)).tolist() == [0, *np.cumsum(lengths).tolist()]
