"""The decision threshold of two classes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.random_models import MakeModel
from tests.helpers.random_texts import random_texts

import fastlstm
from fastlstm.data import Dataset
from fastlstm.errors import OptionError
from fastlstm.inference import Classifier
from fastlstm.serialization.model_card import model_card


@pytest.fixture(scope="module")
def cautious(make_model: MakeModel) -> Classifier:
    """A model whose threshold is above every probability of its second class."""
    return Classifier(make_model(threshold=0.99))


def test_the_saved_threshold_changes_labels_but_not_probabilities(
    cautious: Classifier, classifier: Classifier, tmp_path: Path
) -> None:
    texts = random_texts(30)
    probabilities = cautious.predict_proba(texts)
    assert np.array_equal(probabilities, classifier.predict_proba(texts))
    assert "positive" in classifier.predict(texts)
    assert set(cautious.predict(texts)) == {"negative", None}
    assert cautious.predict(texts[0]) == "negative"
    cautious.save(tmp_path / "model")
    loaded = fastlstm.load(tmp_path / "model")
    assert loaded.predict(texts) == cautious.predict(texts)


def test_the_model_card_states_the_threshold(cautious: Classifier, classifier: Classifier, tmp_path: Path) -> None:
    cautious.save(tmp_path / "model")
    assert "0.99" in (tmp_path / "model" / "README.md").read_text()
    assert "0.99" not in model_card(classifier.saved)


def test_a_given_threshold_replaces_the_saved_one(cautious: Classifier) -> None:
    texts = random_texts(30)
    second = cautious.predict_proba(texts)[:, 1]
    just_above = float(np.nextafter(second[3], np.float32(1)))
    for threshold in (0, 0.5, float(second[3]), just_above, 1.0, np.float32(0.4)):
        expected = ["positive" if p >= threshold else "negative" for p in second]
        assert cautious.predict(texts, threshold=threshold, label_unknown=True) == expected
        classes = cautious.choose(cautious.predict_proba(texts), threshold=threshold)
        assert [cautious.labels[k] for k in classes] == expected
        dataset = Dataset(texts, expected, "here")
        assert cautious.evaluate(dataset, threshold=threshold).accuracy == 1
    assert cautious.predict(texts[3], threshold=float(second[3])) == "positive"
    assert cautious.predict([], threshold=0.3) == []


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan, math.inf, "0.5", True, [0.5]])
def test_an_invalid_threshold_raises_option_error(classifier: Classifier, threshold: Any) -> None:
    dataset = Dataset(["fine"], ["positive"], "here")
    for call in (
        lambda: classifier.predict("fine", threshold=threshold),
        lambda: classifier.predict(["fine"], threshold=threshold),
        lambda: classifier.choose(np.zeros((1, 2), np.float32), threshold=threshold),
        lambda: classifier.evaluate(dataset, threshold=threshold),
    ):
        with pytest.raises(OptionError) as raised:
            call()
        assert (raised.value.code, raised.value.option) == ("bad-option-value", "threshold")
        assert raised.value.value is threshold


def test_a_threshold_of_more_than_two_classes_raises_option_error(three_classes: Classifier) -> None:
    with pytest.raises(OptionError) as raised:
        three_classes.predict("fine", threshold=0.3)
    assert (raised.value.code, raised.value.classes) == ("threshold-needs-two-classes", 3)


def test_the_predicted_class_is_explained(cautious: Classifier, classifier: Classifier) -> None:
    text = next(text for text in random_texts(30) if classifier.predict(text) == "positive")
    explanation = cautious.explain(text)
    assert explanation.label == explanation.explained_label == cautious.predict(text) == "negative"
    assert explanation.probability == explanation.probabilities["negative"] < 0.5
    assert explanation.logit == -classifier.explain(text).logit
    assert cautious.explain(text, label="positive").label == "positive"


def test_an_explanation_without_known_tokens_has_a_label_only_on_request(cautious: Classifier) -> None:
    for text in ("", "zqxv"):
        assert cautious.known(text) == 0
        explanation = cautious.explain(text)
        assert (explanation.label, explanation.explained_label) == (None, "negative")
        assert cautious.explain(text, label_unknown=True).label == "negative"
        assert cautious.explain(text, label="positive").label == "positive"
