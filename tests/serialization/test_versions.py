from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import pytest
from tests.helpers.damaged_models import MakeFolder, ModelFiles, corrupt_error, with_config_value

from fastlstm.config import ModelConfig, option
from fastlstm.errors import OptionError
from fastlstm.serialization.classifier import VERSION_1_FIELDS, read_classifier
from fastlstm.serialization.folder import CONFIG


def as_version_1(files: ModelFiles) -> ModelFiles:
    """Return the same model as version 1 wrote it."""
    model = {name: json.loads(files[CONFIG])["model"][name] for name in VERSION_1_FIELDS}
    files = with_config_value(files, "format_version", value=1)
    files = with_config_value(files, "model", value=model)
    return with_config_value(files, "calibration", value={"temperature": 1.5})


def as_version_2(files: ModelFiles) -> ModelFiles:
    return with_config_value(files, "format_version", value=2)


AsVersion = Callable[[ModelFiles], ModelFiles]
VERSIONS = pytest.mark.parametrize("as_version", [as_version_1, as_version_2])


def check_bad_fields(files: ModelFiles, make_folder: MakeFolder) -> None:
    """Check that the fields of `model` make the configuration corrupt."""
    cause = corrupt_error(make_folder(files), CONFIG).__cause__
    assert isinstance(cause, OptionError)
    assert cause.code == "bad-config-fields"


def test_version_1_has_the_default_threshold_and_later_fields_at_their_defaults(
    model_files: ModelFiles, make_folder: MakeFolder
) -> None:
    model = read_classifier(make_folder(as_version_1(model_files)))
    assert (model.temperature, model.threshold) == (1.5, 0.5)
    assert model.config == ModelConfig(**{name: getattr(model.config, name) for name in VERSION_1_FIELDS})


@VERSIONS
@pytest.mark.parametrize("name", VERSION_1_FIELDS)
def test_missing_version_1_field_is_corrupt_in_every_version(
    model_files: ModelFiles, make_folder: MakeFolder, name: str, as_version: AsVersion
) -> None:
    files = as_version(model_files)
    fields = {key: value for key, value in json.loads(files[CONFIG])["model"].items() if key != name}
    check_bad_fields(with_config_value(files, "model", value=fields), make_folder)


@VERSIONS
def test_unknown_field_is_corrupt(model_files: ModelFiles, make_folder: MakeFolder, as_version: AsVersion) -> None:
    damaged = with_config_value(as_version(model_files), "model", "colour", value="blue")
    check_bad_fields(damaged, make_folder)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaterConfig(ModelConfig):
    """A model configuration with a field that a later fastlstm might add."""

    colour: str = option("a field without effect", default="blue")

    def __post_init__(self) -> None:
        """Skip the checks, which know no string fields."""


@pytest.fixture
def later_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastlstm.serialization.classifier.ModelConfig", LaterConfig)


@pytest.mark.usefixtures("later_config")
@VERSIONS
def test_field_added_later_has_its_default_in_older_models(
    model_files: ModelFiles, make_folder: MakeFolder, as_version: AsVersion
) -> None:
    config = read_classifier(make_folder(as_version(model_files))).config
    assert isinstance(config, LaterConfig)
    assert config.colour == "blue"


@pytest.mark.usefixtures("later_config")
def test_field_added_later_is_read(model_files: ModelFiles, make_folder: MakeFolder) -> None:
    config = read_classifier(make_folder(with_config_value(model_files, "model", "colour", value="red"))).config
    assert isinstance(config, LaterConfig)
    assert config.colour == "red"


@pytest.mark.usefixtures("later_config")
def test_field_added_later_is_corrupt_in_version_1(model_files: ModelFiles, make_folder: MakeFolder) -> None:
    damaged = with_config_value(as_version_1(model_files), "model", "colour", value="red")
    check_bad_fields(damaged, make_folder)
