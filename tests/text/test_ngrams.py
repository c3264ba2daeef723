import numpy as np
import pytest

from fastlstm.text.ngrams import NGRAM_KINDS, NUMBERS, NGramKind, NGramLogits, NGrams, ngrams

Ids = np.ndarray


def random_texts(count: int, longest: int = 17, vocabulary: int = 50) -> list[Ids]:
    generator = np.random.default_rng(0)
    return [
        generator.integers(0, vocabulary, int(length), np.int32) for length in generator.integers(1, longest, count)
    ]


def rows(found: NGrams) -> list[list[int]]:
    return [found.numbers[a:b].tolist() for a, b in zip(found.starts, found.starts[1:], strict=False)]


def number_of(*ids: int) -> int:
    """The number of one n-gram: what a text of just these tokens has that its parts don't."""
    whole = set(ngrams([np.array(ids, np.int32)]).numbers.tolist())
    parts = {n for i in ids for n in ngrams([np.array([i], np.int32)]).numbers.tolist()} if len(ids) > 1 else set()
    (number,) = whole - parts
    return int(number)


def test_a_text_has_its_words_and_its_pairs_once_each() -> None:
    text = np.array([7, 9, 7, 9, 9], np.int32)
    expected = {number_of(7), number_of(9), number_of(7, 9), number_of(9, 7), number_of(9, 9)}
    assert len(expected) == 5
    assert rows(ngrams([text])) == [sorted(expected)]


def test_no_pair_reaches_over_the_end_of_a_text() -> None:
    one, other = np.array([3, 4], np.int32), np.array([5], np.int32)
    assert rows(ngrams([one, other])) == [*rows(ngrams([one])), *rows(ngrams([other]))]
    assert rows(ngrams([other])) == [[number_of(5)]]


def test_texts_have_the_same_numbers_whatever_they_stand_beside() -> None:
    texts = random_texts(40)
    together = rows(ngrams(texts))
    assert together == [rows(ngrams([text]))[0] for text in texts]


def test_numbers_rise_and_lie_in_their_range() -> None:
    for row in rows(ngrams(random_texts(60, vocabulary=30_000))):
        assert row == sorted(set(row))
        assert row[0] >= 0
        assert row[-1] < NUMBERS


def test_different_ngrams_seldom_share_a_number() -> None:
    pairs = np.stack(np.meshgrid(np.arange(60), np.arange(60)), axis=-1).reshape(-1, 2).astype(np.int32)
    numbers = {int(n) for n in ngrams(list(pairs)).numbers}
    assert len(numbers) > 0.99 * (60 + 60 * 60)


def test_only_those_asked_for_are_given() -> None:
    texts = random_texts(30)
    everything = rows(ngrams(texts))
    among = np.zeros(NUMBERS, np.bool_)
    among[everything[0]] = True
    expected = [[n for n in row if among[n]] for row in everything]
    assert rows(ngrams(texts, among)) == expected


def test_evidence_is_the_sum_of_what_a_text_holds() -> None:
    texts = random_texts(30)
    known = np.unique(ngrams(texts[:20]).numbers)[::3].astype(np.int32)
    weight = np.random.default_rng(1).normal(size=(len(known), 3)).astype(np.float32)
    expected = np.zeros((30, 3))
    for i, row in enumerate(rows(ngrams(texts))):
        for n in row:
            if n in known:
                expected[i] += weight[np.searchsorted(known, n)]
    came = NGramLogits(known, weight)(texts)
    assert came.dtype == np.float32
    np.testing.assert_allclose(came, expected, rtol=1e-6, atol=1e-6)


def test_evidence_of_a_text_does_not_depend_on_its_batch_to_the_last_bit() -> None:
    texts = random_texts(50, longest=200)
    known = np.unique(ngrams(texts).numbers).astype(np.int32)
    evidence = NGramLogits(known, np.random.default_rng(1).normal(size=(len(known), 2)).astype(np.float32))
    together = evidence(texts)
    for i, text in enumerate(texts):
        np.testing.assert_array_equal(evidence([text])[0], together[i])


def test_texts_without_any_known_ngram_have_no_evidence() -> None:
    known = np.array([number_of(7)], np.int32)
    evidence = NGramLogits(known, np.array([[2.5]], np.float32))
    came = evidence([np.array([1], np.int32), np.array([7], np.int32), np.array([2], np.int32)])
    np.testing.assert_array_equal(came, [[0], [2.5], [0]])


def told_apart(text: list[int], kind: NGramKind) -> set[tuple[int, ...]]:
    """The n-grams of a kind that a text holds, written out."""
    held = set()
    for first in range(len(text)):
        places = [first + offset for offset in kind.offsets]
        inside = places[-1] < len(text)
        inside &= kind.beginning == 0 or places[-1] < kind.beginning
        inside &= kind.end == 0 or first >= len(text) - kind.end
        if inside:
            held.add(tuple(text[place] for place in places))
    return held


@pytest.mark.parametrize("length", [1, 2, 3, 9, 31, 100, 101, 350])
def test_places_tell_apart_where_ngrams_stand(length: int) -> None:
    generator = np.random.default_rng(length)
    text = generator.integers(0, 1000, length, np.int32)
    beside = random_texts(3)
    for kind in NGRAM_KINDS["places"]:
        expected = told_apart(text.tolist(), kind)
        (*_, row) = rows(ngrams([*beside, text], kinds=[kind]))
        assert len(row) == len(expected)
        alone = NGramKind(kind.tag, kind.offsets)
        for held in expected:
            whole = np.zeros(kind.offsets[-1] + 1, np.int32)
            whole[list(kind.offsets)] = held
            (number,) = ngrams([whole], kinds=[alone]).numbers.tolist()[:1]
            assert number in row


def test_kinds_have_numbers_of_their_own() -> None:
    kinds = NGRAM_KINDS["places"]
    assert len({kind.tag for kind in kinds}) == len(kinds)
    text = np.arange(5, 25, dtype=np.int32)
    numbers = [set(ngrams([text], kinds=[kind]).numbers.tolist()) for kind in kinds]
    assert sum(map(len, numbers)) == len(set().union(*numbers))
    assert set(ngrams([text]).numbers.tolist()) == numbers[0] | numbers[1]


def test_many_texts_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = random_texts(30)
    whole = ngrams(texts, kinds=NGRAM_KINDS["places"])
    monkeypatch.setattr("fastlstm.text.ngrams.TEXTS_TOGETHER", 7)
    parts = ngrams(texts, kinds=NGRAM_KINDS["places"])
    np.testing.assert_array_equal(parts.numbers, whole.numbers)
    np.testing.assert_array_equal(parts.starts, whole.starts)
