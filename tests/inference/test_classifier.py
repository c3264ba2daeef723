from __future__ import annotations

import dataclasses
import json
import math
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastlstm
from fastlstm.config import ModelConfig
from fastlstm.errors import DataError, InputError, ModelNotFoundError, OptionError
from fastlstm.inference import Classifier
from fastlstm.inference.classifier import CHUNK_TEXTS
from fastlstm.inference.golden import GOLDEN_TEXTS
from fastlstm.inference.model_card import model_card
from fastlstm.kernel import Found, find
from fastlstm.kernel.abi import load as load_library
from fastlstm.kernel.native import Kernel
from fastlstm.records import Records
from fastlstm.saved_model import SavedModel

MakeModel = Callable[..., SavedModel]

WORDS = [
    "this",
    "movie",
    "film",
    "was",
    "really",
    "not",
    "bad",
    "good",
    "horrible",
    ",",
    ".",
    "!",
    "fantastic",
    "很",
    "unseen",
]


def random_texts(texts: int, longest: int = 50, seed: int = 0) -> list[str]:
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(WORDS, generator.integers(0, longest))) for _ in range(texts)]


@pytest.fixture(scope="module")
def classifier(tiny_model: SavedModel) -> Classifier:
    return Classifier(tiny_model)


@pytest.fixture(scope="module")
def three_classes(make_model: MakeModel) -> Classifier:
    config = ModelConfig(embedding_size=5, hidden_sizes=(4,), bidirectional=True, pooling="concat", max_tokens=20)
    return Classifier(make_model(config, ("bad", "so so", "good"), seed=4, temperature=1.7))


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
    monkeypatch.setattr("fastlstm.inference.features.NUMPY_TEXTS", 3)
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
    report = three_classes.evaluate(Records(texts, labels, "here"))
    assert (report.texts, report.accuracy) == (30, 1)
    wrong = [three_classes.labels[(three_classes.labels.index(label) + 1) % 3] for label in labels]
    assert three_classes.evaluate(Records(texts, wrong, "here")).accuracy == 0


def test_a_file_can_be_evaluated(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(
        "text,label\nnot bad,positive\nHorrible film,negative\n", encoding="utf-8"
    )
    assert classifier.evaluate(tmp_path / "reviews.csv") == classifier.evaluate(str(tmp_path / "reviews.csv"))
    assert classifier.evaluate(tmp_path / "reviews.csv").texts == 2


def test_an_unknown_label_is_told_with_the_near_one(classifier: Classifier) -> None:
    records = Records(["fine", "fine"], ["positive", "positiv"], "here")
    with pytest.raises(DataError, match=r"text 2 of here has the label 'positiv'.*did you mean 'positive'\?"):
        classifier.evaluate(records)


def test_no_texts_cannot_be_evaluated(classifier: Classifier) -> None:
    with pytest.raises(DataError, match="here"):
        classifier.evaluate(Records([], [], "here"))


# The decision threshold of two classes.


@pytest.fixture(scope="module")
def cautious(make_model: MakeModel) -> Classifier:
    """A model whose threshold is above every probability of its second class."""
    return Classifier(make_model(threshold=0.99))


def test_the_saved_threshold_decides_and_the_probabilities_stay(
    cautious: Classifier, classifier: Classifier, tmp_path: Path
) -> None:
    texts = random_texts(30)
    probabilities = cautious.predict_proba(texts)
    assert np.array_equal(probabilities, classifier.predict_proba(texts))
    assert "positive" in classifier.predict(texts)
    assert set(cautious.predict(texts)) == {"negative"}
    assert cautious.predict(texts[0]) == "negative"
    cautious.save(tmp_path / "model")
    loaded = fastlstm.load(tmp_path / "model")
    assert loaded.predict(texts) == cautious.predict(texts)
    assert "predicts `positive` from the probability 0.99 on" in (tmp_path / "model" / "README.md").read_text()
    assert "from the probability" not in model_card(classifier.model)


def test_a_threshold_can_be_given_instead_and_is_met_by_a_probability_as_high(cautious: Classifier) -> None:
    texts = random_texts(30)
    second = cautious.predict_proba(texts)[:, 1]
    for threshold in (
        0,
        0.5,
        float(second[3]),
        float(np.nextafter(second[3], np.float32(1))),
        1.0,
        np.float32(0.4),
    ):
        expected = ["positive" if p >= threshold else "negative" for p in second]
        assert cautious.predict(texts, threshold=threshold) == expected
        chosen = cautious.choose(cautious.predict_proba(texts), threshold=threshold)
        assert [cautious.labels[k] for k in chosen] == expected
        records = Records(texts, expected, "here")
        assert cautious.evaluate(records, threshold=threshold).accuracy == 1
    assert cautious.predict(texts[3], threshold=float(second[3])) == "positive"
    assert cautious.predict([], threshold=0.3) == []


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan, math.inf, "0.5", True, [0.5]])
def test_a_threshold_that_is_no_probability_is_refused(classifier: Classifier, threshold: Any) -> None:
    records = Records(["fine"], ["positive"], "here")
    for ask in (
        lambda: classifier.predict("fine", threshold=threshold),
        lambda: classifier.predict(["fine"], threshold=threshold),
        lambda: classifier.choose(np.zeros((1, 2), np.float32), threshold=threshold),
        lambda: classifier.evaluate(records, threshold=threshold),
    ):
        with pytest.raises(OptionError, match=r"^threshold is .*; expected a number from 0 to 1$"):
            ask()


