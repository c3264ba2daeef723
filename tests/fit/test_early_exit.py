"""What is learned of when an answer is settled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastlstm.config import ModelConfig
from fastlstm.fit import early_exit
from fastlstm.fit.early_exit import course_of
from fastlstm.inference import Classifier
from fastlstm.saved_model import SavedModel
from fastlstm.training.early_exit import AGREEMENTS, learn_early_exit

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
    return learn_early_exit(course_of(classifier, texts))


def test_its_figures_are_those_of_reading_by_it(classifier: Classifier, texts: list[str]) -> None:
    learned = learned_by(classifier, texts)
    assert learned.stages == (2, 4, 8, 16, 32)
    assert learned.texts == 400
    assert [bar.agreement for bar in learned.bars] == list(AGREEMENTS)
    model = Classifier(dataclasses.replace(classifier.model, early_exit=learned))
    whole = model.predict(texts)
    for bar in learned.bars:
        came = model.read_early(texts, bar.agreement)
        assert came.saved == pytest.approx(bar.saved)
        answers = model.predict(texts, early_exit=bar.agreement)
        others = np.mean([a != b for a, b in zip(answers, whole, strict=True)])
        assert others == pytest.approx(bar.disagreement)
        error = np.sqrt(others * (1 - others) / len(texts))
        assert others + error <= 1 - bar.agreement + 1e-9
    saved = [bar.saved for bar in learned.bars]
    assert saved == sorted(saved, reverse=True)
    assert saved[0] > 0.2


def test_few_texts_teach_nothing(classifier: Classifier, texts: list[str]) -> None:
    learned = learned_by(classifier, texts[:8])
    assert all(bar.saved == 0 for bar in learned.bars)


def test_texts_shorter_than_any_stage_are_read_whole(classifier: Classifier) -> None:
    learned = learned_by(classifier, ["good", "bad"] * 20)
    assert all(bar.saved == 0 for bar in learned.bars)
    short = dataclasses.replace(classifier.model, config=dataclasses.replace(classifier.model.config, max_tokens=2))
    assert learned_by(Classifier(short), ["good bad film", "bad"] * 20).stages == (2,)
