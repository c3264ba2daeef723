from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.random_texts import random_texts

import fastlstm
from fastlstm.config import ModelConfig
from fastlstm.data import Dataset
from fastlstm.errors import DataError, InputError, ModelNotFoundError
from fastlstm.inference import Classifier
from fastlstm.inference.classifier import CHUNK_TEXTS, GOLDEN_TEXTS
from fastlstm.serialization.classifier import SavedModel

MakeModel = Callable[..., SavedModel]

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
    assert three_classes.predict(texts) == [three_classes.labels[k] for k in probabilities.argmax(axis=1)]
    for text, row in zip(texts, probabilities, strict=True):
        assert np.array_equal(three_classes.predict_proba(text), row)
    np.testing.assert_allclose(probabilities.sum(axis=1, dtype=np.float64), 1, rtol=0, atol=1e-6)


def test_a_list_of_one_text_is_a_batch(classifier: Classifier) -> None:
    assert classifier.predict_proba(["not bad"]).shape == (1, 2)
    assert classifier.predict(["not bad"]) == [classifier.predict("not bad")]


def test_any_iterable_of_texts_is_a_batch(classifier: Classifier) -> None:
    texts = ["not bad", "Horrible film!"]

    def generated() -> Iterator[str]:
        yield from texts

    expected = classifier.predict_proba(texts)
    for batch in (tuple(texts), generated(), np.array(texts), dict.fromkeys(texts).keys()):
        assert np.array_equal(classifier.predict_proba(batch), expected)
    assert classifier.predict(generated()) == classifier.predict(texts)


def test_an_empty_list_is_an_empty_batch(three_classes: Classifier) -> None:
    assert three_classes.predict([]) == []
    assert three_classes.predict_proba([]).shape == (0, 3)


@pytest.mark.parametrize("text", ["", " \n", "<br />", "nobodyhasseenthis", "\0", "👍🏽"])
def test_a_text_without_a_known_word_has_a_prediction(classifier: Classifier, text: str) -> None:
    assert classifier.predict(text) in classifier.labels
    assert np.array_equal(classifier.predict_proba(text), classifier.predict_proba("unseen"))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["fine", 3], "text 1 of the batch is int; expected str"),
        (["fine", "fine", None], "text 2 of the batch is NoneType; expected str"),
        ([b"bytes"], "text 0 of the batch is bytes; expected str"),
        ([["a", "b"]], "text 0 of the batch is list; expected str"),
        (3, "got int; expected a text or a list of texts"),
        (None, "got NoneType; expected a text or a list of texts"),
        (b"bytes", "got bytes; expected a text or a list of texts"),
        ({"text": "fine"}, "got dict; expected a text or a list of texts"),
    ],
)
def test_what_is_not_text_is_told_with_its_position(
    classifier: Classifier, texts: list[str], expected: str
) -> None:
    for method in (classifier.predict, classifier.predict_proba):
        with pytest.raises(DataError) as caught:
            method(texts)
        assert expected in str(caught.value)
        assert "\n" not in str(caught.value)


def test_half_a_surrogate_pair_is_no_text(classifier: Classifier) -> None:
    with pytest.raises(DataError, match=r"text 1 of the batch"):
        classifier.predict(["fine", "\ud800"])
    with pytest.raises(DataError):
        classifier.predict("\ud800")


# To the last bit, a text's prediction is its own.


@pytest.mark.parametrize("texts", [2, 33, CHUNK_TEXTS + 7])
def test_the_batch_does_not_change_a_bit(classifier: Classifier, three_classes: Classifier, texts: int) -> None:
    batch = random_texts(texts)
    order = np.random.default_rng(1).permutation(texts)
    for model in (classifier, three_classes):
        together = model.predict_proba(batch)
        assert np.array_equal(model.predict_proba([batch[k] for k in order]), together[order])
        for k in range(0, texts, 17):
            assert np.array_equal(model.predict_proba(batch[k]), together[k])


