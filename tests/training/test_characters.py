"""Character n-grams inside words, whose weights become weights of the words."""

from __future__ import annotations

import numpy as np
import pytest
from tests.helpers.training import fit_one

from fastlstm.text.ngrams import extract_ngrams
from fastlstm.text.tokenizer import train_tokenizer
from fastlstm.training.characters import (
    FULL_SCALE_WORDS,
    character_matrix,
    character_ngrams,
    character_scale,
    vocabulary_words,
)
from fastlstm.training.linear import MIN_TEXTS_FOR_PRUNING


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("cat", {"<ca", "cat", "at>", "<cat", "cat>", "<cat>"}),
        ("aaaaa", {"<aa", "aaa", "aa>", "<aaa", "aaaa", "aaa>", "<aaaa", "aaaaa", "aaaa>"}),
        ("of", set()),
        ("", set()),
    ],
)
def test_character_ngrams_include_the_boundaries(word: str, expected: set[str]) -> None:
    assert character_ngrams(word) == expected


def test_matrix_has_ones_where_words_contain_ngrams() -> None:
    words = {0: "cats", 2: "cat", 3: "no"}
    matrix = character_matrix(words, np.array([1, 5, 2, 1]))
    assert matrix.shape == (4, len(character_ngrams("cat") | character_ngrams("cats")))
    assert matrix.sum(axis=1).ravel().tolist()[0] == [
        len(character_ngrams("cats")),
        0,
        len(character_ngrams("cat")),
        0,
    ]
    shared = (matrix[[0]].toarray() * matrix[[2]].toarray()).sum()
    assert shared == len(character_ngrams("cat") & character_ngrams("cats"))


def test_rare_ngrams_are_left_out() -> None:
    words = {0: "cats", 1: "cat", 2: "dog"}
    shared = character_ngrams("cat") & character_ngrams("cats")
    assert character_matrix(words, np.array([1, 1, 1]), min_frequency=2).shape == (3, len(shared))


def test_no_words_give_no_columns() -> None:
    assert character_matrix({}, np.array([1, 1])).shape == (2, 0)


def test_words_of_one_stem_share_weight() -> None:
    words = ["", "", "disappointed", "disappointing", "delighted", "film", "story", "actor"]
    texts = [np.array([2 if k else 4, 5 + i % 3], np.int32) for i in range(12) for k in (0, 1)]
    texts += [np.array([3, 5], np.int32), np.array([3, 5], np.int32)]  # says nothing about either class
    classes = np.array([k for _ in range(12) for k in (0, 1)] + [0, 1], np.int64)
    single = np.array([3], np.int32)
    alone = fit_one(texts, classes, 1, 1000)
    shared = fit_one(texts, classes, 1, 1000, words=words)
    np.testing.assert_allclose(alone.logits([single]) - alone.bias, 0, atol=0.05)
    assert (shared.logits([single]) - shared.bias)[0, 0] > 0.2


def test_rare_words_of_many_texts_keep_a_weight() -> None:
    words = ["", "", "disappointed", "disappointing", "delighted", "film"]
    texts = [np.array([2 if i % 2 else 4, 5], np.int32) for i in range(MIN_TEXTS_FOR_PRUNING)]
    texts[1] = np.array([3, 5], np.int32)
    classes = np.arange(len(texts), dtype=np.int64) % 2
    (rare,) = extract_ngrams([np.array([3], np.int32)]).ids
    assert rare not in fit_one(texts, classes, 1, 1000).ngram_ids
    wide = fit_one(texts, classes, 1, 1000, words=words)
    assert wide.weight[wide.ngram_ids == rare, 0] > 0


def test_scale_decreases_with_the_number_of_words() -> None:
    assert [character_scale(n) for n in (0, 1, FULL_SCALE_WORDS)] == [1, 1, 1]
    assert character_scale(4 * FULL_SCALE_WORDS) == 0.5


def test_vocabulary_words_are_in_the_order_of_ids() -> None:
    tokenizer = train_tokenizer(["a film", "a story", "a film"], 10)
    words = vocabulary_words(tokenizer)
    assert words[:2] == ["", ""]
    assert [tokenizer.token_to_id(word) for word in words[2:]] == [2, 3, 4]
