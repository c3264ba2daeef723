"""`LSTMClassifier` follows the conventions of scikit-learn."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import fastlstm
from fastlstm import LSTMClassifier
from fastlstm.config import ModelConfig, TrainingConfig, option_fields
from fastlstm.errors import DataError, OptionError, UnknownTextsWarning
from fastlstm.inference import Classifier

TEXTS = [f"{word} film number {i}" for i in range(20) for word in ("great", "dull", "plain")]
NAMES = ["good", "bad", "so-so"] * 20


def make_estimator(**options: Any) -> LSTMClassifier:
    """Return an estimator that is fitted in less than a second."""
    defaults: dict[str, Any] = {
        "embedding_size": 5,
        "hidden_sizes": (7,),
        "epochs": 15,
        "batch_size": 8,
        "learning_rate": 0.03,
        "validation_fraction": 0.2,
        "random_state": 0,
    }
    return LSTMClassifier(**{**defaults, **options})


@pytest.mark.parametrize(
    "labels", [NAMES, [{"good": 10, "bad": 2, "so-so": -1}[name] for name in NAMES]], ids=["names", "numbers"]
)
def test_predictions_have_the_type_and_values_of_the_labels(labels: list[Any]) -> None:
    estimator = make_estimator().fit(TEXTS, np.array(labels))
    assert estimator.classes_.tolist() == sorted(set(labels))
    assert estimator.predict(TEXTS).dtype == estimator.classes_.dtype
    assert estimator.score(TEXTS, labels) == 1.0
    probabilities = estimator.predict_proba(TEXTS)
    assert probabilities.shape == (60, 3)
    assert (estimator.classes_[probabilities.argmax(axis=1)] == labels).all()


def test_random_state_determines_the_result() -> None:
    first, same, other = (
        make_estimator(random_state=seed).fit(TEXTS, NAMES).predict_proba(TEXTS) for seed in (1, 1, 2)
    )
    assert (first == same).all()
    assert (first != other).any()


def test_clone_has_the_same_parameters() -> None:
    estimator = make_estimator(dropout=0.1)
    copy = clone(estimator)
    assert copy.get_params() == estimator.get_params()
    assert copy.set_params(epochs=3).epochs == 3
    assert estimator.epochs == 15


def test_cross_validation_grid_search_and_pipelines_work() -> None:
    texts, labels = np.array(TEXTS), np.array(NAMES)
    assert cross_val_score(make_estimator(), texts, labels, cv=3).mean() > 0.9
    search = GridSearchCV(make_estimator(), {"hidden_sizes": [(3,), (7,)]}, cv=2).fit(texts, labels)
    assert search.best_score_ > 0.8
    pipeline = make_pipeline(FunctionTransformer(np.char.upper), make_estimator())
    assert pipeline.fit(texts, labels).score(texts, labels) == 1.0


@pytest.mark.parametrize("method", ["predict", "predict_proba", "save"])
def test_unfitted_estimator_raises_not_fitted_error(method: str) -> None:
    with pytest.raises(NotFittedError):
        getattr(make_estimator(), method)("nowhere" if method == "save" else TEXTS)


def test_fitted_estimator_is_pickled_and_saved(tmp_path: Path) -> None:
    estimator = make_estimator().fit(TEXTS, NAMES)
    copy = pickle.loads(pickle.dumps(estimator))
    assert (copy.predict_proba(TEXTS) == estimator.predict_proba(TEXTS)).all()
    estimator.save(tmp_path / "model")
    assert fastlstm.load(tmp_path / "model").predict(TEXTS) == estimator.predict(TEXTS).tolist()


@pytest.mark.parametrize(
    ("texts", "labels", "code"),
    [
        (TEXTS, ["good"] * 60, "one-class"),
        (TEXTS, NAMES[1:], "length-mismatch"),
        ("a text", ["good"], "not-a-batch"),
        (np.array([TEXTS, TEXTS]), NAMES, "not-a-batch"),
        (["fine", " "], ["good", "bad"], "empty-text"),
        (TEXTS, ["a ", " a", "b"] * 20, "ambiguous-labels"),
        (TEXTS, None, "no-labels"),
    ],
)
def test_bad_texts_or_labels_raise_data_error(texts: Any, labels: Any, code: str) -> None:
    with pytest.raises(DataError) as raised:
        make_estimator().fit(texts, labels)
    assert raised.value.code == code
    assert isinstance(raised.value, ValueError)


def test_error_names_the_row() -> None:
    with pytest.raises(DataError) as raised:
        make_estimator().fit(["fine", " "], ["good", "bad"])
    assert raised.value.location == 1
    with pytest.raises(DataError) as raised:
        make_estimator().fit(TEXTS, NAMES[1:])
    assert (raised.value.texts, raised.value.labels) == (60, 59)


def test_missing_labels_raise_the_message_of_scikit_learn() -> None:
    """scikit-learn's own checks of estimators look for these words."""
    with pytest.raises(DataError, match="requires y to be passed, but the target y is None"):
        make_estimator().fit(TEXTS, None)  # type: ignore[arg-type]  # the mistake under test


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"pooling": "maxx"}, "bad-option-value"),
        ({"preset": "tutorail"}, "unknown-preset"),
        ({"threshold_metric": "f1"}, "threshold-needs-two-classes"),
    ],
)
def test_bad_option_raises_option_error(options: dict[str, Any], code: str) -> None:
    with pytest.raises(OptionError) as raised:
        make_estimator(**options).fit(TEXTS, NAMES)
    assert raised.value.code == code


