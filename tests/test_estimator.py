"""`LSTMClassifier` keeps scikit-learn's conventions."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import fastlstm
from fastlstm import LSTMClassifier
from fastlstm.config import ModelConfig, TrainingConfig, option_fields
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier

TEXTS = [f"{word} film number {i}" for i in range(20) for word in ("great", "dull", "plain")]
NAMES = ["good", "bad", "so-so"] * 20


def small(**options: Any) -> LSTMClassifier:
    settings: dict[str, Any] = {
        "embedding_size": 5,
        "hidden_sizes": (7,),
        "epochs": 15,
        "batch_size": 8,
        "learning_rate": 0.03,
        "random_state": 0,
    }
    return LSTMClassifier(**{**settings, **options})


@pytest.mark.parametrize(
    "labels", [NAMES, [{"good": 10, "bad": 2, "so-so": -1}[name] for name in NAMES]], ids=["names", "numbers"]
)
def test_labels_come_back_as_they_came(labels: list[Any]) -> None:
    estimator = small().fit(TEXTS, np.array(labels))
    assert estimator.classes_.tolist() == sorted(set(labels))
    assert estimator.predict(TEXTS).dtype == estimator.classes_.dtype
    assert estimator.score(TEXTS, labels) == 1.0
    probabilities = estimator.predict_proba(TEXTS)
    assert probabilities.shape == (60, 3)
    assert (estimator.classes_[probabilities.argmax(axis=1)] == labels).all()


def test_a_seed_makes_fits_repeatable() -> None:
    first, again, other = (small(random_state=seed).fit(TEXTS, NAMES).predict_proba(TEXTS) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_it_clones_with_its_parameters() -> None:
    estimator = small(dropout=0.1)
    copy = clone(estimator)
    assert copy.get_params() == estimator.get_params()
    assert copy.set_params(epochs=3).epochs == 3
    assert estimator.epochs == 15


def test_it_works_in_cross_validation_grid_search_and_pipelines() -> None:
    texts, labels = np.array(TEXTS), np.array(NAMES)
    assert cross_val_score(small(), texts, labels, cv=3).mean() > 0.9
    search = GridSearchCV(small(), {"hidden_sizes": [(3,), (7,)]}, cv=2).fit(texts, labels)
    assert search.best_score_ > 0.8
    pipeline = make_pipeline(FunctionTransformer(np.char.upper), small())
    assert pipeline.fit(texts, labels).score(texts, labels) == 1.0


def test_before_fit_it_says_so() -> None:
    for ask in (small().predict, small().predict_proba):
        with pytest.raises(NotFittedError):
            ask(TEXTS)
    with pytest.raises(NotFittedError):
        small().save("nowhere")


def test_a_fitted_one_pickles_and_saves_for_load(tmp_path: Path) -> None:
    estimator = small().fit(TEXTS, NAMES)
    copy = pickle.loads(pickle.dumps(estimator))
    assert (copy.predict_proba(TEXTS) == estimator.predict_proba(TEXTS)).all()
    estimator.save(tmp_path / "model")
    assert fastlstm.load(tmp_path / "model").predict(TEXTS) == estimator.predict(TEXTS).tolist()


def test_bad_input_is_a_value_error_that_says_what_to_do() -> None:
    with pytest.raises(DataError) as raised:
        small().fit(TEXTS, ["good"] * 60)
    assert raised.value.code == "one-class"
    with pytest.raises(DataError, match="60 texts and 59 labels"):
        small().fit(TEXTS, NAMES[1:])
    with pytest.raises(DataError, match="expected a list of texts"):
        small().fit("a text", ["good"])
    with pytest.raises(DataError, match="expected a list of texts"):
        small().fit(np.array([TEXTS, TEXTS]), NAMES)
    with pytest.raises(DataError, match=r"row 1 .*empty"):
        small().fit(["fine", " "], ["good", "bad"])
    with pytest.raises(OptionError, match="did you mean 'max'"):
        small(pooling="maxx").fit(TEXTS, NAMES)
    with pytest.raises(OptionError, match="unknown preset 'tutorail'"):
        small(preset="tutorail").fit(TEXTS, NAMES)
    assert issubclass(DataError, ValueError)


def test_labels_that_only_look_different_are_refused() -> None:
    with pytest.raises(DataError, match="differ in spaces or type alone"):
        small().fit(TEXTS, ["a ", " a", "b"] * 20)
    with pytest.raises(DataError, match="requires y to be passed"):
        small().fit(TEXTS, None)  # type: ignore[arg-type]  # the mistake under test


def test_its_probabilities_are_fitted_unless_told_otherwise() -> None:
    fitted, raw = (
        small(validation_fraction=0.5, calibration=way).fit(TEXTS * 2, NAMES * 2) for way in (None, "none")
    )
    assert raw.classifier_.saved.temperature == 1.0
    temperature = fitted.classifier_.saved.temperature
    output = [of.classifier_.saved.weights["output.weight"] for of in (fitted, raw)]
    assert temperature != 1.0 or not np.array_equal(output[0], output[1])
    few = small().fit(TEXTS, NAMES)
    assert few.classifier_.saved.temperature == 1.0


@pytest.mark.parametrize("labels", [["10", "9"], [10, 9], ["b", "a"], [False, True]])
def test_two_classes_are_told_apart_by_the_threshold(labels: list[Any]) -> None:
    names = np.array([labels[i % 2] for i in range(60)])
    texts = [f"{'great' if i % 2 else 'dull'} film" for i in range(60)]
    estimator = small(threshold_metric="f1").fit(texts, names)
    model = estimator.classifier_
    assert estimator.predict(texts).tolist() == names.tolist()
    for threshold, position in ((0.0, 1), (1.0, 0)):
        estimator.classifier_ = Classifier(dataclasses.replace(model.saved, threshold=threshold))
        came = estimator.predict(texts)
        assert came.dtype == estimator.classes_.dtype
        assert {str(label).lower() for label in came} == {model.labels[position]}
        assert np.array_equal(estimator.predict_proba(texts).sum(axis=1).round(5), np.ones(60))


def test_a_threshold_for_three_classes_is_refused() -> None:
    with pytest.raises(OptionError, match="threshold-metric is 'f1', and the training texts have 3 classes"):
        small(threshold_metric="f1").fit(TEXTS, NAMES)


def test_every_option_of_the_configurations_is_a_parameter() -> None:
    fields = {f.name for kind in (ModelConfig, TrainingConfig) for f in option_fields(kind)}
    assert fields - {"seed"} <= set(small().get_params())


def test_numpy_numbers_are_numbers() -> None:
    search = GridSearchCV(small(), {"epochs": np.arange(1, 3), "dropout": np.array([0.1], np.float32)}, cv=2)
    assert search.fit(np.array(TEXTS), np.array(NAMES)).best_params_["epochs"] in (1, 2)


def test_it_begins_from_a_language_model(tmp_path: Path) -> None:
    fastlstm.train_language_model(
        TEXTS, tmp_path / "lm", embedding_size=5, hidden_sizes=(7,), epochs=1, streams=2, window=8, validation=0.2
    )
    estimator = LSTMClassifier(encoder=tmp_path / "lm", epochs=2, random_state=0).fit(TEXTS, NAMES)
    config = estimator.classifier_.saved.config
    assert (config.embedding_size, config.hidden_sizes) == (5, (7,))
    assert clone(estimator).get_params()["encoder"] == tmp_path / "lm"
    with pytest.raises(OptionError, match="hidden-sizes was given with an encoder"):
        LSTMClassifier(encoder=tmp_path / "lm", hidden_sizes=(3,)).fit(TEXTS, NAMES)
