"""Recalibration of a saved classifier on new labelled texts."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tests.helpers.random_models import MakeModel
from tests.helpers.training import make_dataset

import fastlstm
from fastlstm.config import ModelConfig
from fastlstm.data import Dataset
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier
from fastlstm.training.calibration import MIN_TEXTS
from fastlstm.training.recalibration import recalibrate


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return fastlstm.train(
        make_dataset(120), tmp_path_factory.mktemp("trained") / "model", preset="tutorial", hidden_sizes=(7,),
        embedding_size=5, epochs=12, batch_size=16, learning_rate=0.03, baseline=False,
    ).classifier  # fmt: skip


@pytest.fixture
def contradicting() -> Dataset:
    """100 texts, ten of which have a wrong label."""
    dataset = make_dataset(90, seed=9)
    texts = [*dataset.texts, *["the film was good"] * 10]
    return Dataset(texts, [*dataset.labels, *["negative"] * 10], "texts")


def test_temperature_is_fitted_and_threshold_predicts_the_same(trained: Classifier, contradicting: Dataset) -> None:
    cautious = Classifier(dataclasses.replace(trained.saved, threshold=0.7))
    result = recalibrate(cautious, contradicting)
    assert result.calibration.temperature > trained.saved.temperature
    assert 0.5 < result.classifier.saved.threshold < 0.7
    texts = list(contradicting.texts)
    assert result.classifier.predict(texts) == cautious.predict(texts)
    assert result.after.loss < result.before.loss
    assert result.after.accuracy == result.before.accuracy
    assert result.after == result.classifier.evaluate(contradicting)
    record = result.classifier.saved.training["calibration"]
    assert (record["temperature"], record["loss_after"]) == (result.calibration.temperature, result.after.loss)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_threshold_that_no_temperature_moves_is_kept(
    trained: Classifier, contradicting: Dataset, threshold: float
) -> None:
    model = Classifier(dataclasses.replace(trained.saved, threshold=threshold))
    assert recalibrate(model, contradicting).classifier.saved.threshold == threshold


def test_threshold_is_fitted_without_calibration(trained: Classifier, contradicting: Dataset) -> None:
    result = recalibrate(trained, contradicting, calibration="none", threshold_metric="accuracy")
    assert result.classifier.saved.temperature == trained.saved.temperature
    assert result.after.accuracy >= result.before.accuracy
    assert result.classifier.saved.training["calibration"]["threshold_metric"] == "accuracy"


def test_too_few_texts_are_refused_if_nothing_else_is_fitted(trained: Classifier) -> None:
    few = make_dataset(20, seed=9)
    with pytest.raises(DataError) as raised:
        recalibrate(trained, few)
    assert (raised.value.code, raised.value.texts, raised.value.expected) == ("too-few-texts", 20, MIN_TEXTS)
    result = recalibrate(trained, few, threshold_metric="f1")
    assert [note.code for note in result.notes] == ["not-calibrated"]
    assert result.classifier.saved.temperature == trained.saved.temperature


def test_second_calibration_on_the_same_texts_keeps_the_first(trained: Classifier, contradicting: Dataset) -> None:
    first = recalibrate(trained, contradicting)
    second = recalibrate(first.classifier, contradicting)
    assert [note.code for note in second.notes] == ["calibration-no-gain"]
    assert second.calibration.method == "none"
    assert second.classifier.saved.temperature == first.classifier.saved.temperature
    assert second.classifier.saved.training["calibration"] == first.classifier.saved.training["calibration"]
    assert second.after == second.before == first.after


def test_result_is_never_worse_on_its_texts(make_model: MakeModel) -> None:
    config = ModelConfig(embedding_size=5, hidden_sizes=(4,), pooling="mean")
    labels = ("a", "b", "c")
    for seed in range(4):
        model = Classifier(make_model(config, labels=labels, seed=seed, temperature=0.97))
        texts = make_dataset(150, seed=seed).texts
        dataset = Dataset(texts, [labels[len(text) % 3] for text in texts])
        result = recalibrate(model, dataset)
        assert result.after.loss <= result.before.loss
        assert result.after.accuracy >= result.before.accuracy


def test_early_exit_is_fitted_and_removed_by_another_calibration(
    trained: Classifier, contradicting: Dataset
) -> None:
    fitted = recalibrate(trained, contradicting, calibration="none", early_exit=True)
    assert [note.code for note in fitted.notes] == ["early-exit-fitted"]
    assert fitted.classifier.saved.early_exit is not None
    unchanged = recalibrate(fitted.classifier, contradicting, calibration="none")
    assert unchanged.classifier.saved.early_exit == fitted.classifier.saved.early_exit
    changed = recalibrate(fitted.classifier, contradicting)
    assert [note.code for note in changed.notes] == ["early-exit-removed"]
    assert changed.classifier.saved.early_exit is None


def test_no_texts_raise_data_error(trained: Classifier) -> None:
    with pytest.raises(DataError) as raised:
        recalibrate(trained, Dataset([], [], "nothing"))
    assert (raised.value.code, raised.value.source) == ("empty-dataset", "nothing")


def test_unknown_label_raises_data_error(trained: Classifier) -> None:
    with pytest.raises(DataError) as raised:
        recalibrate(trained, Dataset(["a film", "a story"], ["nice", "negative"]))
    assert (raised.value.code, raised.value.label) == ("unknown-label", "nice")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"threshold_metric": "f1"}, "threshold-needs-two-classes"),
        ({"early_exit": True}, "early-exit-needs-unidirectional"),
    ],
)
def test_option_that_the_model_excludes_raises_option_error(
    make_model: MakeModel, options: dict[str, Any], code: str
) -> None:
    config = ModelConfig(embedding_size=5, hidden_sizes=(4,), bidirectional=True)
    model = Classifier(make_model(config, labels=("a", "b", "c")))
    with pytest.raises(OptionError) as raised:
        recalibrate(model, Dataset(["x", "y", "z"], ["a", "b", "c"]), **options)
    assert raised.value.code == code
