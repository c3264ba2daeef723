"""Presets of classifiers, and configurations made from them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from fastlstm.config import DEFAULT_PRESET, PRESETS, ModelConfig, TrainingConfig, configure, preset
from fastlstm.errors import OptionError
from fastlstm.serialization import weights


def test_tutorial_preset_is_the_classic_model() -> None:
    tutorial = preset("tutorial")
    assert tutorial.model == ModelConfig(
        vocabulary_size=10_000,
        max_tokens=500,
        truncate="end",
        embedding_size=64,
        hidden_sizes=(64, 32),
        bidirectional=False,
        pooling="last",
        dropout=0.0,
        activation="auto",
    )
    training = tutorial.training
    assert (training.epochs, training.batch_size, training.learning_rate) == (5, 64, 1e-3)
    assert training.class_weights == "none"
    assert weights.parameter_count(tutorial.model, 2) == 685_473


def test_default_preset_exists() -> None:
    assert DEFAULT_PRESET in PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_preset_has_a_purpose(name: str) -> None:
    assert preset(name) is PRESETS[name]
    assert PRESETS[name].purpose


def test_unknown_preset_raises_and_names_the_closest() -> None:
    with pytest.raises(OptionError) as raised:
        preset("tutorail")
    assert (raised.value.code, raised.value.preset) == ("unknown-preset", "tutorail")
    assert "'tutorial'" in str(raised.value)


def test_configure_without_values_returns_the_preset() -> None:
    assert configure("tutorial", {}) == (preset("tutorial").model, preset("tutorial").training)


def test_configure_changes_only_given_values() -> None:
    base = preset("tutorial")
    values = {"hidden_sizes": (7,), "epochs": 3, "seed": 0, "bidirectional": True, "dropout": None}
    model, training = configure("tutorial", values)
    assert model == dataclasses.replace(base.model, hidden_sizes=(7,), bidirectional=True)
    assert training == dataclasses.replace(base.training, epochs=3, seed=0)


@pytest.mark.parametrize(
    ("name", "values", "code"),
    [
        ("tutorial", {"epochs": 0}, "bad-option-value"),
        ("tutorial", {"epoch": 3}, "unknown-option"),
        ("tutorial", {"padding": "front"}, "unknown-option"),
        ("smal", {}, "unknown-preset"),
    ],
)
def test_configure_with_a_bad_name_or_value_raises(name: str, values: dict[str, Any], code: str) -> None:
    with pytest.raises(OptionError) as raised:
        configure(name, values)
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("texts", "batch_size", "epochs"),
    [(20_000, 64, 3), (6_400, 64, 3), (1_600, 16, 3), (400, 8, 6), (80, 8, 30), (9, 8, 150), (1, 8, 300)],
)
def test_few_texts_get_smaller_batches_and_more_epochs(texts: int, batch_size: int, epochs: int) -> None:
    config = TrainingConfig(epochs=3, batch_size=64, min_steps=300)
    adapted = config.for_texts(texts)
    assert (adapted.batch_size, adapted.epochs) == (batch_size, epochs)
    assert epochs * -(-texts // batch_size) >= 300
    assert adapted.patience * 3 >= config.patience * adapted.epochs
    assert adapted.for_texts(texts) == adapted
    assert TrainingConfig(epochs=3).for_texts(texts) == TrainingConfig(epochs=3)


@pytest.mark.parametrize("values", [{"epochs": 4}, {"batch_size": 32}])
def test_given_batch_size_or_epochs_are_not_changed(values: dict[str, Any]) -> None:
    assert configure("small", {})[1].min_steps > 0
    _, training = configure("small", values)
    assert training.for_texts(10) == training
    assert configure("small", {**values, "min_steps": 50})[1].min_steps == 50
