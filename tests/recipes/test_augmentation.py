"""Augmented sentences for distillation."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.helpers.recipes import load_recipe

SENTENCE = " ".join(f"w{number}" for number in range(30))


@pytest.fixture
def augmentation(monkeypatch: pytest.MonkeyPatch) -> Any:
    """recipes/augmentation.py"""
    return load_recipe("augmentation", monkeypatch)


def test_words_keep_their_order(augmentation: Any) -> None:
    generator = random.Random(0)
    for _ in range(50):
        numbers = [int(word[1:]) for word in augmentation.augment(SENTENCE, generator).split()]
        assert numbers
        assert numbers == sorted(set(numbers))


def test_a_tenth_of_the_words_is_removed_unless_an_ngram_is_cut_out(augmentation: Any) -> None:
    generator = random.Random(0)
    counts = [len(augmentation.augment(SENTENCE, generator).split()) for _ in range(1000)]
    cut = [count for count in counts if count <= augmentation.MAX_NGRAM]
    whole = [count for count in counts if count > augmentation.MAX_NGRAM]
    assert len(cut) / len(counts) == pytest.approx(augmentation.NGRAM_FRACTION, abs=0.05)
    assert sum(whole) / len(whole) == pytest.approx(27, abs=0.5)


def test_single_word_remains(augmentation: Any) -> None:
    generator = random.Random(0)
    assert {augmentation.augment("good", generator) for _ in range(50)} == {"good"}


def test_known_texts_and_repetitions_are_left_out(augmentation: Any) -> None:
    texts = augmentation.augmented(["good film", SENTENCE], 20, known=["good"], seed=0)
    assert len(set(texts)) == len(texts)
    assert "good" not in texts
    assert texts == augmentation.augmented(["good film", SENTENCE], 20, known=["good"], seed=0)


PHRASES = ["a warm film", "a warm film with fine actors", "with fine actors", "warm", "too long", "and too long"]


def test_swapped_sentences_have_phrases_of_the_same_length(augmentation: Any) -> None:
    sentence = "a warm film with fine actors and too long"
    results = augmentation.swapped([sentence, "no known phrase"], PHRASES, 200, known=[sentence], seed=0)
    assert sentence not in results
    assert "a warm film with fine actors a warm film" in results
    assert "with fine actors with fine actors and too long" in results
    assert "a warm film a warm film and too long" in results
    assert "a warm film and too long and too long" in results
    assert {len(result.split()) for result in results} == {9}
    assert len(set(results)) == len(results)
    assert results == augmentation.swapped([sentence, "no known phrase"], PHRASES, 200, known=[sentence], seed=0)


def test_one_word_is_never_swapped(augmentation: Any) -> None:
    assert augmentation.swapped(["warm and long"], ["warm", "long"], 10, known=[], seed=0) == []
