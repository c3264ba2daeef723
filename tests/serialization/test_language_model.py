"""A saved language model: what is written is read back, and every damage has its error.

What it shares with a saved classifier is tested there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from fastlstm.config import LanguageModelConfig
from fastlstm.errors import CorruptModelError, InputError, ModelTooNewError, NotAModelError
from fastlstm.serialization import language_model, weights
from fastlstm.serialization.classifier import SavedModel, check_classifier_target, read_classifier, write_classifier
from fastlstm.serialization.folder import CARD, CONFIG, TOKENIZER, WEIGHTS, check_target, has_format
from fastlstm.serialization.language_model import SavedLanguageModel, read_language_model, write_language_model
from fastlstm.text.tokenizer import train_tokenizer


def make_model(**options: Any) -> SavedLanguageModel:
    """A model with random weights of a small vocabulary."""
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
    return save(make_model(), tmp_path / "lm")


def change(folder: Path, values: Callable[[dict[str, Any]], object]) -> None:
    """Changes config.json by a function of what it holds."""
    config = json.loads((folder / CONFIG).read_bytes())
    values(config)
    (folder / CONFIG).write_text(json.dumps(config))


def replace_weights(folder: Path, arrays: dict[str, Any]) -> None:
    """Other weights, with their checksum put right."""
    content = safetensors.numpy.save(arrays)
    (folder / WEIGHTS).write_bytes(content)
    change(folder, lambda config: config["sha256"].update({WEIGHTS: hashlib.sha256(content).hexdigest()}))


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
@pytest.mark.parametrize(("embedding_size", "hidden_sizes"), [(17, (6, 5)), (5, (5,))])
def test_a_language_model_survives_writing_and_reading(
    tmp_path: Path, direction: str, embedding_size: int, hidden_sizes: tuple[int, ...]
) -> None:
    model = make_model(direction=direction, embedding_size=embedding_size, hidden_sizes=hidden_sizes)
    back = read_language_model(save(model, tmp_path / "lm"))
    assert (back.config, back.training) == (model.config, model.training)
    assert back.tokenizer.to_str() == model.tokenizer.to_str()
    assert set(back.weights) == set(model.weights)
    for name, array in model.weights.items():
        np.testing.assert_array_equal(back.weights[name], array)


def test_weights_are_read_in_one_order(folder: Path) -> None:
    expected = list(weights.language_model_shapes(language_model.read_language_model(folder).config))
    assert [list(language_model.read_language_model(folder).weights) for _ in range(5)] == [expected] * 5


def test_the_folder_holds_what_the_format_says(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {CONFIG, TOKENIZER, WEIGHTS, CARD, "history.json"}
    config = json.loads((folder / CONFIG).read_bytes())
    assert (config["format"], config["format_version"]) == ("fastlstm-language-model", 1)
    assert set(config) == {"format", "format_version", "model", "sha256", "training"}
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    save(read_language_model(folder), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(("storage", "error"), [("float16", 2e-3), ("int8", 2e-2)])
def test_rounded_weights_are_read_as_float32_and_near(tmp_path: Path, storage: str, error: float) -> None:
    model = make_model()
    sizes = {}
    for name in ("float32", storage):
        sizes[name] = (save(model, tmp_path / name, name) / WEIGHTS).stat().st_size
    back = read_language_model(tmp_path / storage)
    for name, array in model.weights.items():
        assert back.weights[name].dtype == np.float32
        np.testing.assert_allclose(back.weights[name], array, atol=error)
    assert sizes[storage] < 0.7 * sizes["float32"]


def test_a_newer_format_is_too_new_and_another_is_not_a_language_model(folder: Path) -> None:
    change(folder, lambda config: config.update(format_version=2))
    with pytest.raises(ModelTooNewError, match="has format version 2, and this fastlstm reads up to 1"):
        read_language_model(folder)
    change(folder, lambda config: config.update(format="other"))
    with pytest.raises(NotAModelError, match=r"is not a fastlstm language model: its config\.json does not say so"):
        read_language_model(folder)


def test_each_kind_of_folder_says_what_it_holds_where_the_other_is_expected(
    folder: Path, tiny_model: SavedModel, tmp_path: Path
) -> None:
    write_classifier(tiny_model, tmp_path / "classifier", card="", golden=[], extras={})
    with pytest.raises(NotAModelError, match=r"holds a text classifier, which fastlstm predict, .* take"):
        read_language_model(tmp_path / "classifier")
    with pytest.raises(NotAModelError, match=r"holds a language model, which fastlstm generate, .* take"):
        read_classifier(folder)
    assert has_format(folder, language_model.LANGUAGE_MODEL_FORMAT)
    assert not has_format(tmp_path / "classifier", language_model.LANGUAGE_MODEL_FORMAT)


@pytest.mark.parametrize("overwrite", [False, True])
def test_neither_kind_is_written_over_the_other(
    folder: Path, tiny_model: SavedModel, tmp_path: Path, overwrite: bool
) -> None:
    write_classifier(tiny_model, tmp_path / "classifier", card="", golden=[], extras={})
    with pytest.raises(InputError, match="is not a fastlstm language model, so it is never written over"):
        check_target(tmp_path / "classifier", language_model.LANGUAGE_MODEL_FORMAT, overwrite=overwrite)
    with pytest.raises(InputError, match="is not a fastlstm model, so it is never written over"):
        check_classifier_target(folder, overwrite=overwrite)


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
def test_a_configuration_out_of_range_is_corrupt(folder: Path, name: str, value: object) -> None:
    change(folder, lambda config: config["model"].update({name: value}))
    with pytest.raises(CorruptModelError, match=r"config\.json lacks or misstates"):
        read_language_model(folder)


@pytest.mark.parametrize("part", ["model", "sha256", "training"])
@pytest.mark.parametrize("value", [None, 3, [1]])
def test_a_missing_or_ill_part_of_the_configuration_is_corrupt(folder: Path, part: str, value: object) -> None:
    change(folder, lambda config: config.pop(part) if value is None else config.update({part: value}))
    with pytest.raises(CorruptModelError, match=r"config\.json lacks or misstates"):
        read_language_model(folder)


@pytest.mark.parametrize(
    ("name", "value"),
    [("hidden_sizes", [6, 6]), ("embedding_size", 5), ("direction", "both"), ("direction", "backward")],
)
def test_a_configuration_of_another_shape_does_not_fit_the_weights(folder: Path, name: str, value: object) -> None:
    change(folder, lambda config: config["model"].update({name: value}))
    with pytest.raises(CorruptModelError, match=r"model\.safetensors"):
        read_language_model(folder)


def test_ill_weights_are_corrupt(folder: Path) -> None:
    good = dict(make_model().weights)
    for name, array in good.items():
        for bad in (np.full_like(array, np.nan), array[:-1], array.astype(np.float64), None):
            replace_weights(folder, {k: v for k, v in {**good, name: bad}.items() if v is not None})
            with pytest.raises(CorruptModelError, match=name):
                read_language_model(folder)
    replace_weights(folder, {**good, "more": np.ones(1, np.float32)})
    with pytest.raises(CorruptModelError, match="has more than the model needs"):
        read_language_model(folder)
    replace_weights(folder, good)
    assert dataclasses.asdict(read_language_model(folder).config) == dataclasses.asdict(make_model().config)


@pytest.mark.parametrize("name", [TOKENIZER, WEIGHTS])
def test_a_file_that_was_changed_or_lost_is_corrupt(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(CorruptModelError, match="sha256 differs"):
        read_language_model(folder)
    (folder / name).unlink()
    with pytest.raises(CorruptModelError, match=f"{name} can't be read"):
        read_language_model(folder)


def test_a_vocabulary_of_another_size_is_corrupt(folder: Path) -> None:
    change(folder, lambda config: config["model"].update(vocabulary_size=49))
    with pytest.raises(CorruptModelError, match=r"tokenizer\.json has \d+ words, config\.json says 49"):
        read_language_model(folder)
