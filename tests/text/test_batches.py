from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlstm.text.batches import (
    DistinctTokens,
    batches_by_length,
    lengths_of,
    pack_batch,
    padding_fraction,
    shuffled_batches,
)

Ids = npt.NDArray[np.int32]
Indices = npt.NDArray[np.int64]

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=300).map(lambda x: np.array(x, np.int64))
BATCH_SIZES = st.sampled_from([1, 2, 3, 7, 64])


def random_texts(lengths: Indices, seed: int = 0) -> list[Ids]:
    generator = np.random.default_rng(seed)
    return [generator.integers(1, 1000, int(length), np.int32) for length in lengths]


def reviews(texts: int) -> Indices:
    """Lengths that are spread as those of IMDb's reviews: median 174 tokens, the longest cut at 500."""
    return np.clip(np.random.default_rng(7).lognormal(5.16, 0.75, texts), 10, 500).astype(np.int64)


@given(LENGTHS, BATCH_SIZES, st.integers(0, 99))
def test_shuffled_batches_hold_each_text_once(lengths: Indices, batch_size: int, seed: int) -> None:
    batches = shuffled_batches(lengths, batch_size, np.random.default_rng(seed))
    assert all(1 <= len(batch) <= batch_size for batch in batches)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))


@given(st.integers(1, 500), BATCH_SIZES)
def test_texts_of_one_length_fill_their_batches(texts: int, batch_size: int) -> None:
    batches = shuffled_batches(np.full(texts, 9), batch_size, np.random.default_rng(0))
    assert len(batches) == sum(-(-pool // batch_size) for pool in pools(texts, batch_size))


def pools(texts: int, batch_size: int) -> list[int]:
    """Texts in each pool that is sorted by itself; only its last batch may be short."""
    size = 50 * batch_size
    return [min(size, texts - start) for start in range(0, texts, size)]


@given(LENGTHS, BATCH_SIZES, st.integers(0, 99))
def test_the_same_seed_gives_the_same_batches(lengths: Indices, batch_size: int, seed: int) -> None:
    first, second = (shuffled_batches(lengths, batch_size, np.random.default_rng(seed)) for _ in range(2))
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in second]


def test_the_next_epoch_has_other_batches_in_another_order() -> None:
    lengths, generator = reviews(1000), np.random.default_rng(0)
    first, second = (shuffled_batches(lengths, 64, generator) for _ in range(2))
    assert {tuple(sorted(batch)) for batch in first} != {tuple(sorted(batch)) for batch in second}
    order = [int(lengths[batch].max()) for batch in first]
    assert order != sorted(order)


@pytest.mark.parametrize("texts", [5000, 20_000])
def test_padding_is_small_on_reviews(texts: int) -> None:
    lengths = reviews(texts)
    assert 0 < padding_fraction(lengths, shuffled_batches(lengths, 64, np.random.default_rng(0))) <= 0.10


@given(LENGTHS, BATCH_SIZES)
def test_padding_is_small_on_any_lengths(lengths: Indices, batch_size: int) -> None:
    assert padding_fraction(lengths, shuffled_batches(lengths, batch_size, np.random.default_rng(0))) <= 0.10


@given(LENGTHS, BATCH_SIZES)
def test_padding_is_the_share_of_places_without_a_token(lengths: Indices, batch_size: int) -> None:
    batches = list(batches_by_length(lengths, batch_size))
    empty = np.concatenate([(np.arange(lengths[b].max()) >= lengths[b][:, None]).ravel() for b in batches])
    assert padding_fraction(lengths, batches) == pytest.approx(empty.mean(), abs=1e-12)


@given(LENGTHS)
def test_packed_texts_can_be_rebuilt(lengths: Indices) -> None:
    lengths = np.sort(lengths)[::-1]
    texts = random_texts(lengths)
    batch = pack_batch(texts)
    assert batch.ids.dtype == np.int32
    assert batch.batch_sizes.dtype == np.int64
    assert len(batch.ids) == lengths.sum()
    assert batch.batch_sizes.tolist() == [int((lengths > step).sum()) for step in range(lengths[0])]
    rebuilt: list[list[int]] = [[] for _ in texts]
    rows = iter(batch.ids.tolist())
    for running in batch.batch_sizes:
        for sequence in range(running):
            rebuilt[sequence].append(next(rows))
    assert rebuilt == [text.tolist() for text in texts]


@given(LENGTHS)
def test_rows_of_a_packed_batch_know_their_places(lengths: Indices) -> None:
    lengths = np.sort(lengths)[::-1]
    texts = random_texts(lengths)
    batch = pack_batch(texts)
    assert batch.lengths().tolist() == lengths.tolist()
    steps, of_text = batch.places()
    rebuilt = [texts[text][step] for step, text in zip(steps, of_text, strict=True)]
    assert batch.ids.tolist() == rebuilt
    assert batch.ids[batch.turned()].tolist() == pack_batch([text[::-1] for text in texts]).ids.tolist()


@given(LENGTHS)
def test_distinct_ids_are_those_of_the_batch_and_know_their_rows(lengths: Indices) -> None:
    ids = np.concatenate(random_texts(lengths))
    distinct = DistinctTokens.of(ids)
    assert distinct.ids.tolist() == sorted(set(ids.tolist()))
    assert distinct.ids[distinct.index].tolist() == ids.tolist()
    assert distinct.ids.dtype == distinct.index.dtype == np.int32
    assert distinct.starts[0] == 0
    assert distinct.starts[-1] == len(ids)
    for m, (start, end) in enumerate(zip(distinct.starts[:-1], distinct.starts[1:], strict=True)):
        assert distinct.order[start:end].tolist() == np.flatnonzero(distinct.index == m).tolist()


@given(LENGTHS, BATCH_SIZES)
def test_shuffled_batches_hold_the_longest_first(lengths: Indices, batch_size: int) -> None:
    for batch in shuffled_batches(lengths, batch_size, np.random.default_rng(0)):
        assert (np.diff(lengths[batch]) <= 0).all()


@given(LENGTHS, BATCH_SIZES)
def test_by_length_holds_each_text_once_and_the_longest_first(lengths: Indices, batch_size: int) -> None:
    batches = list(batches_by_length(lengths, batch_size))
    order = np.concatenate(batches)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert (np.diff(lengths[order]) <= 0).all()
    assert all(len(batch) == batch_size for batch in batches[:-1])
    assert 1 <= len(batches[-1]) <= batch_size
    assert all(np.diff(order[lengths[order] == length]).min(initial=1) > 0 for length in set(lengths.tolist()))


def test_no_texts_are_no_batches() -> None:
    assert list(batches_by_length(np.zeros(0, np.int64), 8)) == []


@given(LENGTHS)
def test_lengths_are_the_numbers_of_tokens(lengths: Indices) -> None:
    assert lengths_of(random_texts(lengths)).tolist() == lengths.tolist()
