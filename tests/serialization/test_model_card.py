from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastlstm.config import LanguageModelConfig
from fastlstm.inference import Classifier
from fastlstm.serialization import weights
from fastlstm.serialization.language_model import SavedLanguageModel
from fastlstm.serialization.model_card import language_model_card, model_card
from fastlstm.text.tokenizer import train_tokenizer

TRAINING: dict[str, Any] = {
    "data": {"train": "reviews.csv", "train_texts": 12_345, "validation_texts": 1000, "unlabelled_texts": 7_890},
    "encoder": "my-encoder",
    "teacher": "my-teacher",
    "results": {
        "evaluated_on": "test.csv",
        "texts": 500,
        "accuracy": 0.8765,
        "macro_f1": 0.8712,
        "loss": 0.3,
        "calibration_error": 0.0123,
    },
    "baseline": {"name": "TF-IDF", "accuracy": 0.87},
    "calibration": {
        "method": "temperature",
        "validation_texts": 1000,
        "loss_before": 0.41,
        "loss_after": 0.375,
        "calibration_error_before": 0.05,
        "calibration_error_after": 0.02,
    },
}


def headings(card: str) -> list[str]:
    return [line for line in card.splitlines() if line.startswith("#")]


def test_card_has_the_facts_of_the_training_record(three_classes: Classifier) -> None:
    card = model_card(dataclasses.replace(three_classes.saved, training=TRAINING))
    for fact in (
        "`bad`, `so so`, `good`",
        "12,345",
        "1,000",
        "7,890",
        "reviews.csv",
        "`my-encoder`",
        "`my-teacher`",
    ):
        assert fact in card
    for fact in ("87.65%", "0.8712", "0.3000", "1.23%", "TF-IDF", "87.00%", "test.csv", "500"):
        assert fact in card
    for fact in ("(1.7)", "0.4100", "0.3750", "5.00%", "2.00%"):
        assert fact in card
    assert headings(card) == [
        "# A fastlstm text classifier",
        "## Use",
        "## Model",
        "## Training data",
        "## Evaluation",
        "## Calibration",
        "## Limitations",
    ]


def test_card_of_an_untrained_model_has_no_training_sections(classifier: Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "`negative`, `positive`" in card
    assert headings(card) == ["# A fastlstm text classifier", "## Use", "## Model", "## Limitations"]


@pytest.mark.parametrize(
    ("calibration", "section"),
    [({"method": "none"}, False), ({**TRAINING["calibration"], "method": "vector scaling"}, True)],
)
def test_card_has_a_calibration_section_if_a_calibration_was_fitted(
    three_classes: Classifier, calibration: dict[str, Any], section: bool
) -> None:
    model = dataclasses.replace(three_classes.saved, training={"calibration": calibration})
    assert ("## Calibration" in headings(model_card(model))) is section


def test_direction_is_in_the_card(classifier: Classifier, three_classes: Classifier) -> None:
    directions = ["- direction: forward only", "- direction: forward and backward"]
    for model, direction in zip((classifier, three_classes), directions, strict=True):
        assert direction in model_card(model.saved).splitlines()


def test_language_model_card_has_the_facts_of_the_training_record() -> None:
    tokenizer = train_tokenizer(["a film"], 50)
    config = LanguageModelConfig(vocabulary_size=tokenizer.get_vocab_size(), embedding_size=3, hidden_sizes=(2,))
    arrays = {name: np.zeros(shape, np.float32) for name, shape in weights.language_model_shapes(config).items()}
    training = {
        "data": {"texts": "books.txt", "count": 4321, "tokens": 98_765},
        "results": {"texts": 20, "evaluated_on": "held out", "perplexity": 57.63, "unknown": 0.0217},
    }
    card = language_model_card(SavedLanguageModel(config, tokenizer, arrays, training))
    for fact in ("books.txt", "4,321", "98,765", "held out", "57.6", "2.17%", "LSTM 2"):
        assert fact in card
    assert headings(card) == [
        "# A fastlstm language model",
        "## Use",
        "## Model",
        "## Training data",
        "## Evaluation",
        "## Limitations",
    ]