def test_probabilities_are_calibrated_by_default() -> None:
    noisy = [NAMES[i - 1] if i % 5 == 0 else name for i, name in enumerate(NAMES)]  # no model can be certain
    calibrated, raw = (
        make_estimator(validation_fraction=0.5, ngrams=0, calibration=method, epochs=20, learning_rate=0.1)
        .fit(TEXTS * 2, noisy * 2)
        .classifier_.saved
        for method in (None, "none")
    )
    assert raw.temperature == 1.0
    equal = np.array_equal(calibrated.weights["output.weight"], raw.weights["output.weight"])
    assert calibrated.temperature != 1.0 or not equal
    assert make_estimator().fit(TEXTS, NAMES).classifier_.saved.temperature == 1.0  # too few texts


@pytest.mark.parametrize("labels", [["10", "9"], [10, 9], ["b", "a"], [False, True]])
def test_threshold_decides_between_two_classes(labels: list[Any]) -> None:
    names = np.array([labels[i % 2] for i in range(60)])
    texts = [f"{'great' if i % 2 else 'dull'} film" for i in range(60)]
    estimator = make_estimator(threshold_metric="f1").fit(texts, names)
    model = estimator.classifier_
    assert estimator.predict(texts).tolist() == names.tolist()
    for threshold, position in ((0.0, 1), (1.0, 0)):
        estimator.classifier_ = Classifier(dataclasses.replace(model.saved, threshold=threshold))
        predicted = estimator.predict(texts)
        assert predicted.dtype == estimator.classes_.dtype
        assert {str(label).lower() for label in predicted} == {model.labels[position]}
        assert np.array_equal(estimator.predict_proba(texts).sum(axis=1).round(5), np.ones(60))


def test_every_configuration_field_is_a_parameter() -> None:
    fields = {field.name for kind in (ModelConfig, TrainingConfig) for field in option_fields(kind)}
    assert fields - {"seed"} <= set(make_estimator().get_params())


def test_numpy_scalars_are_accepted() -> None:
    grid = {"epochs": np.arange(1, 3), "dropout": np.array([0.1], np.float32)}
    search = GridSearchCV(make_estimator(), grid, cv=2).fit(np.array(TEXTS), np.array(NAMES))
    assert search.best_params_["epochs"] in (1, 2)


