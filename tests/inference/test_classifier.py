"""`Classifier`: predicting, evaluating, saving and loading."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.ngram_models import with_ngrams
from tests.helpers.random_models import MakeModel
from tests.helpers.random_texts import random_texts

import fastlstm
from fastlstm.config import ModelConfig
from fastlstm.data import Dataset
from fastlstm.errors import DataError, InputError, ModelNotFoundError
from fastlstm.inference import Classifier
from fastlstm.inference.classifier import CHUNK_TEXTS
from fastlstm.inference.golden import GOLDEN_TEXTS

# A string is one text, a list is a batch.


def test_a_string_is_one_text(three_classes: Classifier) -> None:
    probabilities = three_classes.predict_proba("not bad")
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (3,)
    assert three_classes.predict("not bad") == three_classes.labels[int(probabilities.argmax())]


def test_a_list_is_a_batch(three_classes: Classifier) -> None:
    texts = ["not bad", "Horrible film!", "", "not bad"]
    probabilities = three_classes.predict_proba(texts)
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (4, 3)
    labels = [three_classes.labels[k] for k in probabilities.argmax(axis=1)]
    assert three_classes.predict(texts, label_unknown=True) == labels
    assert three_classes.predict(texts) == [*labels[:2], None, labels[3]]
    for text, row in zip(texts, probabilities, strict=True):
        assert np.array_equal(three_classes.predict_proba(text), row)
    np.testing.assert_allclose(probabilities.sum(axis=1, dtype=np.float64), 1, rtol=0, atol=1e-6)


def test_a_list_of_one_text_is_a_batch(classifier: Classifier) -> None:
    assert classifier.predict_proba(["not bad"]).shape == (1, 2)
    assert classifier.predict(["not bad"]) == [classifier.predict("not bad")]


def test_known_is_the_fraction_of_known_tokens(classifier: Classifier) -> None:
    texts = ["film", "film qqq", "qqq", "", " "]
    expected = [1.0, 0.5, 0.0, 0.0, 0.0]
    assert classifier.known(texts).tolist() == expected
    assert classifier.known(classifier.tokenize(texts)).tolist() == expected
    assert [classifier.known(text) for text in texts] == expected
    assert isinstance(classifier.known("film"), float)
    assert classifier.known([]).dtype == np.float64


def test_any_iterable_of_texts_is_a_batch(classifier: Classifier) -> None:
    texts = ["not bad", "Horrible film!"]

    def generate() -> Iterator[str]:
        yield from texts

    expected = classifier.predict_proba(texts)
    for batch in (tuple(texts), generate(), np.array(texts), iter(dict.fromkeys(texts))):
        assert np.array_equal(classifier.predict_proba(batch), expected)
    assert classifier.predict(generate()) == classifier.predict(texts)


def test_an_empty_list_is_an_empty_batch(three_classes: Classifier) -> None:
    batches: list[Any] = [[], three_classes.tokenize([])]
    for batch in batches:
        assert three_classes.predict(batch) == []
        assert three_classes.predict_proba(batch).shape == (0, 3)


def test_tokenized_texts_have_the_predictions_of_the_texts(make_model: MakeModel) -> None:
    classifier, texts = Classifier(with_ngrams(make_model())), random_texts(CHUNK_TEXTS + 7)
    tokenized = classifier.tokenize(texts)
    assert np.array_equal(classifier.predict_proba(tokenized), classifier.predict_proba(texts))
    assert classifier.predict(tokenized) == classifier.predict(texts)


@pytest.mark.parametrize("text", ["", " \n", "<br />", "nobodyhasseenthis", "\0", "👍🏽"])
def test_texts_without_known_words_have_no_label_unless_it_is_requested(classifier: Classifier, text: str) -> None:
    assert classifier.predict(text) is None
    assert classifier.predict(["film", text]) == [classifier.predict("film"), None]
    label = classifier.labels[int(classifier.choose(classifier.predict_proba([text]))[0])]
    assert classifier.predict(text, label_unknown=True) == label
    assert classifier.predict(["film", text], label_unknown=True)[1] == label
    assert classifier.predict(classifier.tokenize([text])) == [None]
    assert np.array_equal(classifier.predict_proba(text), classifier.predict_proba("unseen"))


@pytest.mark.parametrize("method", ["predict", "predict_proba", "tokenize"])
@pytest.mark.parametrize(
    ("texts", "position", "type_name"),
    [
        (["fine", 3], 1, "int"),
        ([b"bytes"], 0, "bytes"),
        ([["a", "b"]], 0, "list"),
        (3, None, "int"),
        (None, None, "NoneType"),
        (b"bytes", None, "bytes"),
    ],
)
def test_anything_but_texts_raises_data_error_with_its_position(
    classifier: Classifier, method: str, texts: Any, position: int | None, type_name: str
) -> None:
    with pytest.raises(DataError) as raised:
        getattr(classifier, method)(texts)
    assert (raised.value.code, raised.value.type) == ("not-a-text", type_name)
    assert raised.value.values.get("position") == position
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("texts", "position"), [(["fine", "\ud800"], 1), ("\ud800", 0)])
def test_a_lone_surrogate_raises_data_error(classifier: Classifier, texts: Any, position: int) -> None:
    with pytest.raises(DataError) as raised:
        classifier.predict(texts)
    assert (raised.value.code, raised.value.position) == ("invalid-unicode", position)


# The prediction for a text does not depend on its batch, to the last bit.


@pytest.mark.parametrize("texts", [2, 33, CHUNK_TEXTS + 7])
def test_predictions_do_not_depend_on_the_batch(
    classifier: Classifier, three_classes: Classifier, texts: int
) -> None:
    batch = random_texts(texts)
    order = np.random.default_rng(1).permutation(texts)
    for model in (classifier, three_classes):
        probabilities = model.predict_proba(batch)
        assert np.array_equal(model.predict_proba([batch[k] for k in order]), probabilities[order])
        for k in range(0, texts, 17):
            assert np.array_equal(model.predict_proba(batch[k]), probabilities[k])


@pytest.mark.parametrize("texts", [1, 7, 8, 9])
def test_predictions_do_not_depend_on_chunks(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch, texts: int
) -> None:
    batch = random_texts(texts)
    expected = [classifier.predict_proba(text) for text in batch]
    monkeypatch.setattr("fastlstm.inference.classifier.CHUNK_TEXTS", 4)
    monkeypatch.setattr("fastlstm.inference.features.NUMPY_BATCH_SIZE", 3)
    assert np.array_equal(classifier.predict_proba(batch), expected)


SCRIPT = """
import hashlib, json, sys
import fastlstm

