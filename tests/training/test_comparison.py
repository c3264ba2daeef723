"""Comparisons on validation texts: the better of two classifiers, and encoders that do not help."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.helpers.language_models import FIELDS, write_labelled_texts, write_texts

import fastlstm
from fastlstm.training.comparison import is_better


@pytest.mark.parametrize(
    ("gained", "lost", "expected"), [(0, 0, False), (1, 0, False), (4, 0, True), (5, 2, True), (4, 3, False)]
)
def test_the_better_is_right_on_more_texts_by_more_than_one_standard_error(
    gained: int, lost: int, expected: bool
) -> None:
    both = np.ones(50, np.bool_)
    correct = np.concatenate([both, np.ones(gained, np.bool_), np.zeros(lost, np.bool_)])
    other = np.concatenate([both, np.zeros(gained, np.bool_), np.ones(lost, np.bool_)])
    assert is_better(correct, other) is expected
    assert not is_better(other, correct)


@pytest.mark.parametrize(
    ("baseline", "expected"), [(True, ["encoder-comparison", "encoder-unhelpful"]), (False, [])]
)
def test_an_encoder_that_does_not_help_is_reported(tmp_path: Path, baseline: bool, expected: list[str]) -> None:
    """One word determines the label, so that the n-grams without the encoder are always right."""
    encoder = fastlstm.train_language_model(write_texts(tmp_path / "texts.txt"), tmp_path / "lm", **FIELDS).folder
    data = write_labelled_texts(tmp_path / "reviews.csv")
    result = fastlstm.train(data, tmp_path / "model", encoder=encoder, epochs=1, ngrams=20, baseline=baseline)
    assert [note.code for note in result.notes if note.code.startswith("encoder-")] == expected
