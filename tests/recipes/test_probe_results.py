"""Figures of the answers to probes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.helpers.recipes import load_recipe

ROWS = [
    ("plain", "films", "positive", "Good.", 0.9),
    ("plain", "films", "negative", "Bad.", 0.2),
    ("negation", "films", "positive", "Not at all bad, not one bit of it.", 0.1),
    ("negation", "products", "negative", "I cannot say that it is good.", 0.7),
    ("factual", "products", None, "It is blue.", 0.6),
    ("factual", "places", None, "It is open.", 0.9),
]


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Answers to six sentences."""
    module = load_recipe("probe_results", monkeypatch)
    probes = tuple(module.Probe(*row[:4]) for row in ROWS)
    return module.ProbeResults("english", probes, np.array([row[4] for row in ROWS]))


def test_accuracy_counts_labelled_sentences(results: Any) -> None:
    assert (results.total.texts, results.total.accuracy) == (4, 0.5)


def test_groups_have_their_own_accuracy(results: Any) -> None:
    assert {kind: report.accuracy for kind, report in results.by_kind().items()} == {"plain": 1, "negation": 0}
    assert {name: report.texts for name, report in results.by_subject().items()} == {"films": 3, "products": 1}
    lengths = {name: (report.texts, report.accuracy) for name, report in results.by_length().items()}
    assert lengths == {"1 to 5": (2, 1.0), "6 to 10": (2, 0.0)}


def test_chinese_is_measured_in_characters(results: Any) -> None:
    chinese = type(results)("chinese", results.probes, results.positive)
    assert {name: report.texts for name, report in chinese.by_length().items()} == {
        "1 to 8": 2,
        "16 to 30": 1,
        "31 or more": 1,
    }


def test_calibration_error_is_that_of_short_sentences(results: Any) -> None:
    assert results.short.calibration_error == pytest.approx((2 * 0.4 + 0.2 + 0.7) / 4)
    assert results.short_limit == "20 words"


def test_unlabelled_sentences_are_near_one_half_or_not(results: Any) -> None:
    neutral = results.neutral()
    assert set(neutral) == {"factual"}
    assert (neutral["factual"].texts, neutral["factual"].undecided) == (2, 1)
    assert neutral["factual"].mean == pytest.approx(0.75)


def test_worst_errors_begin_with_the_most_confident(results: Any) -> None:
    errors = [(probe.text, round(probability, 6)) for probe, probability in results.worst_errors(5)]
    assert errors == [(ROWS[2][3], 0.9), (ROWS[3][3], 0.7)]
    assert len(results.worst_errors(1)) == 1