texts = json.loads(sys.stdin.read())
model = fastlstm.load(sys.argv[1])
print(hashlib.sha256(model.predict_proba(texts).tobytes()).hexdigest())
"""


@pytest.mark.parametrize("hidden_sizes", [(64, 32), (97, 67)])
def test_predictions_do_not_depend_on_the_number_of_threads(
    make_model: MakeModel, tmp_path: Path, hidden_sizes: tuple[int, ...]
) -> None:
    config = ModelConfig(embedding_size=64, hidden_sizes=hidden_sizes, bidirectional=True, pooling="concat")
    Classifier(make_model(config, ("a", "b", "c"))).save(tmp_path / "model")
    texts = json.dumps(random_texts(40, longest=30))
    hashes = set()
    for threads in ("1", "2", "3"):
        names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(names, threads)}
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / "model")]
        done = subprocess.run(
            command, input=texts, env=environment, check=True, capture_output=True, encoding="utf-8"
        )
        hashes.add(done.stdout)
    assert len(hashes) == 1


# Evaluating.


def test_evaluate_compares_predictions_with_labels(three_classes: Classifier) -> None:
    texts = random_texts(30)
    labels = three_classes.predict(texts, label_unknown=True)
    report = three_classes.evaluate(Dataset(texts, labels, "here"))
    assert (report.texts, report.accuracy) == (30, 1)
    wrong = [three_classes.labels[(three_classes.labels.index(label) + 1) % 3] for label in labels]
    assert three_classes.evaluate(Dataset(texts, wrong, "here")).accuracy == 0


def test_evaluate_reads_a_file(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(
        "text,label\nnot bad,positive\nHorrible film,negative\n", encoding="utf-8"
    )
    assert classifier.evaluate(tmp_path / "reviews.csv") == classifier.evaluate(str(tmp_path / "reviews.csv"))
    assert classifier.evaluate(tmp_path / "reviews.csv").texts == 2


def test_evaluate_raises_data_error_for_an_unknown_label(classifier: Classifier) -> None:
    dataset = Dataset(["fine", "fine"], ["positive", "positiv"], "here")
    with pytest.raises(DataError) as raised:
        classifier.evaluate(dataset)
    assert (raised.value.code, raised.value.label, raised.value.location) == ("unknown-label", "positiv", 2)
    assert raised.value.source == "here"
    assert "'positive'" in str(raised.value)


def test_evaluate_raises_data_error_for_an_empty_dataset(classifier: Classifier) -> None:
    with pytest.raises(DataError) as raised:
        classifier.evaluate(Dataset([], [], "here"))
    assert (raised.value.code, raised.value.source) == ("empty-dataset", "here")


# Saving and loading.


def test_a_saved_classifier_predicts_the_same_to_the_last_bit(three_classes: Classifier, tmp_path: Path) -> None:
    three_classes.save(tmp_path / "model")
    loaded, texts = fastlstm.load(tmp_path / "model"), random_texts(70)
    assert loaded.labels == three_classes.labels == ("bad", "so so", "good")
    assert np.array_equal(loaded.predict_proba(texts), three_classes.predict_proba(texts))
    assert fastlstm.load(str(tmp_path / "model")).predict(texts) == three_classes.predict(texts)


def test_golden_probabilities_are_those_predicted(three_classes: Classifier, tmp_path: Path) -> None:
    three_classes.save(tmp_path / "model")
    golden = json.loads((tmp_path / "model" / "golden.json").read_bytes())
    assert [entry["text"] for entry in golden] == list(GOLDEN_TEXTS)
    expected = fastlstm.load(tmp_path / "model").predict_proba(GOLDEN_TEXTS)
    assert np.array_equal(np.array([entry["probabilities"] for entry in golden], np.float32), expected)


def test_saving_twice_writes_the_same_bytes(three_classes: Classifier, tmp_path: Path) -> None:
    for name in ("one", "two"):
        three_classes.save(tmp_path / name, extras={"notes.txt": b"notes"})
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two")]
    assert files[0] == files[1]
    assert files[0]["notes.txt"] == b"notes"


def test_a_model_is_replaced_only_with_overwrite(
    classifier: Classifier, three_classes: Classifier, tmp_path: Path
) -> None:
    classifier.save(tmp_path / "model")
    with pytest.raises(InputError) as raised:
        three_classes.save(tmp_path / "model")
    assert raised.value.code == "output-exists"
    assert fastlstm.load(tmp_path / "model").labels == classifier.labels
    three_classes.save(tmp_path / "model", overwrite=True)
    assert fastlstm.load(tmp_path / "model").labels == three_classes.labels


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_is_not_a_model_is_never_replaced(
    classifier: Classifier, tmp_path: Path, overwrite: bool
) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"memories")
    with pytest.raises(InputError) as raised:
        classifier.save(tmp_path, overwrite=overwrite)
    assert raised.value.code == "output-not-a-model"
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_loading_a_missing_folder_raises_model_not_found_error(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        fastlstm.load(tmp_path / "model")


def test_a_classifier_can_be_pickled(three_classes: Classifier) -> None:
    copy, texts = pickle.loads(pickle.dumps(three_classes)), random_texts(9)
    assert copy.labels == three_classes.labels
    assert np.array_equal(copy.predict_proba(texts), three_classes.predict_proba(texts))


def test_repr_contains_the_labels(three_classes: Classifier) -> None:
    assert repr(three_classes).startswith("Classifier(labels=['bad', 'so so', 'good'], ModelConfig(")


def test_report_on_a_file_has_the_notes_about_its_rows(tmp_path: Path) -> None:
    rows = "".join(f"fine film {number},positive\n" for number in range(20))
    (tmp_path / "reviews.csv").write_text(f"text,label\n{rows},negative\n", encoding="utf-8")
    report = fastlstm.load().evaluate(tmp_path / "reviews.csv")
    assert report.texts == 20
    assert next(note.code for note in report.notes()) == "rows-skipped"
