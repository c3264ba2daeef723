"""Saved language models. Tests of what they share with classifiers are in the other modules of this folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import safetensors.numpy

from fastlstm._typing import FloatArray
from fastlstm.config import LanguageModelConfig
from fastlstm.errors import (
    CorruptModelError,
    FastLSTMError,
    InputError,
    ModelTooNewError,
    NotAModelError,
    OptionError,
)
from fastlstm.serialization import weights
from fastlstm.serialization.classifier import SavedModel, read_classifier, write_classifier
from fastlstm.serialization.folder import (
    CARD,
    CLASSIFIER_FORMAT,
    CONFIG,
    LANGUAGE_MODEL_FORMAT,
    TOKENIZER,
    WEIGHTS,
    check_target,
    has_format,
    sha256,
)
from fastlstm.serialization.language_model import (
    SavedLanguageModel,
    check_encoder_direction,
    read_language_model,
    write_language_model,
)
from fastlstm.text.tokenizer import train_tokenizer

Error = TypeVar("Error", bound=FastLSTMError)


def make_language_model(**options: Any) -> SavedLanguageModel:
    """Return a model with random weights and a small vocabulary."""
    tokenizer = train_tokenizer(["a film, and what a film!", "很好看的电影"], 50)
    sizes = {"embedding_size": 17, "hidden_sizes": (6, 5), **options}
    config = LanguageModelConfig(vocabulary_size=tokenizer.get_vocab_size(), **sizes)
    generator = np.random.default_rng(0)
    arrays = {
        name: generator.normal(size=shape).astype(np.float32)
        for name, shape in weights.language_model_shapes(config).items()
    }
    return SavedLanguageModel(config, tokenizer, arrays, {"data": {"texts": "critiques françaises"}})


def save(model: SavedLanguageModel, folder: Path, storage: str = "float32") -> Path:
    write_language_model(model, folder, card="# Karte ✓\n", extras={"history.json": b"[]"}, storage=storage)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved language model."""
    return save(make_language_model(), tmp_path / "lm")


@pytest.fixture
def classifier_folder(tiny_model: SavedModel, tmp_path: Path) -> Path:
    """A saved classifier."""
    write_classifier(tiny_model, tmp_path / "classifier", card="", golden=[], extras={})
    return tmp_path / "classifier"


def update_config(folder: Path, update: Callable[[dict[str, Any]], object]) -> None:
    """Rewrite config.json after `update` has changed its fields."""
    config = json.loads((folder / CONFIG).read_bytes())
    update(config)
    (folder / CONFIG).write_text(json.dumps(config))


def replace_weights(folder: Path, arrays: dict[str, Any]) -> None:
    """Replace the weights and their checksum."""
    content = safetensors.numpy.save(arrays)
    (folder / WEIGHTS).write_bytes(content)
    update_config(folder, lambda config: config["sha256"].update({WEIGHTS: sha256(content)}))


def read_error(folder: Path, kind: type[Error]) -> Error:
    with pytest.raises(kind) as raised:
        read_language_model(folder)
    assert raised.value.folder == folder
    return raised.value


def corrupt_error(folder: Path, name: str) -> CorruptModelError:
    error = read_error(folder, CorruptModelError)
    assert (error.code, error.path) == ("corrupt-model", folder / name)
    return error


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
@pytest.mark.parametrize(("embedding_size", "hidden_sizes"), [(17, (6, 5)), (5, (5,))])
def test_language_model_is_read_as_it_was_written(
    tmp_path: Path, direction: str, embedding_size: int, hidden_sizes: tuple[int, ...]
) -> None:
    model = make_language_model(direction=direction, embedding_size=embedding_size, hidden_sizes=hidden_sizes)
    loaded = read_language_model(save(model, tmp_path / "lm"))
    assert (loaded.config, loaded.training) == (model.config, model.training)
    assert loaded.tokenizer.to_str() == model.tokenizer.to_str()
    assert set(loaded.weights) == set(model.weights)
    for name, array in model.weights.items():
        np.testing.assert_array_equal(loaded.weights[name], array)


def test_weights_are_read_in_a_fixed_order(folder: Path) -> None:
    expected = list(weights.language_model_shapes(read_language_model(folder).config))
    assert [list(read_language_model(folder).weights) for _ in range(5)] == [expected] * 5


