"""The decision threshold of two classes."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.random_texts import random_texts

import fastlstm
from fastlstm.data import Dataset
from fastlstm.errors import OptionError
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel
from fastlstm.serialization.model_card import model_card


@pytest.fixture(scope="module")
def cautious(make_model: Callable[..., SavedModel]) -> Classifier:
    """A model whose threshold is above every probability of its second class."""
    return Classifier(make_model(threshold=0.99))


def test_the_saved_threshold_decides_and_the_probabilities_stay(
    cautious: Classifier, classifier: Classifier, tmp_path: Path
) -> None:
    texts = random_texts(30)
    probabilities = cautious.predict_proba(texts)
    assert np.array_equal(probabilities, classifier.predict_proba(texts))
    assert "positive" in classifier.predict(texts)
    assert set(cautious.predict(texts)) == {"negative"}
    assert cautious.predict(texts[0]) == "negative"
    cautious.save(tmp_path / "model")
    loaded = fastlstm.load(tmp_path / "model")
    assert loaded.predict(texts) == cautious.predict(texts)
    assert "predicts `positive` from the probability 0.99 on" in (tmp_path / "model" / "README.md").read_text()
    assert "from the probability" not in model_card(classifier.model)


def test_a_threshold_can_be_given_instead_and_is_met_by_a_probability_as_high(cautious: Classifier) -> None:
    texts = random_texts(30)
    second = cautious.predict_proba(texts)[:, 1]
    for threshold in (
        0,
        0.5,
        float(second[3]),
        float(np.nextafter(second[3], np.float32(1))),
        1.0,
        np.float32(0.4),
    ):
        expected = ["positive" if p >= threshold else "negative" for p in second]
        assert cautious.predict(texts, threshold=threshold) == expected
        chosen = cautious.choose(cautious.predict_proba(texts), threshold=threshold)
        assert [cautious.labels[k] for k in chosen] == expected
        records = Dataset(texts, expected, "here")
        assert cautious.evaluate(records, threshold=threshold).accuracy == 1
    assert cautious.predict(texts[3], threshold=float(second[3])) == "positive"
    assert cautious.predict([], threshold=0.3) == []


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan, math.inf, "0.5", True, [0.5]])
def test_a_threshold_that_is_no_probability_is_refused(classifier: Classifier, threshold: Any) -> None:
    records = Dataset(["fine"], ["positive"], "here")
    for ask in (
        lambda: classifier.predict("fine", threshold=threshold),
        lambda: classifier.predict(["fine"], threshold=threshold),
        lambda: classifier.choose(np.zeros((1, 2), np.float32), threshold=threshold),
        lambda: classifier.evaluate(records, threshold=threshold),
    ):
        with pytest.raises(OptionError, match=r"^threshold is .*; expected a number from 0 to 1$"):
            ask()


def test_more_than_two_classes_have_no_threshold(three_classes: Classifier) -> None:
    with pytest.raises(OptionError, match="the model has 3 classes; only a model of two has one"):
        three_classes.predict("fine", threshold=0.3)