@pytest.mark.parametrize("sizes", [np.array([7]), [7], (7,), [np.int64(7)], np.array([7], np.int16)])
def test_hidden_sizes_may_be_an_array_or_a_list(sizes: Any) -> None:
    estimator = make_estimator(hidden_sizes=sizes, epochs=1).fit(TEXTS, NAMES)
    assert estimator.classifier_.saved.config.hidden_sizes == (7,)
    assert clone(estimator).get_params()["hidden_sizes"] is not None


def test_every_option_may_be_a_numpy_scalar() -> None:
    options = {
        "epochs": np.int32(1), "dropout": np.float32(0.5), "bidirectional": np.bool_(True), "ngrams": np.int64(0),
        "truncate": np.str_("end"), "patience": np.int8(3), "learning_rate": np.float64(0.01),
        "validation_fraction": np.float32(0.25), "random_state": np.int64(3),
    }  # fmt: skip
    config = make_estimator(**options).fit(TEXTS, NAMES).classifier_.saved.config
    assert (config.bidirectional, config.dropout) == (True, 0.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_sizes", np.array([[7]])),
        ("hidden_sizes", np.array([])),
        ("hidden_sizes", 7),
        ("hidden_sizes", np.array(7)),
        ("hidden_sizes", [7.5]),
        ("epochs", np.float64(1.5)),
        ("epochs", np.array([1])),
        ("bidirectional", np.int64(1)),
        ("validation_fraction", "0.2"),
        ("validation_fraction", [0.2]),
        ("validation_fraction", np.array([0.2])),
        ("random_state", "zero"),
        ("random_state", -1),
    ],
)
def test_values_of_another_type_raise_option_error(name: str, value: Any) -> None:
    with pytest.raises(OptionError) as raised:
        make_estimator(**{name: value}).fit(TEXTS, NAMES)
    assert (raised.value.code, raised.value.option) == ("bad-option-value", name)


def test_an_unhashable_preset_raises_option_error() -> None:
    with pytest.raises(OptionError) as raised:
        make_estimator(preset=["default"]).fit(TEXTS, NAMES)
    assert raised.value.code == "unknown-preset"


STARS = [{"good": 3, "bad": 1, "so-so": 2}[name] for name in NAMES]


@pytest.mark.parametrize(
    ("labels", "classes", "kind"),
    [
        (STARS, [1, 2, 3], "i"),
        (tuple(STARS), [1, 2, 3], "i"),
        (iter(STARS), [1, 2, 3], "i"),
        (np.array(STARS, np.int16), [1, 2, 3], "i"),
        (np.array(STARS, float), [1.0, 2.0, 3.0], "f"),
        ([1 if star == 1 else float(star) for star in STARS], [1, 2, 3], "f"),
        (np.array(STARS, object), [1, 2, 3], "i"),
        (pd.Series(STARS, index=range(60, 0, -1)), [1, 2, 3], "i"),
        (pd.Series(STARS, dtype="Int64"), [1, 2, 3], "i"),
        (pd.Series(STARS, dtype="category"), [1, 2, 3], "i"),
        (pd.Series(NAMES, dtype="category"), ["bad", "good", "so-so"], "U"),
        (pd.Series(NAMES, dtype="string"), ["bad", "good", "so-so"], "U"),
        (pl.Series(NAMES), ["bad", "good", "so-so"], "U"),
        (pa.array(NAMES), ["bad", "good", "so-so"], "U"),
        (pa.array(STARS), [1, 2, 3], "i"),
        ([name == "good" for name in NAMES], [False, True], "b"),
        (np.array([name == "good" for name in NAMES]), [False, True], "b"),
        (pd.Series([name == "good" for name in NAMES], dtype="boolean"), [False, True], "b"),
        (["ok" if star == 1 else star for star in STARS], [2, 3, "ok"], "O"),
    ],
)
def test_classes_are_the_labels_as_they_were_passed(labels: Any, classes: list[Any], kind: str) -> None:
    values = list(labels) if not isinstance(labels, pa.Array) else labels.to_pylist()
    estimator = make_estimator(epochs=1).fit(TEXTS, values if hasattr(labels, "__next__") else labels)
    assert estimator.classes_.tolist() == classes
    assert estimator.classes_.dtype.kind == kind
    assert estimator.predict(TEXTS).dtype == estimator.classes_.dtype
    assert estimator.predict_proba(TEXTS).shape == (60, len(classes))


