"""The texts of the English sentiment model, and their labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.recipes import load_recipe


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """recipes/english_texts.py"""
    return load_recipe("english_texts", monkeypatch)


def test_texts_keep_their_probabilities(recipe: Any) -> None:
    first = recipe.Scored(["good", "so-so", "bad"], np.array([0.9, 0.5, 0.2]))
    joined = recipe.join(first.where([True, False, True]), recipe.Scored(["fine"], np.array([0.7])))
    assert joined.texts == ["good", "bad", "fine"]
    np.testing.assert_array_equal(joined.positive, [0.9, 0.2, 0.7])
    assert joined.dataset("texts").labels == ["positive", "negative", "positive"]


def test_ratings_are_read_in_disjoint_parts(recipe: Any, tmp_path: Path) -> None:
    rows = {f"snippet {k}": -4 + 8 * k / 99 for k in range(100)}
    for name in (recipe.PRODUCTS, *recipe.OTHER_SOURCES):
        lines = [f"{k}\t{rating}\t{name} {text}\t[1, 2]" for k, (text, rating) in enumerate(rows.items())]
        (tmp_path / f"{name}_GroundTruth.txt").write_text("\n".join(lines), encoding="utf-8")
    rated = recipe.rated(tmp_path)
    parts = [set(part.texts) for part in (rated.training, rated.validation, rated.measured)]
    assert all(parts)
    assert sum(map(len, parts)) == len(set.union(*parts)) < 300
    for part in (rated.validation, rated.measured):
        assert all(text.startswith(recipe.PRODUCTS) for text in part.texts)
        ratings = np.array([rows[text.removeprefix(f"{recipe.PRODUCTS} ")] for text in part.texts])
        assert (np.abs(ratings) > recipe.CLEAR_RATING).all()
        np.testing.assert_array_equal(part.positive > 0.5, ratings > 0)


def test_half_of_the_sentences_cut_from_reviews_have_a_negation_or_contrast(recipe: Any) -> None:
    reviews = [f"Scene {k} was long. I did not like part {k}!<br /><br />Good." for k in range(50)]
    sentences = recipe.cut_sentences(reviews, 20)
    assert len(set(sentences)) == 20
    assert sum("not" in sentence for sentence in sentences) == 10
    assert {word for sentence in sentences for word in sentence.split()} & {"<br", "/>"} == set()
    assert all(len(sentence.split()) >= recipe.MIN_WORDS for sentence in sentences)


def test_films_become_other_subjects(recipe: Any) -> None:
    texts = recipe.about_other_subjects(["A dull movie.", "The end."])
    assert len(texts) == 1
    assert "movie" not in texts[0]
    assert texts[0].startswith("A dull ")
