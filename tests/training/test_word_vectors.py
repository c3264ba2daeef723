"""Pretrained word vectors as the first embeddings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from tests.helpers.training import make_dataset

import fastlstm
from fastlstm.errors import OptionError, ResumeError
from fastlstm.notes import Note
from fastlstm.training.events import EpochResult

VECTORS = {"film": [1.0, -2.0, 3.0], "good": [0.25, 0.5, 0.75], "elsewhere": [9.0, 9.0, 9.0]}
SMALL: dict[str, Any] = {
    "preset": "tutorial",
    "hidden_sizes": (4,),
    "epochs": 1,
    "learning_rate": 1e-7,
    "baseline": False,
    "validation": 0.2,
}
"""A learning rate that leaves the embeddings as they are."""


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.vec"
    path.write_text("".join(f"{word} {' '.join(map(str, values))}\n" for word, values in VECTORS.items()))
    return path


def embedding(model: fastlstm.Classifier, word: str) -> Any:
    return model.saved.weights["embedding.weight"][model.saved.tokenizer.token_to_id(word)]


def test_known_words_start_from_their_vectors(vectors: Path, tmp_path: Path) -> None:
    data, events = make_dataset(60), list[object]()
    result = fastlstm.train(data, tmp_path / "model", word_vectors=vectors, watch=events.append, **SMALL)
    model = result.classifier
    assert model.saved.config.embedding_size == 3
    for word in ("film", "good"):
        np.testing.assert_allclose(embedding(model, word), VECTORS[word], atol=1e-4)
    plain = fastlstm.train(data, tmp_path / "plain", embedding_size=3, **SMALL).classifier
    np.testing.assert_allclose(embedding(model, "bad"), embedding(plain, "bad"), atol=1e-4)
    (note,) = [event for event in events if isinstance(event, Note) and event.code == "word-vectors"]
    assert "2 of" in note.text
    assert model.saved.training["word_vectors"] == "vectors.vec"
    assert "vectors.vec" in (tmp_path / "model" / "README.md").read_text()


def test_pretraining_and_folds_start_from_the_vectors(vectors: Path, tmp_path: Path) -> None:
    options = {**SMALL, "word_vectors": vectors, "pretraining_epochs": 1}
    pretrained = fastlstm.train(make_dataset(60), tmp_path / "pretrained", **options).classifier
    assert np.abs(embedding(pretrained, "film") - VECTORS["film"]).max() < 0.5
    folds = {**SMALL, "word_vectors": vectors, "validation": "cross"}
    np.testing.assert_allclose(
        embedding(fastlstm.train(make_dataset(60), tmp_path / "folds", **folds).classifier, "film"),
        VECTORS["film"],
        atol=1e-4,
    )


def test_a_fold_without_a_known_word_is_trained(tmp_path: Path) -> None:
    data, path = make_dataset(60), tmp_path / "vectors.vec"
    data.texts[0] += " zebra"
    path.write_text("zebra 1.0 2.0\n")
    model = fastlstm.train(data, tmp_path / "m", word_vectors=path, **{**SMALL, "validation": "cross"}).classifier
    np.testing.assert_allclose(embedding(model, "zebra"), [1.0, 2.0], atol=1e-4)


def test_estimator_starts_from_the_vectors(vectors: Path) -> None:
    data = make_dataset(60)
    estimator = clone(
        fastlstm.LSTMClassifier(
            "tutorial", word_vectors=vectors, hidden_sizes=(4,), epochs=1, learning_rate=1e-7, random_state=0
        )
    ).fit(data.texts, data.labels)
    np.testing.assert_allclose(embedding(estimator.classifier_, "film"), VECTORS["film"], atol=1e-4)


def test_texts_are_read_as_words(vectors: Path, tmp_path: Path) -> None:
    texts = ["หนังดีมาก film", "หนังไม่ดีเลย good"] * 20
    data = fastlstm.Dataset(texts, ["a", "b"] * 20, "Thai")
    options = {**SMALL, "preset": "small", "validation": "cross", "embedding_size": None}
    plain = fastlstm.train(data, tmp_path / "plain", **options).classifier
    model = fastlstm.train(data, tmp_path / "model", word_vectors=vectors, tokens="auto", **options).classifier
    assert (plain.saved.config.tokens, model.saved.config.tokens) == ("unigram", "words")


def test_a_resumed_run_needs_the_same_vectors(vectors: Path, tmp_path: Path) -> None:
    def stop(event: object) -> None:
        if isinstance(event, EpochResult):
            raise KeyboardInterrupt

    options = {**SMALL, "word_vectors": vectors, "epochs": 2}
    with pytest.raises(KeyboardInterrupt):
        fastlstm.train(make_dataset(60), tmp_path / "model", watch=stop, **options)
    content = vectors.read_text()
    vectors.write_text(content.replace("-2.0", "-2.5"))
    with pytest.raises(ResumeError) as raised:
        fastlstm.train(make_dataset(60), tmp_path / "model", resume=True, **options)
    assert raised.value.setting == "word vectors"
    vectors.write_text(content)
    fastlstm.train(make_dataset(60), tmp_path / "model", resume=True, **options)
    assert json.loads((tmp_path / "model" / "config.json").read_bytes())["training"]["epochs"] == 2


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"embedding_size": 4}, "word-vector-size"),
        ({"encoder": "english"}, "conflicting-options"),
        ({"tokens": "bpe"}, "conflicting-options"),
        ({"budget": "10s", "preset": None, "epochs": None}, "conflicting-options"),
        ({"word_vectors": 3}, "bad-option-value"),
    ],
)
def test_options_that_exclude_word_vectors(
    vectors: Path, tmp_path: Path, options: dict[str, Any], code: str
) -> None:
    with pytest.raises(OptionError) as raised:
        fastlstm.train(make_dataset(20), tmp_path / "model", **{"word_vectors": vectors, **options})
    assert raised.value.code == code
