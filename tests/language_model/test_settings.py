"""Settings of a run: defaults, resolved configurations, conflicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fastlstm.config import LANGUAGE_MODEL_PRESETS
from fastlstm.errors import InputError, OptionError
from fastlstm.language_model.settings import LanguageModelSettings
from fastlstm.serialization.folder import LANGUAGE_MODEL_FORMAT, read_config, resolve_model_folder


def create(**options: Any) -> LanguageModelSettings:
    return LanguageModelSettings.create(["a text"], "out", options)


def test_defaults_are_those_of_the_preset() -> None:
    settings = create()
    preset = LANGUAGE_MODEL_PRESETS[settings.preset]
    assert (settings.model, settings.training) == (preset.model, preset.training)
    assert settings.out == Path("out")
    assert settings.cap_vocabulary


def test_options_set_fields_of_both_configurations_and_of_the_run() -> None:
    settings = create(
        preset="awd", epochs=2, direction="backward", vocabulary_size=50, storage="int8", data_dir="d"
    )
    assert (settings.training.epochs, settings.training.window) == (2, 70)
    assert (settings.model.direction, settings.model.vocabulary_size) == ("backward", 50)
    assert (settings.storage, settings.data_dir) == ("int8", Path("d"))
    assert not settings.cap_vocabulary


def test_an_encoder_determines_the_shape() -> None:
    settings = create(encoder="english", direction="both")
    folder = resolve_model_folder("english", LANGUAGE_MODEL_FORMAT)
    assert folder is not None
    assert settings.encoder == folder
    shape = read_config(folder, LANGUAGE_MODEL_FORMAT)["model"]
    assert list(settings.model.hidden_sizes) == shape["hidden_sizes"]
    assert settings.model.vocabulary_size == shape["vocabulary_size"]
    assert settings.model.direction == "both"


@pytest.mark.parametrize("option", ["vocabulary_size", "embedding_size"])
def test_sizes_beside_an_encoder_raise_option_error(option: str) -> None:
    with pytest.raises(OptionError) as raised:
        create(encoder="english", **{option: 9})
    assert raised.value.code == "conflicting-options"
    assert raised.value.options == (option, "encoder")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"preset": "quik"}, "unknown-preset"),
        ({"epoch": 3}, "unknown-option"),
        ({"direction": "sideways"}, "bad-option-value"),
        ({"epochs": 0}, "bad-option-value"),
        ({"encoder": "nowhere"}, "model-not-found"),
    ],
)
def test_bad_options_raise_input_error(options: dict[str, Any], code: str) -> None:
    with pytest.raises(InputError) as raised:
        create(**options)
    assert raised.value.code == code
