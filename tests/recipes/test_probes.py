"""The sentences that the cards of the bundled models report."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tests.helpers.recipes import load_recipe

UNLABELLED = {"factual", "mixed"}


def letters(text: str) -> str:
    """Return the letters and digits of a text."""
    return "".join(filter(str.isalnum, text.lower()))


@pytest.fixture(params=["english", "chinese"])
def probes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The sentences of a language."""
    return load_recipe("probes", monkeypatch).load_probes(request.param)


def test_there_are_some_hundred_sentences_of_ten_kinds(probes: Any) -> None:
    assert len(probes) >= 250
    assert len({probe.kind for probe in probes}) >= 10


def test_every_kind_has_as_many_positive_as_negative_sentences(probes: Any) -> None:
    counts = Counter((probe.kind, probe.label) for probe in probes)
    kinds = {probe.kind for probe in probes} - UNLABELLED
    assert {kind: counts[kind, "positive"] for kind in kinds} == {kind: counts[kind, "negative"] for kind in kinds}


def test_facts_and_mixed_verdicts_have_no_label(probes: Any) -> None:
    assert {probe.kind for probe in probes if probe.label is None} == UNLABELLED
    assert {probe.label for probe in probes if probe.kind not in UNLABELLED} == {"positive", "negative"}


def test_subjects_are_valid(probes: Any) -> None:
    assert {probe.subject for probe in probes} == {"films", "products", "places", "services", "other"}


def test_no_sentence_occurs_twice(probes: Any) -> None:
    texts = [letters(probe.text) for probe in probes]
    assert len(set(texts)) == len(texts)


def test_texts_are_stripped_and_not_empty(probes: Any) -> None:
    assert all(probe.text and probe.text == probe.text.strip() for probe in probes)


def test_no_generated_training_sentence_is_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    probes = load_recipe("probes", monkeypatch).load_probes("english")
    texts = {letters(text) for text, _ in load_recipe("english_sentences", monkeypatch).generate(3000, seed=0)}
    assert texts.isdisjoint(letters(probe.text) for probe in probes)
