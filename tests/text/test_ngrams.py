from __future__ import annotations

import numpy as np
import pytest

from fastlstm._typing import TokenIds
from fastlstm.text.ngrams import NGRAM_ID_COUNT, NGRAM_KINDS, NGramKind, NGramLogits, NGrams, extract_ngrams


def random_texts(count: int, longest: int = 17, vocabulary: int = 50) -> list[TokenIds]:
    generator = np.random.default_rng(0)
    return [
        generator.integers(0, vocabulary, int(length), np.int32) for length in generator.integers(1, longest, count)
    ]


def rows(ngrams: NGrams) -> list[list[int]]:
    """Return the n-gram ids of each text."""
    return [ngrams.ids[a:b].tolist() for a, b in zip(ngrams.starts, ngrams.starts[1:], strict=False)]


def id_of(*tokens: int) -> int:
    """Return the id of one n-gram: the id that a text of these tokens has and its single tokens have not."""
    ids = set(extract_ngrams([np.array(tokens, np.int32)]).ids.tolist())
    if len(tokens) > 1:
        ids -= {id_of(token) for token in tokens}
    (ngram_id,) = ids
    return int(ngram_id)


def random_weight(ids: TokenIds, logits: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(len(ids), logits)).astype(np.float32)


def test_words_and_pairs_are_extracted_once_each() -> None:
    text = np.array([7, 9, 7, 9, 9], np.int32)
    expected = {id_of(7), id_of(9), id_of(7, 9), id_of(9, 7), id_of(9, 9)}
    assert len(expected) == 5
    assert rows(extract_ngrams([text])) == [sorted(expected)]


def test_pairs_do_not_cross_the_end_of_a_text() -> None:
    first, second = np.array([3, 4], np.int32), np.array([5], np.int32)
    assert rows(extract_ngrams([first, second])) == [
        *rows(extract_ngrams([first])),
        *rows(extract_ngrams([second])),
    ]
    assert rows(extract_ngrams([second])) == [[id_of(5)]]


def test_ngrams_of_a_text_do_not_depend_on_the_others() -> None:
    texts = random_texts(40)
    assert rows(extract_ngrams(texts)) == [rows(extract_ngrams([text]))[0] for text in texts]


def test_ids_are_increasing_and_in_range() -> None:
    for row in rows(extract_ngrams(random_texts(60, vocabulary=30_000))):
        assert row == sorted(set(row))
        assert row[0] >= 0
        assert row[-1] < NGRAM_ID_COUNT


def test_different_ngrams_rarely_share_an_id() -> None:
    pairs = np.stack(np.meshgrid(np.arange(60), np.arange(60)), axis=-1).reshape(-1, 2).astype(np.int32)
    ids = {int(ngram_id) for ngram_id in extract_ngrams(list(pairs)).ids}
    assert len(ids) > 0.99 * (60 + 60 * 60)


def test_mask_selects_ngrams() -> None:
    texts = random_texts(30)
    unmasked = rows(extract_ngrams(texts))
    mask = np.zeros(NGRAM_ID_COUNT, np.bool_)
    mask[unmasked[0]] = True
    expected = [[ngram_id for ngram_id in row if mask[ngram_id]] for row in unmasked]
    assert rows(extract_ngrams(texts, mask)) == expected


def test_logits_are_the_sum_of_the_weights_of_a_text() -> None:
    texts = random_texts(30)
    known = np.unique(extract_ngrams(texts[:20]).ids)[::3].astype(np.int32)
    weight = random_weight(known, 3)
    expected = np.zeros((30, 3))
    for i, row in enumerate(rows(extract_ngrams(texts))):
        for ngram_id in row:
            if ngram_id in known:
                expected[i] += weight[np.searchsorted(known, ngram_id)]
    logits = NGramLogits(known, weight)(texts)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, rtol=1e-6, atol=1e-6)


