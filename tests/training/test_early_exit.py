"""Fitting of early-exit thresholds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tests.helpers.random_models import MakeModel

from fastlstm.config import ModelConfig
from fastlstm.inference import Classifier
from fastlstm.serialization.early_exit import EarlyExit
from fastlstm.training import early_exit
from fastlstm.training.early_exit import AGREEMENTS, add_early_exit, fit_early_exit, prediction_course


@pytest.fixture
def texts() -> list[str]:
    generator = np.random.default_rng(0)
    words = "not bad at all this movie was good the first hour horrible really fantastic".split()  # noqa: SIM905
    return [" ".join(generator.choice(words, int(n))) for n in generator.integers(1, 45, 400)]


@pytest.fixture
def classifier(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> Classifier:
    monkeypatch.setattr(early_exit, "STAGES", (2, 4, 8, 16, 32, 64))
    config = ModelConfig(embedding_size=5, hidden_sizes=(7,), pooling="mean", max_tokens=40)
    return Classifier(make_model(config, seed=1))


def fit(classifier: Classifier, texts: list[str]) -> EarlyExit:
    return fit_early_exit(prediction_course(classifier, texts))


def test_reported_fractions_are_those_of_early_prediction(classifier: Classifier, texts: list[str]) -> None:
    fitted = fit(classifier, texts)
    assert fitted.stages == (2, 4, 8, 16, 32)
    assert fitted.text_count == 400
    assert [threshold.agreement for threshold in fitted.thresholds] == list(AGREEMENTS)
    model = Classifier(dataclasses.replace(classifier.saved, early_exit=fitted))
    whole = model.predict(texts)
    for threshold in fitted.thresholds:
        result = model.predict_early(texts, threshold.agreement)
        assert result.saved_fraction == pytest.approx(threshold.saved_fraction)
        early = model.predict(texts, min_agreement=threshold.agreement)
        disagreement = np.mean([a != b for a, b in zip(early, whole, strict=True)])
        assert disagreement == pytest.approx(threshold.disagreement)
        error = np.sqrt(disagreement * (1 - disagreement) / len(texts))
        assert disagreement + error <= 1 - threshold.agreement + 1e-9
    saved = [threshold.saved_fraction for threshold in fitted.thresholds]
    assert saved == sorted(saved, reverse=True)
    assert saved[0] > 0.2


def test_thresholds_are_added_to_a_classifier(classifier: Classifier, texts: list[str]) -> None:
    result, note = add_early_exit(classifier, texts)
    assert (result.saved.early_exit, note.code) == (fit(classifier, texts), "early-exit-fitted")
    assert classifier.saved.early_exit is None


def test_bidirectional_classifier_is_unchanged(make_model: MakeModel, texts: list[str]) -> None:
    bidirectional = Classifier(make_model(ModelConfig(embedding_size=5, hidden_sizes=(7,), bidirectional=True)))
    result, note = add_early_exit(bidirectional, texts)
    assert result is bidirectional
    assert note.code == "early-exit-skipped"


def test_few_texts_skip_no_token(classifier: Classifier, texts: list[str]) -> None:
    assert all(threshold.saved_fraction == 0 for threshold in fit(classifier, texts[:8]).thresholds)


def test_texts_shorter_than_the_first_stage_skip_no_token(classifier: Classifier) -> None:
    fitted = fit(classifier, ["good", "bad"] * 20)
    assert all(threshold.saved_fraction == 0 for threshold in fitted.thresholds)


def test_stage_is_at_most_the_maximum_number_of_tokens(classifier: Classifier) -> None:
    config = dataclasses.replace(classifier.saved.config, max_tokens=2)
    short = Classifier(dataclasses.replace(classifier.saved, config=config))
    assert fit(short, ["good bad film", "bad"] * 20).stages == (2,)
