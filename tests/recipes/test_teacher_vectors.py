"""Word vectors from a transformer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.recipes import RECIPES, load_recipe

from fastlstm.data.readers.word_vectors import read_word_vectors


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """recipes/teacher_vectors.py, with models whose embeddings are random."""
    monkeypatch.syspath_prepend(RECIPES.parent / "benchmarks")
    module = load_recipe("teacher_vectors", monkeypatch)
    seeds = iter((0, 1))
    monkeypatch.setattr(module.transformer, "TransformerTokenizer", lambda _: lambda texts: texts)
    monkeypatch.setattr(module.transformer, "create", lambda *_, **__: next(seeds))
    monkeypatch.setattr(module.transformer, "load", lambda _: (next(seeds), ()))
    monkeypatch.setattr(
        module.transformer,
        "embeddings",
        lambda seed, ids: np.random.default_rng(seed).normal(size=(len(ids), 6)).astype(np.float32),
    )
    return module


def test_words_are_those_of_the_vocabulary(recipe: Any) -> None:
    assert recipe.frequent_words(["a film", "a story", "a film!"], 4) == ["a", "film"]


def test_file_has_one_vector_per_word(recipe: Any, tmp_path: Path) -> None:
    words = [f"word{k}" for k in range(30)]
    recipe.write_word_vectors(tmp_path, tmp_path, words, 4, tmp_path / "words.vec")
    vectors = read_word_vectors(tmp_path / "words.vec", words)
    assert list(vectors) == words
    assert np.std(list(vectors.values())) == pytest.approx(recipe.DEVIATION, rel=1e-3)


def test_components_are_uncorrelated_and_the_first_is_the_largest(recipe: Any) -> None:
    generator = np.random.default_rng(0)
    factors = generator.normal(size=(200, 2)) * (3, 1)
    parts = [(factors @ generator.normal(size=(2, 5))).astype(np.float32) for _ in range(2)]
    components = recipe.principal_components(parts, 3)
    covariance = np.cov(components.T)
    assert covariance[0, 0] > covariance[1, 1] > 100 * covariance[2, 2]
    assert abs(covariance[0, 1]) < 1e-4 * covariance[1, 1]
