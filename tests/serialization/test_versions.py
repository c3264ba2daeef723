from __future__ import annotations

import dataclasses
import json

import pytest
from tests.helpers.damaged_models import Files, Place, changed, complaint

from fastlstm.config import ModelConfig, option
from fastlstm.errors import CorruptModelError
from fastlstm.serialization import classifier as saved_model
from fastlstm.serialization.classifier import FIRST_FIELDS, read_classifier
from fastlstm.serialization.folder import CONFIG


def of_version_1(files: Files) -> Files:
    """The same model as version 1 wrote it."""
    model = {name: json.loads(files[CONFIG])["model"][name] for name in FIRST_FIELDS}
    first = changed(changed(files, "format_version", value=1), "model", value=model)
    return changed(first, "calibration", value={"temperature": 1.5})


def test_version_1_has_no_threshold_and_later_fields_at_their_defaults(files: Files, place: Place) -> None:
    model = read_classifier(place(of_version_1(files)))
    assert (model.temperature, model.threshold) == (1.5, 0.5)
    assert model.config == ModelConfig(**{name: getattr(model.config, name) for name in FIRST_FIELDS})


@pytest.mark.parametrize("name", FIRST_FIELDS)
def test_a_field_that_version_1_had_must_be_there_in_every_version(files: Files, place: Place, name: str) -> None:
    for of_version in (files, of_version_1(files)):
        model = {k: v for k, v in json.loads(of_version[CONFIG])["model"].items() if k != name}
        complaint(place(changed(of_version, "model", value=model)), CorruptModelError, f"'{name}'")


def test_a_field_that_no_version_knows_is_corrupt(files: Files, place: Place) -> None:
    for of_version in (files, of_version_1(files)):
        damaged = changed(of_version, "model", "colour", value="blue")
        complaint(place(damaged), CorruptModelError, "'colour'")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Later(ModelConfig):
    """A model's configuration as a later fastlstm may have it."""

    colour: str = option("of nothing", default="blue")

    def __post_init__(self) -> None:
        """Nothing to check."""


def test_a_field_added_later_is_at_its_default_where_an_older_model_lacks_it(
    files: Files, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_model, "ModelConfig", Later)
    for of_version in (files, of_version_1(files)):
        assert getattr(read_classifier(place(of_version)).config, "colour") == "blue"  # noqa: B009 -- a field of Later alone
    assert getattr(read_classifier(place(changed(files, "model", "colour", value="red"))).config, "colour") == "red"  # noqa: B009
    complaint(place(changed(of_version_1(files), "model", "colour", value="red")), CorruptModelError, "'colour'")