@pytest.mark.parametrize("column", [np.array(STARS)[:, None], pd.DataFrame({"stars": STARS})])
def test_a_column_vector_of_labels_is_read_with_a_warning(column: Any) -> None:
    with pytest.warns(DataConversionWarning):
        estimator = make_estimator(epochs=1).fit(TEXTS, column)
    assert estimator.classes_.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "labels",
    [
        [*NAMES[:7], None, *NAMES[8:]],
        [*STARS[:7], float("nan"), *STARS[8:]],
        np.array([*STARS[:7], float("nan"), *STARS[8:]]),
        pd.Series([*NAMES[:7], None, *NAMES[8:]]),
        pd.Series([*STARS[:7], pd.NA, *STARS[8:]], dtype="Int64"),
        pd.Series([*NAMES[:7], None, *NAMES[8:]], dtype="category"),
        pl.Series([*NAMES[:7], None, *NAMES[8:]]),
        pa.array([*NAMES[:7], None, *NAMES[8:]]),
        [*NAMES[:7], "", *NAMES[8:]],
        np.array([*NAMES[:7], "nan", *NAMES[8:]]),
    ],
)
def test_a_missing_label_is_refused_with_its_position(labels: Any) -> None:
    with pytest.raises(DataError) as raised:
        make_estimator().fit(TEXTS, labels)
    assert (raised.value.code, raised.value.location) == ("missing-label", 7)


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        (np.array([STARS, STARS]).T, "not-a-column"),
        (pd.DataFrame({"a": STARS, "b": STARS}), "not-a-column"),
        ("good", "not-a-column"),
        (set(NAMES), "not-a-column"),
        ({"label": NAMES}, "not-a-column"),
        (3, "not-a-column"),
        ([["good"]] * 60, "bad-label"),
        ([b"good"] * 60, "bad-label"),
        ([1, "1", 2] * 20, "ambiguous-labels"),
        ([True, 1, 2] * 20, "ambiguous-labels"),
    ],
)
def test_labels_that_are_not_a_column_of_labels_are_refused(labels: Any, code: str) -> None:
    with pytest.raises(DataError) as raised:
        make_estimator().fit(TEXTS, labels)
    assert raised.value.code == code


def test_predict_labels_every_text_and_warns_about_those_without_known_words() -> None:
    estimator = make_estimator(epochs=1).fit(TEXTS, NAMES)
    with pytest.warns(UnknownTextsWarning):
        labels = estimator.predict(["great film", "qqq", ""])
    assert set(labels) <= set(NAMES)
    chosen = estimator.classifier_.choose(estimator.classifier_.predict_proba(["great film", "qqq", ""]))
    assert labels.tolist() == [estimator.classifier_.labels[k] for k in chosen]
    assert estimator.predict_proba(["qqq"]).shape == (1, 3)


def test_estimator_starts_from_a_language_model(tmp_path: Path) -> None:
    fastlstm.train_language_model(
        TEXTS, tmp_path / "lm", embedding_size=5, hidden_sizes=(7,), epochs=1, streams=2, window=8, validation=0.2
    )
    estimator = LSTMClassifier(encoder=tmp_path / "lm", epochs=2, validation_fraction=0.2, random_state=0).fit(
        TEXTS, NAMES
    )
    config = estimator.classifier_.saved.config
    assert (config.embedding_size, config.hidden_sizes) == (5, (7,))
    assert clone(estimator).get_params()["encoder"] == tmp_path / "lm"
    with pytest.raises(OptionError) as raised:
        LSTMClassifier(encoder=tmp_path / "lm", hidden_sizes=(3,)).fit(TEXTS, NAMES)
    assert (raised.value.code, raised.value.options) == ("conflicting-options", ("hidden_sizes", "encoder"))
