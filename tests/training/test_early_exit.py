"""What is kept of early exit, and what is refused as such."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastlstm.config import ModelConfig
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel
from fastlstm.training import early_exit
from fastlstm.training.early_exit import AGREEMENTS, fit_early_exit, prediction_course

MakeModel = Callable[..., SavedModel]


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


def learned_by(classifier: Classifier, texts: list[str]) -> Any:
    return fit_early_exit(prediction_course(classifier, texts))


def test_its_figures_are_those_of_reading_by_it(classifier: Classifier, texts: list[str]) -> None:
    learned = learned_by(classifier, texts)
    assert learned.stages == (2, 4, 8, 16, 32)
    assert learned.text_count == 400
    assert [bar.agreement for bar in learned.thresholds] == list(AGREEMENTS)
    model = Classifier(dataclasses.replace(classifier.saved, early_exit=learned))
    whole = model.predict(texts)
    for bar in learned.thresholds:
        came = model.predict_early(texts, bar.agreement)
        assert came.saved_fraction == pytest.approx(bar.saved_fraction)
        answers = model.predict(texts, min_agreement=bar.agreement)
        others = np.mean([a != b for a, b in zip(answers, whole, strict=True)])
        assert others == pytest.approx(bar.disagreement)
        error = np.sqrt(others * (1 - others) / len(texts))
        assert others + error <= 1 - bar.agreement + 1e-9
    saved = [bar.saved_fraction for bar in learned.thresholds]
    assert saved == sorted(saved, reverse=True)
    assert saved[0] > 0.2


def test_few_texts_teach_nothing(classifier: Classifier, texts: list[str]) -> None:
    learned = learned_by(classifier, texts[:8])
    assert all(bar.saved_fraction == 0 for bar in learned.thresholds)


def test_texts_shorter_than_any_stage_are_read_whole(classifier: Classifier) -> None:
    learned = learned_by(classifier, ["good", "bad"] * 20)
    assert all(bar.saved_fraction == 0 for bar in learned.thresholds)
    short = dataclasses.replace(classifier.saved, config=dataclasses.replace(classifier.saved.config, max_tokens=2))
    assert learned_by(Classifier(short), ["good bad film", "bad"] * 20).stages == (2,)
