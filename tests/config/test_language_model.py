"""Presets of language models, and configurations made from them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from fastlstm.config import (
    DEFAULT_LANGUAGE_MODEL_PRESET,
    LANGUAGE_MODEL_PRESETS,
    Direction,
    LanguageModelConfig,
    configure_language_model,
)
from fastlstm.errors import OptionError


@pytest.mark.parametrize("name", LANGUAGE_MODEL_PRESETS)
def test_preset_has_a_purpose(name: str) -> None:
    assert LANGUAGE_MODEL_PRESETS[name].purpose


def test_default_preset_is_the_first() -> None:
    assert next(iter(LANGUAGE_MODEL_PRESETS)) == DEFAULT_LANGUAGE_MODEL_PRESET


@pytest.mark.parametrize(
    ("direction", "directions"),
    [("forward", ("forward",)), ("backward", ("backward",)), ("both", ("forward", "backward"))],
)
def test_directions_are_those_with_layers(direction: Direction, directions: tuple[str, ...]) -> None:
    assert LanguageModelConfig(direction=direction).directions == directions


def test_configure_changes_only_given_values() -> None:
    base = LANGUAGE_MODEL_PRESETS["awd"]
    model, training = configure_language_model("awd", {"hidden_sizes": [7], "streams": 2, "window": None})
    assert model == dataclasses.replace(base.model, hidden_sizes=(7,))
    assert training == dataclasses.replace(base.training, streams=2)


@pytest.mark.parametrize(
    ("name", "values", "code"),
    [
        ("quick", {"samples": 1}, "bad-option-value"),
        ("quick", {"direction": "sideways"}, "bad-option-value"),
        ("quick", {"batch_size": 3}, "unknown-option"),
        ("quik", {}, "unknown-preset"),
    ],
)
def test_configure_with_a_bad_name_or_value_raises(name: str, values: dict[str, Any], code: str) -> None:
    with pytest.raises(OptionError) as raised:
        configure_language_model(name, values)
    assert raised.value.code == code
