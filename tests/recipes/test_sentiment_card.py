"""Cards of sentiment models."""

from __future__ import annotations

from typing import Any

import pytest
from tests.helpers.recipes import load_recipe

import fastlstm


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """recipes/sentiment_card.py"""
    return load_recipe("sentiment_card", monkeypatch)


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_card_has_figures_probes_and_origin(module: Any, language: str) -> None:
    model = fastlstm.load()
    figures = {"Held-out texts": [module.Figure("hotels", 1234, 0.9012, 0.021), module.Figure("books", 5, 0.8)]}
    origin = module.Origin("recipes/some_recipe.py", "Some data.", {"teacher": 7200}, {"reviews": 1234}, 5_200_000)
    card = module.sentiment_card(model, "some-name", language, figures, origin)
    for part in (
        'load("some-name")',
        "| hotels | 1,234 | 90.1% | 2.1% |",
        "| books | 5 | 80.0% |  |",
        "| reviews | 1,234 |",
        "5.2 MB",
        "120 min",
    ):
        assert part in card
    results = module.answer_probes(model, language)
    for kind, report in results.by_kind().items():
        assert f"| {kind} | {round(report.accuracy * report.texts)} of {report.texts} |" in card
    assert card.splitlines()[0].endswith(": some-name")
    assert all(f"| {kind} | {neutral.texts} |" in card for kind, neutral in results.neutral().items())
    assert all(probe.text in card for probe, _ in results.worst_errors(module.WORST_ERRORS))


def test_scoring_of_imdb_becomes_figures(module: Any) -> None:
    scoring = {
        "by_length": [
            {"from": 0, "below": 100, "texts": 3, "accuracy": 0.5},
            {"from": 100, "below": 10**6, "texts": 2, "accuracy": 1.0},
        ],
        "by_rating": [{"rating": 7, "texts": 5, "accuracy": 0.7}],
    }
    tables = [
        [(row.name, row.texts, row.accuracy) for row in rows] for rows in module.imdb_figures(scoring).values()
    ]
    assert tables == [[("0 to 99", 3, 0.5), ("100 or more", 2, 1.0)], [("7 of 10 stars", 5, 0.7)]]
