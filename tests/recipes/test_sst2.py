"""The held-out tenth of SST-2's whole sentences."""

from __future__ import annotations

from typing import Any

import pytest
from tests.helpers.recipes import load_recipe

SENTENCES = [f"the {number} th film is a good one" for number in range(200)]


@pytest.fixture
def sst2(monkeypatch: pytest.MonkeyPatch) -> Any:
    """recipes/sst2.py"""
    return load_recipe("sst2", monkeypatch)


def phrases() -> list[str]:
    """Return the sentences, a phrase of each, a phrase of all, and a short phrase of none."""
    own = [" ".join(sentence.split()[:3]) for sentence in SENTENCES]
    return [*own, "a good one", *SENTENCES, "really dull"]


def test_whole_sentences_are_no_part_of_another_text(sst2: Any) -> None:
    assert sst2.whole_sentences(phrases()) == SENTENCES


def test_part_is_compared_by_words_not_by_characters(sst2: Any) -> None:
    texts = ["an art film for the few", "start an art film for the fewest"]
    assert sst2.whole_sentences(texts) == texts


def test_phrases_of_held_out_sentences_are_no_training_texts(sst2: Any) -> None:
    texts = phrases()
    split = sst2.split_treebank(texts, ["positive"] * len(texts))
    held_out = set(split.held_out.texts)
    assert 5 < len(held_out) < 40
    assert held_out == {text for text in SENTENCES if sst2.is_held_out(text)}
    training = set(split.training.texts)
    assert not training & held_out
    assert not training & {" ".join(text.split()[:3]) for text in held_out}
    assert {"a good one", "really dull"} <= training
    assert len(training) == len(texts) - 2 * len(held_out)


def test_labels_follow_their_texts(sst2: Any) -> None:
    texts = phrases()
    labels = ["positive" if len(text) % 2 else "negative" for text in texts]
    split = sst2.split_treebank(texts, labels)
    expected = dict(zip(texts, labels, strict=True))
    for part in (split.training, split.held_out):
        assert part.labels == [expected[text] for text in part.texts]


def test_parts_hold_out_different_sentences(sst2: Any) -> None:
    parts = range(sst2.HELD_OUT_PARTS)
    held_out = [text for part in parts for text in SENTENCES if sst2.is_held_out(text, part)]
    assert sorted(held_out) == sorted(SENTENCES)
