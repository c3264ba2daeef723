"""Labels and word vectors that are saved without their texts meet the same texts again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.recipes import RECIPES, load_recipe

TEXTS = ["a good film", "an awful film", "it rains"]
LOGITS = np.array([5.03, -13.8, 0.02])
SECONDS = {"teacher": 1244.4, "words": 145.8}


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """recipes/teacher_cache.py"""
    monkeypatch.syspath_prepend(RECIPES.parent / "benchmarks")
    return load_recipe("teacher_cache", monkeypatch)


@pytest.fixture
def saved(recipe: Any, tmp_path: Path) -> Path:
    labels, vectors, out = tmp_path / "labels.parquet", tmp_path / "words.vec", tmp_path / "teacher.npz"
    recipe.write_labels(TEXTS, LOGITS, labels)
    vectors.write_text("2 3\ngood 0.5 -1 0.25\nfilm 0 0.1 -0.2\n", encoding="utf-8")
    recipe.save({"sentences": labels}, vectors, SECONDS, out)
    return out


def test_texts_have_their_labels_again(recipe: Any, saved: Path, tmp_path: Path) -> None:
    recipe.copy_labels(saved, "sentences", TEXTS, tmp_path / "copy.parquet")
    texts, logits = recipe.read_logits(tmp_path / "copy.parquet")
    assert texts == TEXTS
    np.testing.assert_allclose(logits, LOGITS, atol=0.5 / recipe.LOGIT_STEPS)


@pytest.mark.parametrize("texts", [TEXTS[::-1], TEXTS[:2], [*TEXTS[:2], "It rains"]])
def test_other_texts_get_no_labels(recipe: Any, saved: Path, tmp_path: Path, texts: list[str]) -> None:
    with pytest.raises(SystemExit):
        recipe.copy_labels(saved, "sentences", texts, tmp_path / "copy.parquet")
    assert not (tmp_path / "copy.parquet").exists()


def test_words_have_their_vectors_again(recipe: Any, saved: Path, tmp_path: Path) -> None:
    recipe.copy_vectors(saved, tmp_path / "copy.vec")
    vectors = recipe.read_word_vectors(tmp_path / "copy.vec", {"good", "film", "missing"})
    assert vectors.keys() == {"good", "film"}
    np.testing.assert_allclose(vectors["good"], [0.5, -1, 0.25], atol=0.005)
    np.testing.assert_allclose(vectors["film"], [0, 0.1, -0.2], atol=0.005)


def test_the_times_of_the_stages_are_kept(recipe: Any, saved: Path) -> None:
    assert recipe.load_seconds(saved) == SECONDS