def test_logits_of_a_text_do_not_depend_on_its_batch() -> None:
    texts = random_texts(50, longest=200)
    known = np.unique(extract_ngrams(texts).ids).astype(np.int32)
    ngram_logits = NGramLogits(known, random_weight(known, 2))
    together = ngram_logits(texts)
    for i, text in enumerate(texts):
        np.testing.assert_array_equal(ngram_logits([text])[0], together[i])


def test_logits_from_ids_equal_those_of_the_text() -> None:
    (text,) = random_texts(1, longest=200)
    ids = np.array(rows(extract_ngrams([text]))[0], np.int32)
    ngram_logits = NGramLogits(ids, random_weight(ids, 2))
    np.testing.assert_array_equal(ngram_logits.from_ids(ids), ngram_logits([text]))


def test_logits_by_token_sum_to_those_of_the_text() -> None:
    kinds = NGRAM_KINDS["places"]
    text = np.random.default_rng(2).integers(0, 20, 150, np.int32)
    ids = np.array(rows(extract_ngrams([text], kinds=kinds))[0], np.int32)
    ngram_logits = NGramLogits(ids, random_weight(ids, 2), kinds)
    by_token = ngram_logits.by_token(text)
    assert by_token.shape == (150, 2)
    np.testing.assert_allclose(by_token.sum(axis=0), ngram_logits([text])[0], rtol=0, atol=1e-4)


def test_texts_without_known_ngrams_have_zero_logits() -> None:
    ngram_logits = NGramLogits(np.array([id_of(7)], np.int32), np.array([[2.5]], np.float32))
    logits = ngram_logits([np.array([1], np.int32), np.array([7], np.int32), np.array([2], np.int32)])
    np.testing.assert_array_equal(logits, [[0], [2.5], [0]])


def tokens_of_kind(text: list[int], kind: NGramKind) -> set[tuple[int, ...]]:
    """Return the tokens of each n-gram of a kind, by the definition of the kind."""
    found = set()
    for first in range(len(text)):
        positions = [first + offset for offset in kind.offsets]
        inside = positions[-1] < len(text)
        inside &= kind.beginning == 0 or positions[-1] < kind.beginning
        inside &= kind.end == 0 or first >= len(text) - kind.end
        if inside:
            found.add(tuple(text[position] for position in positions))
    return found


@pytest.mark.parametrize("length", [1, 2, 3, 9, 31, 100, 101, 350])
def test_kinds_select_ngrams_by_position(length: int) -> None:
    generator = np.random.default_rng(length)
    text = generator.integers(0, 1000, length, np.int32)
    for kind in NGRAM_KINDS["places"]:
        expected = tokens_of_kind(text.tolist(), kind)
        (*_, row) = rows(extract_ngrams([*random_texts(3), text], kinds=[kind]))
        assert len(row) == len(expected)
        anywhere = NGramKind(kind.tag, kind.offsets)
        for tokens in expected:
            shortest_text = np.zeros(kind.offsets[-1] + 1, np.int32)
            shortest_text[list(kind.offsets)] = tokens
            ngram_id = extract_ngrams([shortest_text], kinds=[anywhere]).ids[0]
            assert ngram_id in row


def test_kinds_have_different_ids() -> None:
    kinds = NGRAM_KINDS["places"]
    assert len({kind.tag for kind in kinds}) == len(kinds)
    text = np.arange(5, 25, dtype=np.int32)
    ids = [set(extract_ngrams([text], kinds=[kind]).ids.tolist()) for kind in kinds]
    assert sum(map(len, ids)) == len(set().union(*ids))
    assert set(extract_ngrams([text]).ids.tolist()) == ids[0] | ids[1]


def test_chunks_do_not_change_the_ngrams(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = random_texts(30)
    whole = extract_ngrams(texts, kinds=NGRAM_KINDS["places"])
    monkeypatch.setattr("fastlstm.text.ngrams.CHUNK_TEXTS", 7)
    chunks = extract_ngrams(texts, kinds=NGRAM_KINDS["places"])
    np.testing.assert_array_equal(chunks.ids, whole.ids)
    np.testing.assert_array_equal(chunks.starts, whole.starts)
    np.testing.assert_array_equal(chunks.text_indices(), whole.text_indices())