def test_folder_has_the_documented_files_and_fields(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {CONFIG, TOKENIZER, WEIGHTS, CARD, "history.json"}
    config = json.loads((folder / CONFIG).read_bytes())
    assert (config["format"], config["format_version"]) == ("fastlstm-language-model", 2)
    assert set(config) == {"format", "format_version", "model", "sha256", "training"}


def test_loaded_language_model_is_written_as_the_same_bytes(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    save(read_language_model(folder), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(("storage", "error"), [("float16", 2e-3), ("int8", 2e-2)])
def test_rounded_weights_are_read_as_float32(tmp_path: Path, storage: str, error: float) -> None:
    model = make_language_model()
    sizes = {}
    for name in ("float32", storage):
        sizes[name] = (save(model, tmp_path / name, name) / WEIGHTS).stat().st_size
    loaded = read_language_model(tmp_path / storage)
    for name, array in model.weights.items():
        assert loaded.weights[name].dtype == np.float32
        np.testing.assert_allclose(loaded.weights[name], array, atol=error)
    assert sizes[storage] < 0.7 * sizes["float32"]


def test_newer_version_raises_model_too_new_error(folder: Path) -> None:
    update_config(folder, lambda config: config.update(format_version=4))
    error = read_error(folder, ModelTooNewError)
    assert (error.code, error.version, error.supported) == ("model-too-new", 4, 3)


def test_unknown_format_is_not_a_model(folder: Path) -> None:
    update_config(folder, lambda config: config.update(format="other"))
    assert read_error(folder, NotAModelError).code == "not-a-model"


def test_classifier_is_not_a_language_model(classifier_folder: Path) -> None:
    error = read_error(classifier_folder, NotAModelError)
    assert error.code == "wrong-model-kind"
    assert (error.expected, error.actual) == ("fastlstm-language-model", "fastlstm")


def test_language_model_is_not_a_classifier(folder: Path) -> None:
    with pytest.raises(NotAModelError) as raised:
        read_classifier(folder)
    assert (raised.value.code, raised.value.folder) == ("wrong-model-kind", folder)
    assert (raised.value.expected, raised.value.actual) == ("fastlstm", "fastlstm-language-model")


def test_has_format_tells_language_models_from_classifiers(folder: Path, classifier_folder: Path) -> None:
    assert has_format(folder, LANGUAGE_MODEL_FORMAT)
    assert not has_format(classifier_folder, LANGUAGE_MODEL_FORMAT)


@pytest.mark.parametrize("overwrite", [False, True])
def test_models_of_the_other_kind_are_never_overwritten(
    folder: Path, classifier_folder: Path, overwrite: bool
) -> None:
    for target, model_format in ((classifier_folder, LANGUAGE_MODEL_FORMAT), (folder, CLASSIFIER_FORMAT)):
        with pytest.raises(InputError) as raised:
            check_target(target, model_format, overwrite=overwrite)
        assert (raised.value.code, raised.value.folder) == ("output-not-a-model", target)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vocabulary_size", 2),
        ("embedding_size", "17"),
        ("hidden_sizes", []),
        ("hidden_sizes", [6, -5]),
        ("direction", "sideways"),
        ("colour", "blue"),
    ],
)
def test_invalid_model_field_is_corrupt(folder: Path, name: str, value: object) -> None:
    update_config(folder, lambda config: config["model"].update({name: value}))
    assert corrupt_error(folder, CONFIG).field == (None if name == "colour" else name)


@pytest.mark.parametrize("key", ["model", "sha256", "training"])
def test_missing_key_is_corrupt(folder: Path, key: str) -> None:
    update_config(folder, lambda config: config.pop(key))
    assert corrupt_error(folder, CONFIG).field == key


@pytest.mark.parametrize("key", ["model", "sha256", "training"])
@pytest.mark.parametrize("value", [3, [1]])
def test_value_of_another_type_is_corrupt(folder: Path, key: str, value: object) -> None:
    update_config(folder, lambda config: config.update({key: value}))
    corrupt_error(folder, CONFIG)


@pytest.mark.parametrize(
    ("name", "value"),
    [("hidden_sizes", [6, 6]), ("embedding_size", 5), ("direction", "both"), ("direction", "backward")],
)
def test_config_of_another_shape_does_not_fit_the_weights(folder: Path, name: str, value: object) -> None:
    update_config(folder, lambda config: config["model"].update({name: value}))
    corrupt_error(folder, WEIGHTS)


@pytest.mark.parametrize(
    "damage",
    [lambda array: np.full_like(array, np.nan), lambda array: array[:-1], lambda array: array.astype(np.float64)],
    ids=["NaN", "shape", "type"],
)
def test_damaged_weight_is_corrupt(folder: Path, damage: Callable[[FloatArray], FloatArray]) -> None:
    good = dict(make_language_model().weights)
    for name, array in good.items():
        replace_weights(folder, {**good, name: damage(array)})
        assert corrupt_error(folder, WEIGHTS).array == name


def test_missing_weight_is_corrupt(folder: Path) -> None:
    good = dict(make_language_model().weights)
    for name in good:
        replace_weights(folder, {other: array for other, array in good.items() if other != name})
        error = corrupt_error(folder, WEIGHTS)
        assert (error.array, error.actual) == (name, "missing")


def test_unexpected_weight_is_corrupt(folder: Path) -> None:
    replace_weights(folder, {**make_language_model().weights, "more": np.ones(1, np.float32)})
    assert corrupt_error(folder, WEIGHTS).arrays == ["more"]


def test_replaced_weights_with_their_checksum_are_read(folder: Path) -> None:
    replace_weights(folder, dict(make_language_model().weights))
    loaded = read_language_model(folder)
    assert dataclasses.asdict(loaded.config) == dataclasses.asdict(make_language_model().config)


@pytest.mark.parametrize("name", [TOKENIZER, WEIGHTS])
def test_changed_file_is_corrupt(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    checksum = sha256(bytes(content))
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    error = corrupt_error(folder, name)
    assert (error.expected, error.actual) == (checksum, sha256(bytes(content)))


@pytest.mark.parametrize("name", [TOKENIZER, WEIGHTS])
def test_missing_file_is_corrupt(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert isinstance(corrupt_error(folder, name).__cause__, FileNotFoundError)


def test_vocabulary_of_another_size_is_corrupt(folder: Path) -> None:
    update_config(folder, lambda config: config["model"].update(vocabulary_size=49))
    error = corrupt_error(folder, TOKENIZER)
    assert (error.expected, error.actual) == (49, make_language_model().config.vocabulary_size)


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_classifiers_start_from_forward_and_bidirectional_models(direction: str) -> None:
    check_encoder_direction(direction)


def test_backward_encoder_raises_option_error() -> None:
    with pytest.raises(OptionError) as raised:
        check_encoder_direction("backward")
    assert (raised.value.code, raised.value.direction) == ("backward-encoder", "backward")
