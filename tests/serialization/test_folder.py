from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.damaged_models import MakeFolder, ModelFiles, read_error, with_config_value
from tests.helpers.random_models import MakeModel

from fastlstm.config import ModelConfig
from fastlstm.errors import InputError, ModelNotFoundError, NotAModelError
from fastlstm.serialization.classifier import GOLDEN, SavedModel, read_classifier, write_classifier
from fastlstm.serialization.folder import (
    CARD,
    CLASSIFIER_FORMAT,
    CONFIG,
    TOKENIZER,
    WEIGHTS,
    check_target,
    json_bytes,
)


@pytest.mark.parametrize(
    ("config", "labels"),
    [
        (ModelConfig(embedding_size=3, hidden_sizes=(2,)), ("negative", "positive")),
        (
            ModelConfig(
                vocabulary_size=17,
                max_tokens=9,
                truncate="both",
                embedding_size=1,
                hidden_sizes=(1, 5),
                bidirectional=True,
                pooling="concat",
                dropout=0.25,
                activation="sigmoid",
            ),
            ("schön", "很好", "très émouvant", "", "two words", 'a "quoted"\nlabel', "🎬"),
        ),
    ],
)
def test_model_is_read_as_it_was_written(
    make_model: MakeModel, tmp_path: Path, config: ModelConfig, labels: tuple[str, ...]
) -> None:
    training = {"seed": 3, "data": {"train": "critiques_françaises.csv"}, "losses": [0.5, 0.25]}
    model = dataclasses.replace(make_model(config, labels, temperature=1.37), training=training)
    if len(labels) == 2:
        model = dataclasses.replace(model, threshold=0.3)
    write_classifier(
        model, tmp_path / "model", card="# Karte ✓\n", golden=[{"text": "é"}], extras={"loss.png": b"\x89PNG"}
    )
    loaded = read_classifier(tmp_path / "model")
    assert (loaded.config, loaded.labels, loaded.temperature) == (model.config, labels, 1.37)
    assert loaded.threshold == model.threshold
    assert loaded.training == training
    assert loaded.tokenizer.to_str() == model.tokenizer.to_str()
    assert set(loaded.weights) == set(model.weights)
    for name, array in model.weights.items():
        assert loaded.weights[name].dtype == np.float32
        assert np.array_equal(loaded.weights[name], array)


def test_folder_has_the_five_files_and_the_extras(tiny_model: SavedModel, tmp_path: Path) -> None:
    golden, extras = [{"text": "é"}], {"loss.png": b"\x89PNG", "more/notes.txt": b"notes"}
    write_classifier(tiny_model, tmp_path / "model", card="# Karte ✓\n", golden=golden, extras=extras)
    folder = tmp_path / "model"
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        CONFIG,
        TOKENIZER,
        WEIGHTS,
        CARD,
        GOLDEN,
        *extras,
    }
    assert (folder / CARD).read_text(encoding="utf-8") == "# Karte ✓\n"
    assert json.loads((folder / GOLDEN).read_bytes()) == golden
    assert (folder / "more/notes.txt").read_bytes() == b"notes"
    config = json.loads((folder / CONFIG).read_bytes())
    assert (config["format"], config["format_version"]) == ("fastlstm", 4)


def file_contents(folder: Path) -> ModelFiles:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_order_of_weights_does_not_change_the_bytes(
    tiny_model: SavedModel, model_files: ModelFiles, tmp_path: Path
) -> None:
    reordered = dataclasses.replace(tiny_model, weights=dict(reversed(list(tiny_model.weights.items()))))
    write_classifier(reordered, tmp_path / "model", card="# A model\n", golden=[], extras={})
    assert file_contents(tmp_path / "model") == model_files


def test_loaded_model_is_written_as_the_same_bytes(
    model_files: ModelFiles, make_folder: MakeFolder, tmp_path: Path
) -> None:
    model = read_classifier(make_folder(model_files))
    write_classifier(model, tmp_path / "model", card="# A model\n", golden=[], extras={})
    assert file_contents(tmp_path / "model") == model_files