def test_more_than_two_classes_have_no_threshold(three_classes: Classifier) -> None:
    with pytest.raises(OptionError, match="the model has 3 classes; only a model of two has one"):
        three_classes.predict("fine", threshold=0.3)


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


# Less than float32.


@pytest.fixture(params=["bfloat16", "int8"])
def precision(request: pytest.FixtureRequest) -> str:
    kernel = find().kernel
    if kernel is None or not kernel.has(request.param):
        pytest.skip(f"this machine has no {request.param}")
    return str(request.param)


def test_rounded_products_are_near_and_do_not_depend_on_the_batch(
    three_classes: Classifier, precision: str, tmp_path: Path
) -> None:
    three_classes.save(tmp_path / "model")
    texts = random_texts(50)
    rounded = fastlstm.load(tmp_path / "model", precision=precision)
    together = rounded.predict_proba(texts)
    np.testing.assert_allclose(together, three_classes.predict_proba(texts), atol=0.05)
    assert not np.array_equal(together, three_classes.predict_proba(texts))
    for text, row in zip(texts, together, strict=True):
        assert np.array_equal(rounded.predict_proba(text), row)
    again = pickle.loads(pickle.dumps(rounded))
    assert np.array_equal(again.predict_proba(texts), together)


def test_an_unknown_precision_is_refused(three_classes: Classifier) -> None:
    with pytest.raises(OptionError, match=r"unknown precision 'int9'; did you mean 'int8'\? known: "):
        Classifier(three_classes.model, "int9")


@pytest.mark.parametrize(("isa", "why"), [(None, "no compiled kernel"), ("v2", "the kernel runs v2")])
def test_a_precision_that_the_machine_lacks_is_refused(
    three_classes: Classifier, isa: str | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = find()
    if isa is not None and (there.path is None or there.kernel is None or there.kernel.isa == "neon"):
        pytest.skip("no kernel for x86-64 here")
    kernel = None if isa is None or there.path is None else Kernel(load_library(there.path), isa)
    monkeypatch.setattr("fastlstm.inference.network.find", lambda: Found(kernel, "", None))
    with pytest.raises(OptionError, match=rf"^int8 was asked .* AVX512-VNNI; .*{why}.*; it has float32$"):
        Classifier(three_classes.model, "int8")


def test_its_repr_names_the_labels(three_classes: Classifier) -> None:
    assert repr(three_classes).startswith("Classifier(labels=['bad', 'so so', 'good'], ModelConfig(")


def test_the_model_card_says_what_the_model_is(three_classes: Classifier, tmp_path: Path) -> None:
    training = {
        "data": {"train": "reviews.csv", "train_texts": 12_345, "validation_texts": 1000},
        "results": {
            "evaluated_on": "test.csv",
            "texts": 500,
            "accuracy": 0.8765,
            "macro_f1": 0.8712,
            "loss": 0.3,
            "calibration_error": 0.0123,
        },
        "baseline": {"name": "TF-IDF", "accuracy": 0.87},
    }
    Classifier(dataclasses.replace(three_classes.model, training=training)).save(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    for part in ("`bad`, `so so`, `good`", "both directions", "12,345", "reviews.csv", "87.65%", "1.23%", "TF-IDF"):
        assert part in card


def test_the_model_card_of_an_untrained_model_names_its_labels(classifier: Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "`negative`, `positive`" in card
    assert "one direction" in card
    assert "How good it is" not in card
