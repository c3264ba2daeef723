"""Soft targets from a teacher, and how a student compares with it."""

from __future__ import annotations

import numpy as np
import pytest

from fastlstm.data import Dataset
from fastlstm.data.memory import as_dataset
from fastlstm.data.options import ReadOptions
from fastlstm.data.soft_labels import SoftLabels
from fastlstm.errors import DataError
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel
from fastlstm.training.agreement import Agreement, measure_agreement
from fastlstm.training.distillation import soft_targets


@pytest.fixture
def teacher(tiny_model: SavedModel) -> Classifier:
    return Classifier(tiny_model)


def test_soft_labels_mix_label_and_teacher_or_are_those_of_the_teacher(teacher: Classifier) -> None:
    names = sorted(teacher.labels)
    labelled = Dataset(["a film", "a good film", "bad"], [names[1], names[0], names[1]])
    unlabelled = ["what a story", "the end", "good"]
    targets = soft_targets(teacher, labelled, unlabelled, 0.25)
    assert targets.dataset.texts == [*labelled.texts, *unlabelled]
    columns = [teacher.labels.index(name) for name in names]
    probabilities = teacher.predict_proba(targets.dataset.texts)[:, columns]
    np.testing.assert_allclose(targets.soft_labels.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(targets.soft_labels[3:], probabilities[3:])
    for i, label in enumerate(labelled.labels):
        expected = 0.25 * (np.array(names) == label) + 0.75 * probabilities[i]
        np.testing.assert_allclose(targets.soft_labels[i], expected, rtol=1e-6)
    assert targets.dataset.labels[:3] == labelled.labels
    assert targets.dataset.labels[3:] == [names[k] for k in probabilities[3:].argmax(axis=1)]


def test_other_classes_than_the_teacher_s_raise_data_error(teacher: Classifier) -> None:
    with pytest.raises(DataError) as raised:
        soft_targets(teacher, Dataset(["a", "b"], ["x", "y"]), [], 0.5)
    error = raised.value
    assert (error.code, error.classes, error.expected) == ("teacher-classes-differ", ("x", "y"), teacher.labels)


def test_soft_labels_of_the_data_count_beside_the_labels_that_there_are() -> None:
    data = as_dataset(
        [
            {"text": "both", "label": "no", "p": {"no": 0.4, "yes": 0.6}},
            {"text": "only soft", "p": {"no": 0.1, "yes": 0.9}},
            {"text": "only hard", "label": "no"},
        ],
        ReadOptions.create({"probability_column": "p"}),
    )
    targets = soft_targets(None, data, [], 0.5)
    expected = np.array([[0.7, 0.3], [0.1, 0.9], [1, 0]])
    np.testing.assert_allclose(targets.soft_labels, expected, rtol=1e-6)
    assert targets.dataset.labels == ["no", "yes", "no"]


def test_agreement_counts_accuracy_only_where_a_text_has_a_label_of_its_own() -> None:
    soft = SoftLabels(("a", "b"), np.full((4, 2), 0.5, np.float32), np.array([True, True, True, False]))
    data = Dataset(["1", "2", "3", "4"], ["a", "b", "b", "a"], soft_labels=soft)
    teacher, student = np.array([0, 1, 0, 1]), np.array([0, 0, 0, 1])
    assert measure_agreement(teacher, student, data, ("a", "b")) == Agreement(4, 0.75, 3, 2 / 3, 1 / 3)


def test_agreement_without_labels_has_no_accuracy() -> None:
    soft = SoftLabels(("a", "b"), np.full((2, 2), 0.5, np.float32), np.zeros(2, np.bool_))
    data = Dataset(["1", "2"], ["a", "b"], soft_labels=soft)
    agreement = measure_agreement(np.array([0, 1]), np.array([0, 1]), data, ("a", "b"))
    assert (agreement.agreement, agreement.teacher_accuracy, agreement.student_accuracy) == (1.0, None, None)
