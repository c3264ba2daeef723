"""`fastlstm train --encoder` and `fastlstm distill`: classifiers that start from other models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.command_line import Command
from tests.helpers.language_models import FIELDS, write_labelled_texts, write_texts

import fastlstm


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texts(tmp_path_factory.mktemp("texts") / "texts.txt")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled_texts(tmp_path_factory.mktemp("labelled") / "reviews.csv")


@pytest.fixture(scope="module")
def encoder(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model."""
    return fastlstm.train_language_model(texts, tmp_path_factory.mktemp("encoder") / "lm", **FIELDS).folder


def test_a_classifier_starts_from_a_language_model(
    command: Command, labelled: Path, encoder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model"
    result = command(
        "train", labelled, "--encoder", encoder, "--out", out, "--epochs", "2", "--set", "ngrams=20", "--json"
    )  # fmt: skip
    assert result.status == 0, result.err
    config = json.loads((out / "config.json").read_text())
    assert config["model"]["hidden_sizes"] == [7]
    assert config["training"]["config"]["pretraining_epochs"] == 0
    assert config["training"]["encoder"] == "lm"
    assert "the language model `lm`" in (out / "README.md").read_text()
    assert fastlstm.load(out).predict(["a film good", "the bad"]) == ["positive", "negative"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--encoder", "ENCODER", "--set", "embedding_size=9"], "conflicting-options"),
        (["--encoder", "nowhere"], "model-not-found"),
        (["--budget", "soon"], "bad-option-value"),
        (["--budget", "10m", "--resume"], "conflicting-options"),
        (["--budget", "10m", "--preset", "tutorial"], "conflicting-options"),
        (["--preset", "accurate", "--unlabelled", "nowhere.txt"], "file-not-found"),
        (["--unlabelled", "nowhere.txt"], "unlabelled-unused"),
        (["--encoder", "ENCODER", "--unlabelled", "nowhere.txt"], "unlabelled-unused"),
        (["--validation", "imdb"], "test-split-as-validation"),
    ],
)
def test_conflicting_or_missing_inputs_are_rejected(
    command: Command, labelled: Path, encoder: Path, tmp_path: Path, options: list[str], code: str
) -> None:
    arguments = [str(encoder) if option == "ENCODER" else option for option in options]
    result = command("train", labelled, "--out", tmp_path / "x", *arguments)
    assert (result.status, result.code) == (2, code)
    assert not (tmp_path / "x").exists()


def test_a_student_is_trained_on_its_teacher_s_labels_of_unlabelled_texts(
    command: Command, labelled: Path, texts: Path, tmp_path: Path
) -> None:
    shape = ["--preset", "tutorial", "--set", "hidden_sizes=6", "--set", "embedding_size=5", "--no-baseline"]
    assert command("train", labelled, "--out", tmp_path / "teacher", *shape, "--epochs", "8").status == 0
    student = command(
        "distill", tmp_path / "teacher", labelled, "--unlabelled", texts, "--out", tmp_path / "student",
        *shape, "--epochs", "3", "--set", "ngrams=10",
    )  # fmt: skip
    assert student.status == 0, student.err
    assert "124 texts" in student.err
    loaded = fastlstm.load(tmp_path / "student")
    assert loaded.labels == fastlstm.load(tmp_path / "teacher").labels
    in_python = fastlstm.distill(
        tmp_path / "teacher", labelled, tmp_path / "again", unlabelled=texts, preset="tutorial", baseline=False,
        hidden_sizes=(6,), embedding_size=5, epochs=3, ngrams=10,
    )  # fmt: skip
    for name, array in loaded.saved.weights.items():
        np.testing.assert_array_equal(in_python.classifier.saved.weights[name], array)
    card = (tmp_path / "student" / "README.md").read_text()
    for words in ("60 texts without labels", "the classifier `teacher`", "10 words and word pairs"):
        assert words in card


@pytest.mark.parametrize("model", [[], None, {}, {"direction": ["forward"]}])
def test_an_encoder_with_a_damaged_configuration_is_corrupt(
    command: Command, labelled: Path, encoder: Path, tmp_path: Path, model: object
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(encoder, broken)
    config = json.loads((broken / "config.json").read_bytes())
    (broken / "config.json").write_text(json.dumps({**config, "model": model}), encoding="utf-8")
    result = command("train", labelled, "--out", tmp_path / "x", "--encoder", broken)
    assert (result.status, result.code) == (2, "corrupt-model")
