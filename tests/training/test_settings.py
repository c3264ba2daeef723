"""Settings of a run: defaults, resolved configurations and models, conflicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.helpers.language_models import FIELDS, write_texts

import fastlstm
from fastlstm.config import DEFAULT_PRESET, configure, preset
from fastlstm.errors import InputError, ModelNotFoundError, NotAModelError, OptionError
from fastlstm.inference import Classifier
from fastlstm.language_model.settings import ENCODER_FIELDS
from fastlstm.pretrained import bundled_model
from fastlstm.serialization.classifier import SavedModel
from fastlstm.training.settings import TrainingSettings, find_encoder


def create(**options: Any) -> TrainingSettings:
    return TrainingSettings.create("reviews.csv", "model", options)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model."""
    folder = tmp_path_factory.mktemp("encoder")
    texts = write_texts(folder / "texts.txt")
    return fastlstm.train_language_model(texts, folder / "lm", **{**FIELDS, "epochs": 1}).folder


@pytest.fixture(scope="module")
def teacher(tiny_model: SavedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier."""
    folder = tmp_path_factory.mktemp("teacher") / "model"
    Classifier(tiny_model).save(folder)
    return folder


def test_defaults_are_those_of_the_default_preset() -> None:
    settings = create()
    assert settings.preset == DEFAULT_PRESET
    assert (settings.model, settings.training) == configure(DEFAULT_PRESET, {})
    assert (settings.data, settings.out) == ("reviews.csv", Path("model"))
    assert (settings.encoder, settings.teacher, settings.budget, settings.data_dir) == (None, None, None, None)
    assert settings.cap_vocabulary


def test_options_are_settings_or_fields_of_the_configurations() -> None:
    settings = create(preset="tutorial", test=0.1, data_dir="data", epochs=2, hidden_sizes=[7], vocabulary_size=50)
    assert (settings.test, settings.data_dir) == (0.1, Path("data"))
    assert (settings.training.epochs, settings.model.hidden_sizes) == (2, (7,))
    assert settings.training.learning_rate == preset("tutorial").training.learning_rate
    assert settings.model.vocabulary_size == 50
    assert not settings.cap_vocabulary


@pytest.mark.parametrize("budget", [600, "10m"])
def test_budget_is_in_seconds(budget: float | str) -> None:
    assert create(budget=budget).budget == 600


@pytest.mark.parametrize(
    ("name", "suggested"), [("epoch", "'epochs'"), ("validaton", "'validation'"), ("model", "max_tokens")]
)
def test_unknown_option_raises_and_names_the_known_ones(name: str, suggested: str) -> None:
    with pytest.raises(OptionError) as raised:
        create(**{name: 3})
    assert (raised.value.code, raised.value.option) == ("unknown-option", name)
    for known in (suggested, "encoder", "seed"):
        assert known in str(raised.value)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"epochs": 0}, "bad-option-value"),
        ({"pooling": "maxx"}, "bad-option-value"),
        ({"budget": "soon"}, "bad-option-value"),
        ({"preset": "smal"}, "unknown-preset"),
        ({"unlabelled": ["a text"]}, "unlabelled-unused"),
        ({"early_exit": True, "bidirectional": True}, "early-exit-needs-unidirectional"),
        ({"validation": "cross", "early_exit": True}, "conflicting-options"),
        ({"validation": "cross", "pretraining_epochs": 1}, "conflicting-options"),
        ({"label_weight": None}, "bad-option-value"),
        ({"label_weight": True}, "bad-option-value"),
        ({"label_weight": 0.3}, "label-weight-unused"),
    ],
)
def test_bad_value_or_combination_raises_option_error(options: dict[str, Any], code: str) -> None:
    with pytest.raises(OptionError) as raised:
        create(**options)
    assert raised.value.code == code


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "accurate"},
        {"pretraining_epochs": 1},
        {"virtual_texts": 4},
        {"budget": "10m"},
    ],
)
def test_unlabelled_texts_are_accepted_if_the_run_uses_them(options: dict[str, Any]) -> None:
    assert create(unlabelled=["a text"], **options).unlabelled == ["a text"]


def test_early_exit_is_accepted_for_unidirectional_models() -> None:
    assert create(early_exit=True, bidirectional=False).early_exit
    assert create(early_exit=True, preset="tutorial").early_exit


def test_encoder_switches_pretraining_off_and_fits_the_output_layer_first(encoder: Path) -> None:
    settings = create(encoder=encoder, preset="accurate")
    assert settings.encoder == encoder
    assert (settings.training.pretraining_epochs, settings.training.output_first) == (0, True)
    assert create(encoder=encoder, preset="tutorial").training.output_first


@pytest.mark.parametrize(
    ("options", "pretraining_epochs", "output_first"),
    [
        ({"pretraining_epochs": 2}, 2, True),
        ({"unlabelled": ["a text"]}, preset("accurate").training.pretraining_epochs, True),
        ({"output_first": False}, 0, False),
    ],
)
def test_given_fields_precede_the_defaults_of_an_encoder(
    encoder: Path, options: dict[str, Any], pretraining_epochs: int, output_first: bool
) -> None:
    training = create(encoder=encoder, preset="accurate", **options).training
    assert (training.pretraining_epochs, training.output_first) == (pretraining_epochs, output_first)


@pytest.mark.parametrize("name", ENCODER_FIELDS)
def test_fields_that_the_encoder_determines_raise_option_error(encoder: Path, name: str) -> None:
    with pytest.raises(OptionError) as raised:
        create(encoder=encoder, **{name: 1})
    assert (raised.value.code, raised.value.options) == ("conflicting-options", (name, "encoder"))


def test_bundled_encoder_is_found_by_name() -> None:
    assert create(encoder="english").encoder == bundled_model("english")
    assert find_encoder(None) is None


def test_backward_encoder_raises_option_error(tmp_path: Path) -> None:
    texts = write_texts(tmp_path / "texts.txt")
    fastlstm.train_language_model(texts, tmp_path / "lm", **{**FIELDS, "epochs": 1, "direction": "backward"})
    with pytest.raises(OptionError) as raised:
        create(encoder=tmp_path / "lm")
    assert raised.value.code == "backward-encoder"


def test_teacher_is_a_classifier(teacher: Path) -> None:
    settings = create(teacher=str(teacher), unlabelled=["a text"])
    assert (settings.teacher, settings.unlabelled) == (teacher, ["a text"])


@pytest.mark.parametrize("name", ["encoder", "teacher"])
def test_missing_model_raises_model_not_found_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelNotFoundError) as raised:
        create(**{name: tmp_path / "missing"})
    assert raised.value.folder == tmp_path / "missing"


def test_model_of_the_other_kind_raises_not_a_model_error(encoder: Path, teacher: Path) -> None:
    for options in ({"encoder": teacher}, {"teacher": encoder}):
        with pytest.raises(NotAModelError) as raised:
            create(**options)
        assert raised.value.code == "wrong-model-kind"
        assert issubclass(NotAModelError, InputError)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"resume": True}, "resume"),
        ({"teacher": "somewhere"}, "teacher"),
        ({"preset": "tutorial"}, "preset"),
        ({"epochs": 3}, "epochs"),
    ],
)
def test_budget_excludes_other_settings(options: dict[str, Any], name: str) -> None:
    with pytest.raises(OptionError) as raised:
        create(budget=600, **options)
    assert (raised.value.code, raised.value.options) == ("conflicting-options", (name, "budget"))


def test_budget_accepts_fields_that_apply_to_every_candidate(encoder: Path) -> None:
    settings = create(budget=600, encoder=encoder, seed=3, class_weights="balanced", threshold_metric="f1")
    assert (settings.training.seed, settings.training.class_weights) == (3, "balanced")
