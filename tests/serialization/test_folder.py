from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.damaged_models import Files, MakeModel, Place, changed, complaint

from fastlstm.config import ModelConfig
from fastlstm.errors import InputError, ModelNotFoundError, NotAModelError
from fastlstm.serialization.classifier import (
    GOLDEN,
    SavedModel,
    check_classifier_target,
    read_classifier,
    write_classifier,
)
from fastlstm.serialization.folder import CARD, CONFIG, TOKENIZER, WEIGHTS, json_bytes


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
def test_a_model_survives_writing_and_reading(
    make_model: MakeModel, tmp_path: Path, config: ModelConfig, labels: tuple[str, ...]
) -> None:
    training = {"seed": 3, "data": {"train": "critiques_françaises.csv"}, "losses": [0.5, 0.25]}
    model = dataclasses.replace(make_model(config, labels, temperature=1.37), training=training)
    if len(labels) == 2:
        model = dataclasses.replace(model, threshold=0.3)
    write_classifier(
        model, tmp_path / "model", card="# Karte ✓\n", golden=[{"text": "é"}], extras={"loss.png": b"\x89PNG"}
    )
    back = read_classifier(tmp_path / "model")
    assert (back.config, back.labels, back.temperature) == (model.config, labels, 1.37)
    assert back.threshold == model.threshold
    assert back.training == training
    assert back.tokenizer.to_str() == model.tokenizer.to_str()
    assert set(back.weights) == set(model.weights)
    for name, array in model.weights.items():
        assert back.weights[name].dtype == np.float32
        assert np.array_equal(back.weights[name], array)


def test_the_folder_holds_the_five_files_and_the_extras(tiny_model: SavedModel, tmp_path: Path) -> None:
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
    assert (config["format"], config["format_version"]) == ("fastlstm", 2)


def test_the_same_model_is_written_as_the_same_bytes(tiny_model: SavedModel, files: Files, tmp_path: Path) -> None:
    turned = dataclasses.replace(tiny_model, weights=dict(reversed(list(tiny_model.weights.items()))))
    write_classifier(turned, tmp_path / "model", card="# A model\n", golden=[], extras={})
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == files


def test_a_model_that_was_read_is_written_as_the_same_bytes(files: Files, place: Place, tmp_path: Path) -> None:
    write_classifier(read_classifier(place(files)), tmp_path / "model", card="# A model\n", golden=[], extras={})
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == files


def test_weights_that_are_views_are_written_by_value(tiny_model: SavedModel, tmp_path: Path) -> None:
    views = {name: np.ascontiguousarray(array.T).T for name, array in tiny_model.weights.items()}
    assert not views["embedding.weight"].flags.c_contiguous
    model = dataclasses.replace(tiny_model, weights=views)
    write_classifier(model, tmp_path / "model", card="", golden=[], extras={})
    for name, array in read_classifier(tmp_path / "model").weights.items():
        assert np.array_equal(array, tiny_model.weights[name])


def test_a_missing_folder_is_not_found(tmp_path: Path) -> None:
    complaint(tmp_path / "model", ModelNotFoundError, "no such folder")


def test_a_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"weights")
    complaint(tmp_path / "model", NotAModelError, CONFIG)


@pytest.mark.parametrize(
    "others", [{}, {"reviews.csv": b"text,label\n"}, {"config": b"{}"}, {TOKENIZER: b"{}", WEIGHTS: b""}]
)
def test_a_folder_with_other_things_is_no_model(place: Place, others: Files) -> None:
    complaint(place(others), NotAModelError, CONFIG)


@pytest.mark.parametrize(
    "content", [b"{}", b"[]", b"null", b'"fastlstm"', b'{"format": "other"}', b'{"model_type": "bert"}']
)
def test_the_configuration_of_something_else_is_no_model(files: Files, place: Place, content: bytes) -> None:
    complaint(place({**files, CONFIG: content}), NotAModelError, CONFIG)


def test_a_model_may_be_written_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for overwrite in (False, True):
        check_classifier_target(tmp_path / "free", overwrite=overwrite)
        check_classifier_target(tmp_path / "some" / "where", overwrite=overwrite)
        check_classifier_target(tmp_path / "empty", overwrite=overwrite)


@pytest.mark.parametrize("version", [1, 2, 99])
def test_a_model_is_only_written_over_when_asked(files: Files, place: Place, version: int) -> None:
    folder = place(changed(files, "format_version", value=version))
    check_classifier_target(folder, overwrite=True)
    with pytest.raises(InputError, match="holds a model already; pass --overwrite to replace it"):
        check_classifier_target(folder, overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("content", [b'{"format": "other"}', b"{", None])
def test_something_else_is_never_written_over(
    tiny_model: SavedModel, place: Place, overwrite: bool, content: bytes | None
) -> None:
    others = {"photo.jpg": b"memories"} if content is None else {CONFIG: content}
    folder = place(others)
    with pytest.raises(InputError, match="is not a fastlstm model, so it is never written over"):
        check_classifier_target(folder, overwrite=overwrite)
    with pytest.raises(InputError, match="is not a fastlstm model, so it is never written over"):
        write_classifier(tiny_model, folder, card="", golden=[], extras={})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == others


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_is_never_written_over(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "model").write_bytes(b"memories")
    with pytest.raises(InputError, match="never written over"):
        check_classifier_target(tmp_path / "model", overwrite=overwrite)


def test_an_older_model_is_replaced_wholly(tiny_model: SavedModel, files: Files, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_classifier(tiny_model, folder, card="old", golden=[], extras={"old.png": b"old"})
    write_classifier(tiny_model, folder, card="# A model\n", golden=[], extras={})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files


def test_json_is_written_for_people() -> None:
    assert json_bytes({"größe": [1]}) == '{\n  "größe": [\n    1\n  ]\n}\n'.encode()