def test_non_contiguous_weights_are_written_by_value(tiny_model: SavedModel, tmp_path: Path) -> None:
    views = {name: np.ascontiguousarray(array.T).T for name, array in tiny_model.weights.items()}
    assert not views["embedding.weight"].flags.c_contiguous
    model = dataclasses.replace(tiny_model, weights=views)
    write_classifier(model, tmp_path / "model", card="", golden=[], extras={})
    for name, array in read_classifier(tmp_path / "model").weights.items():
        assert np.array_equal(array, tiny_model.weights[name])


def test_missing_folder_raises_model_not_found_error(tmp_path: Path) -> None:
    error = read_error(tmp_path / "model", ModelNotFoundError)
    assert error.code == "model-not-found"
    assert "english-sentiment" in error.bundled


def test_file_is_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"weights")
    assert read_error(tmp_path / "model", NotAModelError).code == "not-a-model"


@pytest.mark.parametrize(
    "files", [{}, {"reviews.csv": b"text,label\n"}, {"config": b"{}"}, {TOKENIZER: b"{}", WEIGHTS: b""}]
)
def test_folder_without_config_is_not_a_model(make_folder: MakeFolder, files: ModelFiles) -> None:
    assert read_error(make_folder(files), NotAModelError).code == "not-a-model"


@pytest.mark.parametrize(
    "content", [b"{}", b"[]", b"null", b'"fastlstm"', b'{"format": "other"}', b'{"model_type": "bert"}']
)
def test_config_of_another_program_is_not_a_model(
    model_files: ModelFiles, make_folder: MakeFolder, content: bytes
) -> None:
    assert read_error(make_folder({**model_files, CONFIG: content}), NotAModelError).code == "not-a-model"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("target", ["new", "some/where", "empty"])
def test_free_target_is_accepted(tmp_path: Path, target: str, overwrite: bool) -> None:
    (tmp_path / "empty").mkdir()
    check_target(tmp_path / target, CLASSIFIER_FORMAT, overwrite=overwrite)


@pytest.mark.parametrize("version", [1, 2, 99])
def test_existing_model_needs_overwrite(model_files: ModelFiles, make_folder: MakeFolder, version: int) -> None:
    folder = make_folder(with_config_value(model_files, "format_version", value=version))
    check_target(folder, CLASSIFIER_FORMAT, overwrite=True)
    with pytest.raises(InputError) as raised:
        check_target(folder, CLASSIFIER_FORMAT, overwrite=False)
    assert (raised.value.code, raised.value.folder) == ("output-exists", folder)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("content", [b'{"format": "other"}', b"{", None])
def test_other_folders_are_never_overwritten(
    tiny_model: SavedModel, make_folder: MakeFolder, overwrite: bool, content: bytes | None
) -> None:
    files = {"photo.jpg": b"memories"} if content is None else {CONFIG: content}
    folder = make_folder(files)
    with pytest.raises(InputError) as raised:
        check_target(folder, CLASSIFIER_FORMAT, overwrite=overwrite)
    assert (raised.value.code, raised.value.folder) == ("output-not-a-model", folder)
    with pytest.raises(InputError) as raised:
        write_classifier(tiny_model, folder, card="", golden=[], extras={})
    assert (raised.value.code, raised.value.folder) == ("output-not-a-model", folder)
    assert file_contents(folder) == files


@pytest.mark.parametrize("overwrite", [False, True])
def test_file_is_never_overwritten_by_a_folder(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "model").write_bytes(b"memories")
    with pytest.raises(InputError) as raised:
        check_target(tmp_path / "model", CLASSIFIER_FORMAT, overwrite=overwrite)
    assert raised.value.code == "output-not-a-model"


def test_older_model_is_replaced_completely(
    tiny_model: SavedModel, model_files: ModelFiles, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    write_classifier(tiny_model, folder, card="old", golden=[], extras={"old.png": b"old"})
    write_classifier(tiny_model, folder, card="# A model\n", golden=[], extras={})
    assert file_contents(folder) == model_files


def test_json_is_indented_utf_8() -> None:
    assert json_bytes({"größe": [1]}) == '{\n  "größe": [\n    1\n  ]\n}\n'.encode()
