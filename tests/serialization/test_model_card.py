from __future__ import annotations

import dataclasses
from pathlib import Path

from fastlstm.inference import Classifier


def test_the_model_card_says_what_the_model_is(three_classes: Classifier, tmp_path: Path) -> None:
    training = {
        "data": {"train": "reviews.csv", "train_texts": 12_345, "validation_texts": 1000},
        "results": {
            "evaluated_on": "test.csv",
            "texts": 500,
            "accuracy": 0.8765,
            "macro_f1": 0.8712,
            "loss": 0.3,
            "calibration_error": 0.0123,
        },
        "baseline": {"name": "TF-IDF", "accuracy": 0.87},
    }
    Classifier(dataclasses.replace(three_classes.model, training=training)).save(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    for part in ("`bad`, `so so`, `good`", "both directions", "12,345", "reviews.csv", "87.65%", "1.23%", "TF-IDF"):
        assert part in card


def test_the_model_card_of_an_untrained_model_names_its_labels(classifier: Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "`negative`, `positive`" in card
    assert "one direction" in card
    assert "How good it is" not in card
