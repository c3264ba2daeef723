"""Labels that a teacher writes are aligned with their texts, also after an interruption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.recipes import RECIPES, load_recipe


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """recipes/transformer_teacher.py, with a teacher whose logit of a text is its length."""
    monkeypatch.syspath_prepend(RECIPES.parent / "benchmarks")
    module = load_recipe("transformer_teacher", monkeypatch)
    monkeypatch.setattr(module, "LABEL_CHUNK", 2)
    monkeypatch.setattr(module.transformer, "load", lambda _: (None, ()))
    monkeypatch.setattr(module.transformer, "TransformerTokenizer", lambda _: lambda texts: texts)

    def predict_proba(_: object, texts: list[str]) -> Any:
        positive = module.to_probabilities(np.array([len(text) for text in texts], np.float64))
        return np.stack([1 - positive, positive], axis=1)

    monkeypatch.setattr(module.transformer, "predict_proba", predict_proba)
    return module


TEXTS = ["a", "bb", "ccc", "dddd", "eeeee"]


@pytest.mark.parametrize("earlier", [[], TEXTS[:3], ["other", "texts"]])
def test_each_text_has_its_own_label(recipe: Any, tmp_path: Path, earlier: list[str]) -> None:
    out = tmp_path / "labels.parquet"
    if earlier:
        logits = np.array([len(text) for text in earlier], np.float64)
        recipe.write_labels(earlier, logits, out.with_suffix(".part"))
    recipe.label(Path("teacher"), TEXTS, out)
    texts, logits = recipe.read_logits(out)
    assert texts == TEXTS
    np.testing.assert_allclose(logits, [1, 2, 3, 4, 5], rtol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["labels.parquet"]


def test_logits_and_probabilities_are_inverse_and_finite(recipe: Any) -> None:
    probabilities = np.array([0.0, 0.3, 1.0])
    logits = recipe.to_logits(probabilities)
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(recipe.to_probabilities(logits), probabilities, atol=1e-5)


def test_labels_of_several_teachers_are_averaged(recipe: Any, tmp_path: Path) -> None:
    for name, logits in (("a", [2.0, -1.0]), ("b", [0.0, -3.0])):
        recipe.write_labels(TEXTS[:2], np.array(logits), tmp_path / name)
    mean = recipe.mean_labels([tmp_path / "a", tmp_path / "b"])
    assert mean.texts == TEXTS[:2]
    np.testing.assert_allclose(mean.positive, recipe.to_probabilities(np.array([1.0, -2.0])))
    recipe.write_labels(TEXTS[1:3], np.array([0.0, 0.0]), tmp_path / "c")
    with pytest.raises(SystemExit):
        recipe.mean_labels([tmp_path / "a", tmp_path / "c"])
