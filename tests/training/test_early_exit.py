"""What is kept of early exit, and what is refused as such."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastlstm.config import ModelConfig
from fastlstm.errors import OptionError
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel
from fastlstm.serialization.early_exit import NEVER_EXIT, EarlyExit, ExitThreshold
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


LEARNED = EarlyExit(
    (10, 30),
    (ExitThreshold(0.9, (0.8, 0.7), 0.5, 0.08), ExitThreshold(0.99, (NEVER_EXIT, 0.95), 0.2, 0.004)),
    500,
)


def test_it_goes_through_json() -> None:
    assert EarlyExit.from_json(json.loads(json.dumps(LEARNED.to_json()))) == LEARNED


@pytest.mark.parametrize(("asked", "expected"), [(0.5, 0.9), (0.9, 0.9), (0.91, 0.99), (0.99, 0.99)])
def test_the_first_bar_that_promises_enough_is_taken(asked: float, expected: float) -> None:
    assert LEARNED.bar(asked).agreement == expected


@pytest.mark.parametrize("asked", [0, -1, 1.01, float("nan"), True, "0.9"])
def test_what_is_no_share_is_refused(asked: Any) -> None:
    with pytest.raises(OptionError, match="expected an agreement above 0 and at most 1"):
        LEARNED.bar(asked)


def test_more_than_was_learned_is_refused() -> None:
    with pytest.raises(OptionError, match=r"early-exit is 0\.995, and the model has learned up to 0.99; give that"):
        LEARNED.bar(0.995)


SPOILED: dict[str, Any] = {
    "no stages": {"stages": []},
    "stages that fall": {"stages": [30, 10]},
    "a stage twice": {"stages": [10, 10]},
    "a stage of nothing": {"stages": [0, 10]},
    "half a stage": {"stages": [1.5, 10]},
    "no bars": {"bars": []},
    "bars that fall": {"bars": list(reversed(LEARNED.to_json()["bars"]))},
    "bars that are none": {"bars": [1]},
    "no number of texts": {"texts": True},
    "no list": {"stages": 7},
}


@pytest.mark.parametrize("spoiled", SPOILED)
def test_what_is_spoiled_is_an_error(spoiled: str) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        EarlyExit.from_json({**LEARNED.to_json(), **SPOILED[spoiled]})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("agreement", 1.5),
        ("agreement", None),
        ("probabilities", [0.5]),
        ("probabilities", [0.5, float("inf")]),
        ("probabilities", "ab"),
        ("saved", -0.1),
        ("disagreement", True),
    ],
)
def test_a_bar_that_is_spoiled_is_an_error(name: str, value: Any) -> None:
    kept = copy.deepcopy(LEARNED.to_json())
    kept["bars"][0][name] = value
    with pytest.raises((KeyError, TypeError, ValueError)):
        EarlyExit.from_json(kept)
