"""Models and results pickle and copy by their saved form, also after uses that prepare more than that."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import pytest
from tests.helpers.process_state import LABELS, TEXTS, train_language_model

import fastlstm
from fastlstm import Classifier
from fastlstm.data import Dataset
from fastlstm.serialization.classifier import SavedModel

Copy = Callable[[Any, Path], Any]


def joblib_copy(value: object, folder: Path) -> Any:
    joblib.dump(value, folder / "value")
    return joblib.load(folder / "value")


COPIES: dict[str, Copy] = {
    "pickle": lambda value, _: pickle.loads(pickle.dumps(value)),
    "copy": lambda value, _: copy.copy(value),
    "deepcopy": lambda value, _: copy.deepcopy(value),
    "joblib": joblib_copy,
}


@pytest.mark.parametrize("how", COPIES)
def test_classifier_is_copied_after_every_use(tiny_model: SavedModel, tmp_path: Path, how: str) -> None:
    classifier = Classifier(tiny_model)
    classifier.predict(TEXTS)
    classifier.explain(TEXTS[0])
    classifier.gates(TEXTS[0])
    twin = COPIES[how](classifier, tmp_path)
    assert (twin.predict_proba(TEXTS) == classifier.predict_proba(TEXTS)).all()
    assert twin.labels == classifier.labels
    assert twin.explain(TEXTS[0]).tokens == classifier.explain(TEXTS[0]).tokens


def test_results_of_training_are_pickled(tmp_path: Path) -> None:
    result = fastlstm.train(
        Dataset(TEXTS, LABELS), tmp_path / "model", preset="tutorial", hidden_sizes=(5,), epochs=1
    )
    result.classifier.explain(TEXTS[0])
    twin = pickle.loads(pickle.dumps(result))
    assert (twin.folder, twin.history, twin.notes) == (result.folder, result.history, result.notes)
    assert twin.report.accuracy == result.report.accuracy
    assert (twin.classifier.predict_proba(TEXTS) == result.classifier.predict_proba(TEXTS)).all()


@pytest.mark.parametrize("how", COPIES)
def test_language_model_is_copied(tmp_path: Path, how: str) -> None:
    model = train_language_model(tmp_path / "lm")
    twin = COPIES[how](model, tmp_path)
    assert twin.evaluate(TEXTS).loss == model.evaluate(TEXTS).loss
    assert twin.generate("good", max_tokens=5) == model.generate("good", max_tokens=5)


def test_spawned_process_receives_and_returns_a_classifier(tiny_model: SavedModel) -> None:
    classifier = Classifier(tiny_model)
    classifier.explain(TEXTS[0])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        twin = pool.apply(copy.deepcopy, (classifier,))
        labels = pool.apply(Classifier.predict, (classifier, TEXTS))
    assert list(labels) == classifier.predict(TEXTS)
    assert (twin.predict_proba(TEXTS) == classifier.predict_proba(TEXTS)).all()
