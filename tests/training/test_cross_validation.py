"""Cross-validation of few texts: folds, choices by texts that are left out, and training on all texts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.training import make_dataset

import fastlstm
from fastlstm import LSTMClassifier
from fastlstm._typing import FloatArray
from fastlstm.config import configure
from fastlstm.data import Dataset
from fastlstm.data.soft_labels import SoftLabels
from fastlstm.data.splits import (
    ENCODER_FOLDS,
    FOLDS,
    MAX_CROSS_VALIDATED,
    VALIDATION_FRACTION,
    assign_folds,
    load_splits,
)
from fastlstm.errors import DataError, OptionError
from fastlstm.nn.tokens import resolve_tokens
from fastlstm.notes import Note
from fastlstm.training.calibration import choose_logits
from fastlstm.training.cross_validation import collect_out_of_fold, cross_validate, split_folds
from fastlstm.training.events import Calibrated, EpochResult, Prepared
from fastlstm.training.linear import INVERSE_PENALTIES
from fastlstm.training.prepare import prepare

SMALL: dict[str, Any] = {
    "preset": "tutorial",
    "hidden_sizes": (7,),
    "embedding_size": 5,
    "epochs": 3,
    "learning_rate": 0.02,
    "ngrams": 50,
}


def test_a_class_whose_texts_also_have_another_label_is_never_left_out() -> None:
    texts = [*(f"text {k}" for k in range(6)), "odd", "odd", "odd"]
    labels = ["a", "a", "a", "b", "b", "b", "a", "c", "c"]
    folds = assign_folds(texts, labels, FOLDS, seed=3)
    assert (folds[6:] == -1).all()
    assert (folds[:6] >= 0).all()


def test_each_text_is_left_out_once_and_classes_are_spread() -> None:
    labels = ["a"] * 23 + ["b"] * 11 + ["c"]
    texts = [str(row) for row in range(len(labels))]
    folds = assign_folds(texts, labels, FOLDS, seed=3)
    assert folds[-1] == -1
    for name, count in (("a", 23), ("b", 11)):
        sizes = Counter(fold for fold, label in zip(folds, labels, strict=True) if label == name)
        assert sum(sizes.values()) == count
        assert set(sizes) == set(range(FOLDS))
        assert max(sizes.values()) - min(sizes.values()) <= 1
    np.testing.assert_array_equal(assign_folds(texts, labels, FOLDS, seed=3), folds)
    held = [row for _, rows in split_folds(Dataset(texts, labels), FOLDS, 3) for row in rows]
    assert sorted(held) == list(range(34))


def test_equal_texts_are_left_out_together() -> None:
    texts = [f"text {row % 20}" for row in range(60)]
    labels = [("a", "b")[row % 2] for row in range(57)] + ["a", "a", "a"]  # three texts have both labels
    folds = assign_folds(texts, labels, FOLDS, seed=3)
    assert set(folds) == set(range(FOLDS))
    for text in set(texts):
        assert len({fold for fold, other in zip(folds, texts, strict=True) if other == text}) == 1


def test_repetitions_of_one_text_per_class_are_split_with_a_note(tmp_path: Path) -> None:
    data = Dataset(["a good film", "a bad film"] * 10, ["good", "bad"] * 10)
    notes: list[object] = []
    result = fastlstm.train(data, tmp_path / "model", **SMALL, watch=notes.append, baseline=False)
    assert result.report.texts == 20
    assert [note.code for note in notes if isinstance(note, Note)].count("texts-overlap") == 1


def test_all_folds_have_the_tokens_that_all_texts_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[str] = []

    def record(*arguments: Any, **options: Any) -> Any:
        chosen.append(arguments[2].tokens)
        return prepare(*arguments, **options)

    monkeypatch.setattr("fastlstm.training.cross_validation.prepare", record)
    thai = [f"อร่อยมาก {row}" for row in range(9)]
    english = [f"a good dinner with friends number {row}" for row in range(9)]
    data = Dataset([*thai, *english], [("good", "bad")[row % 2] for row in range(18)])
    model, training = configure("tutorial", {"hidden_sizes": (7,), "tokens": "auto", "epochs": 1})
    collect_out_of_fold(cross_validate(data, FOLDS, model, training))
    assert set(chosen) == {resolve_tokens(model, data.texts, is_size_given=False).tokens}


def test_few_texts_are_cross_validated_only_on_request_or_in_training() -> None:
    few, many = make_dataset(60), make_dataset(MAX_CROSS_VALIDATED + 100)
    assert load_splits(few).folds == 0
    assert load_splits(few, folds=FOLDS).folds == FOLDS
    assert load_splits(few, folds=FOLDS, validation=0.5).folds == 0
    assert load_splits(many, folds=FOLDS, validation="cross").folds == FOLDS
    with pytest.raises(OptionError) as raised:
        load_splits(few, validation="cross")
    assert (raised.value.code, raised.value.option) == ("bad-option-value", "validation")
    split = load_splits(many, folds=FOLDS)
    assert split.folds == 0
    assert len(split.validation) == pytest.approx(VALIDATION_FRACTION * len(many), abs=2)


def test_a_run_trains_on_all_texts_and_reports_those_left_out(tmp_path: Path) -> None:
    data = make_dataset(90)
    events: list[object] = []
    result = fastlstm.train(data, tmp_path / "model", **SMALL, watch=events.append)
    codes = [event.code for event in events if isinstance(event, Note)]
    assert codes.count("cross-validation") == 1
    assert codes.count("fold-finished") == FOLDS
    (prepared,) = [event for event in events if isinstance(event, Prepared)]
    assert (prepared.training_texts, prepared.validation_texts, prepared.folds) == (len(data), 0, FOLDS)
    (calibrated,) = [event for event in events if isinstance(event, Calibrated)]
    assert calibrated.after.texts == result.report.texts == len(data)
    assert result.baseline is not None
    assert result.baseline.texts == len(data)
    assert len([event for event in events if isinstance(event, EpochResult)]) == 3
    record = json.loads((tmp_path / "model" / "config.json").read_bytes())["training"]
    assert record["data"]["folds"] == FOLDS
    assert (record["data"]["train_texts"], record["data"]["validation_texts"]) == (len(data), 0)
    assert result.classifier.predict(data.texts[:5])


def test_all_left_out_texts_together_choose_the_ngrams_of_the_final_model() -> None:
    data = make_dataset(90)
    options = {name: value for name, value in SMALL.items() if name != "preset"}
    model, training = configure("tutorial", {**options, "epochs": 1})
    out_of_fold = collect_out_of_fold(cross_validate(data, 3, model, training))
    prepared = prepare(data, data, model, training, cap_vocabulary=True).with_out_of_fold(out_of_fold)
    chosen = prepared.wide
    assert chosen is not None
    assert chosen.inverse_penalty == INVERSE_PENALTIES[out_of_fold.wide_choice]
    by_penalty: list[list[FloatArray]] = [[] for _ in INVERSE_PENALTIES]
    for rest, held in split_folds(data, 3, training.seed):
        fold = prepare(data.take(rest), data.take(held), model, training, cap_vocabulary=True)
        for logits, part in zip(fold.wide_logits(data.take(held).texts), by_penalty, strict=True):
            part.append(logits)
    candidates = [np.concatenate(part) for part in by_penalty]
    classes = out_of_fold.labelled.classes
    assert choose_logits(candidates, classes, sigmoid=True) == out_of_fold.wide_choice
    np.testing.assert_array_equal(out_of_fold.labelled.wide_logits, candidates[out_of_fold.wide_choice])


def test_the_figures_are_those_of_texts_that_no_model_has_seen(tmp_path: Path) -> None:
    """Random labels cannot be predicted; a model that was evaluated on its training texts would be right."""
    generator = np.random.default_rng(0)
    texts = [f"word{row} other{row}" for row in range(80)]
    data = Dataset(texts, [("a", "b")[k] for k in generator.integers(0, 2, 80)])
    result = fastlstm.train(data, tmp_path / "model", **{**SMALL, "epochs": 12, "ngrams": 500})
    assert result.report.accuracy < 0.7
    assert result.classifier.evaluate(data).accuracy > 0.75


def test_a_test_part_is_never_in_a_fold(tmp_path: Path) -> None:
    data = make_dataset(100)
    result = fastlstm.train(data, tmp_path / "model", **SMALL, test=0.2, validation="cross")
    record = json.loads((tmp_path / "model" / "config.json").read_bytes())["training"]
    assert record["data"]["train_texts"] + result.report.texts == len(data)
    assert record["calibration"]["validation_texts"] == record["data"]["train_texts"]


def test_a_resumed_run_has_the_same_bits(tmp_path: Path) -> None:
    data = make_dataset(60)

    def stop(event: object) -> None:
        if isinstance(event, EpochResult):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastlstm.train(data, tmp_path / "stopped", **SMALL, watch=stop)
    resumed = fastlstm.train(data, tmp_path / "stopped", **SMALL, resume=True)
    whole = fastlstm.train(data, tmp_path / "whole", **SMALL)
    for name, array in whole.classifier.saved.weights.items():
        np.testing.assert_array_equal(resumed.classifier.saved.weights[name], array)
    assert resumed.report == whole.report


def test_a_class_of_one_text_is_trained_but_never_left_out(tmp_path: Path) -> None:
    base = make_dataset(40)
    data = Dataset([*base.texts, "a text of its own"], [*base.labels, "rare"])
    result = fastlstm.train(data, tmp_path / "model", **SMALL, baseline=False)
    assert result.classifier.labels == (*sorted(set(base.labels)), "rare")
    assert result.report.texts == 40


@pytest.mark.parametrize("options", [{"early_exit": True}, {"unlabelled": ["a text"], "pretraining_epochs": 1}])
def test_other_runs_hold_texts_out(tmp_path: Path, options: dict[str, Any]) -> None:
    result = fastlstm.train(make_dataset(80), tmp_path / "model", **SMALL, **options, baseline=False)
    assert result.report.texts == 16


def test_a_run_with_an_encoder_is_cross_validated_too(tmp_path: Path) -> None:
    data = make_dataset(60)
    fastlstm.train_language_model(
        data.texts, tmp_path / "encoder", embedding_size=5, hidden_sizes=(6,), vocabulary_size=10, epochs=1
    )
    events: list[object] = []
    options = {"preset": "accurate", "encoder": tmp_path / "encoder", "epochs": 2, "learning_rate": 0.01}
    result = fastlstm.train(data, tmp_path / "model", **options, watch=events.append)
    codes = [event.code for event in events if isinstance(event, Note)]
    assert codes.count("fold-finished") == ENCODER_FOLDS
    assert codes.count("encoder-comparison") == 1
    (prepared,) = [event for event in events if isinstance(event, Prepared)]
    assert (prepared.training_texts, prepared.folds) == (len(data), ENCODER_FOLDS)
    assert result.report.texts == len(data)
    assert result.classifier.saved.config.hidden_sizes == (6,)


def test_an_estimator_trains_on_all_texts_too() -> None:
    data = make_dataset(60)
    options: dict[str, Any] = {**SMALL, "random_state": 1}
    folds = LSTMClassifier(**options).fit(data.texts, data.labels)
    split = LSTMClassifier(**options, validation_fraction=0.2).fit(data.texts, data.labels)
    assert (folds.predict(data.texts) == data.labels).all()
    assert len(folds.history_) == len(split.history_) == 3
    assert {result.tokens for result in folds.history_} == {sum(len(text.split()) for text in data.texts)}
    assert split.history_[0].tokens < folds.history_[0].tokens


def test_texts_of_which_no_class_has_two_are_refused(tmp_path: Path) -> None:
    texts, labels = ["a good film", "a bad film"], ["good", "bad"]
    with pytest.raises(DataError) as raised:
        fastlstm.train(Dataset(texts, labels), tmp_path / "model", **SMALL)
    assert raised.value.code == "cannot-split"
    with pytest.raises(DataError) as raised:
        LSTMClassifier(**SMALL).fit(texts, labels)
    assert raised.value.code == "cannot-split"


def test_soft_labels_in_memory_are_not_cross_validated(tmp_path: Path) -> None:
    data = make_dataset(60)
    probabilities = np.tile(np.array([[0.7, 0.3]], np.float32), (len(data), 1))
    soft = SoftLabels(tuple(data.class_names), probabilities, np.ones(len(data), np.bool_))
    soft_data = Dataset(data.texts, data.labels, soft_labels=soft)
    with pytest.raises(OptionError) as raised:
        fastlstm.train(soft_data, tmp_path / "model", **SMALL, validation="cross")
    assert (raised.value.code, raised.value.options) == ("conflicting-options", ("validation", "soft_labels"))


def test_folds_and_the_final_model_have_the_vocabulary_size_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastlstm.nn.tokens.MAX_SUBWORDS", 30)
    data, sizes = make_dataset(60), list[int]()

    def record(*arguments: Any, **options: Any) -> Any:
        prepared = prepare(*arguments, **options)
        sizes.append(prepared.model_config.vocabulary_size)
        return prepared

    monkeypatch.setattr("fastlstm.training.cross_validation.prepare", record)
    options = {**SMALL, "tokens": "bpe", "ngrams": 0, "epochs": 1}
    fitted = LSTMClassifier(**options, vocabulary_size=40).fit(data.texts, data.labels)
    assert fitted.classifier_.saved.config.vocabulary_size > 30
    assert {size > 30 for size in sizes} == {True}
    sizes.clear()
    fitted = LSTMClassifier(**options).fit(data.texts, data.labels)
    assert {fitted.classifier_.saved.config.vocabulary_size, *sizes} == {30}