@pytest.mark.parametrize("texts", [1, 7, 8, 9])
def test_chunks_do_not_change_a_bit(classifier: Classifier, monkeypatch: pytest.MonkeyPatch, texts: int) -> None:
    batch = random_texts(texts)
    expected = [classifier.predict_proba(text) for text in batch]
    monkeypatch.setattr("fastlstm.inference.classifier.CHUNK_TEXTS", 4)
    monkeypatch.setattr("fastlstm.inference.network.NUMPY_TEXTS", 3)
    assert np.array_equal(classifier.predict_proba(batch), expected)


SCRIPT = """
import hashlib, json, sys
import fastlstm

texts = json.loads(sys.stdin.read())
model = fastlstm.load(sys.argv[1])
print(hashlib.sha256(model.predict_proba(texts).tobytes()).hexdigest())
"""


@pytest.mark.parametrize("hidden_sizes", [(64, 32), (97, 67)])
def test_the_number_of_threads_does_not_change_a_bit(
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


def test_evaluating_compares_with_the_labels(three_classes: Classifier) -> None:
    texts = random_texts(30)
    labels = three_classes.predict(texts)
    report = three_classes.evaluate(Dataset(texts, labels, "here"))
    assert (report.texts, report.accuracy) == (30, 1)
    wrong = [three_classes.labels[(three_classes.labels.index(label) + 1) % 3] for label in labels]
    assert three_classes.evaluate(Dataset(texts, wrong, "here")).accuracy == 0


def test_a_file_can_be_evaluated(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(
        "text,label\nnot bad,positive\nHorrible film,negative\n", encoding="utf-8"
    )
    assert classifier.evaluate(tmp_path / "reviews.csv") == classifier.evaluate(str(tmp_path / "reviews.csv"))
    assert classifier.evaluate(tmp_path / "reviews.csv").texts == 2


def test_an_unknown_label_is_told_with_the_near_one(classifier: Classifier) -> None:
    records = Dataset(["fine", "fine"], ["positive", "positiv"], "here")
    with pytest.raises(DataError, match=r"text 2 of here has the label 'positiv'.*did you mean 'positive'\?"):
        classifier.evaluate(records)


def test_no_texts_cannot_be_evaluated(classifier: Classifier) -> None:
    with pytest.raises(DataError, match="here"):
        classifier.evaluate(Dataset([], [], "here"))


# Saving and loading.


def test_a_saved_classifier_predicts_the_same_to_the_last_bit(three_classes: Classifier, tmp_path: Path) -> None:
    three_classes.save(tmp_path / "model")
    back, texts = fastlstm.load(tmp_path / "model"), random_texts(70)
    assert back.labels == three_classes.labels == ("bad", "so so", "good")
    assert np.array_equal(back.predict_proba(texts), three_classes.predict_proba(texts))
    assert fastlstm.load(str(tmp_path / "model")).predict(texts) == three_classes.predict(texts)


def test_the_golden_probabilities_are_those_predicted(three_classes: Classifier, tmp_path: Path) -> None:
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


def test_a_taken_folder_is_written_over_only_when_asked(
    classifier: Classifier, three_classes: Classifier, tmp_path: Path
) -> None:
    classifier.save(tmp_path / "model")
    with pytest.raises(InputError, match="holds a model already"):
        three_classes.save(tmp_path / "model")
    assert fastlstm.load(tmp_path / "model").labels == classifier.labels
    three_classes.save(tmp_path / "model", overwrite=True)
    assert fastlstm.load(tmp_path / "model").labels == three_classes.labels


@pytest.mark.parametrize("overwrite", [False, True])
def test_something_else_is_never_written_over(classifier: Classifier, tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"memories")
    with pytest.raises(InputError, match="never written over"):
        classifier.save(tmp_path, overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_loading_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no such folder"):
        fastlstm.load(tmp_path / "model")


def test_a_classifier_can_be_pickled(three_classes: Classifier) -> None:
    back, texts = pickle.loads(pickle.dumps(three_classes)), random_texts(9)
    assert back.labels == three_classes.labels
    assert np.array_equal(back.predict_proba(texts), three_classes.predict_proba(texts))


def test_its_repr_names_the_labels(three_classes: Classifier) -> None:
    assert repr(three_classes).startswith("Classifier(labels=['bad', 'so so', 'good'], ModelConfig(")
