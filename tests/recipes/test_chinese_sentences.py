"""Generated Chinese sentences: distinct, reproducible, balanced, and labelled by what counts."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from tests.helpers.recipes import load_recipe


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """recipes/chinese_sentences.py"""
    return load_recipe("chinese_sentences", monkeypatch)


def test_sentences_are_distinct_and_the_same_for_a_seed(recipe: Any) -> None:
    first = recipe.sentences(500, seed=1)
    assert first == recipe.sentences(500, seed=1)
    assert first != recipe.sentences(500, seed=2)
    assert len({sentence.text for sentence in first}) == 500


def test_labels_are_balanced(recipe: Any) -> None:
    counts = Counter(sentence.label for sentence in recipe.sentences(1000))
    assert set(counts) == set(recipe.OPPOSITE)
    assert min(counts.values()) > 450


def test_no_word_has_both_labels(recipe: Any) -> None:
    for table in (recipe.PHRASES, recipe.PHRASES_AFTER_NOUN):
        positive, negative = (set(phrases.split(",")) for phrases in table.values())
        assert not positive & negative
    for _, praise, criticism in recipe.ASPECTS:
        assert not set(praise.split(",")) & set(criticism.split(","))


@pytest.mark.parametrize(
    ("ending", "label"),
    [("一点也不(干净|热情|新鲜|流畅)", "negative"), ("一点也不(破旧|冷淡|难吃|模糊)", "positive")],
)
def test_last_statement_and_its_negation_decide(recipe: Any, ending: str, label: str) -> None:
    found = {known for text, known in recipe.sentences(20_000) if re.search(rf"{ending}\W*$", text)}
    assert found == {label}


def test_punctuation_is_chinese_or_ascii(recipe: Any) -> None:
    text = "".join(text for text, _ in recipe.sentences(500))
    assert {",", "\uff0c", "!", "\uff01"} <= set(text)
