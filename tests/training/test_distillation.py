"""Soft targets from a teacher, and how a student compares with it."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import numpy as np
import pytest

from fastlstm._typing import FloatArray
from fastlstm.data import Dataset
from fastlstm.data.memory import as_dataset
from fastlstm.data.options import ReadOptions
from fastlstm.data.soft_labels import SoftLabels
from fastlstm.data.splits import DataSplits
from fastlstm.errors import DataError
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel
from fastlstm.training.agreement import Agreement, contradiction_note, measure_agreement, with_own_labels
from fastlstm.training.distillation import (
    BATCH_TEXTS,
    evaluated_probabilities,
    soft_targets,
    teacher_probabilities,
)
from fastlstm.training.events import TeacherStep
from fastlstm.training.teachers import ExternalTeacher

Result = TypeVar("Result")


def run(steps: Generator[TeacherStep, None, Result]) -> tuple[list[TeacherStep], Result]:
    """Return the events and the result."""
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as stop:
            return events, stop.value


def probabilities_of(dataset: Dataset) -> FloatArray:
    """Return the soft labels of a dataset."""
    assert dataset.soft_labels is not None
    return dataset.soft_labels.probabilities


@pytest.fixture
def teacher(tiny_model: SavedModel) -> Classifier:
    return Classifier(tiny_model)


def test_soft_labels_mix_label_and_teacher_or_are_those_of_the_teacher(teacher: Classifier) -> None:
    names = sorted(teacher.labels)
    labelled = Dataset(["a film", "a good film", "bad"], [names[1], names[0], names[1]])
    unlabelled = ["what a story", "the end", "good"]
    texts = [*labelled.texts, *unlabelled]
    _, probabilities = run(teacher_probabilities(teacher, names, texts, "texts"))
    columns = [teacher.labels.index(name) for name in names]
    np.testing.assert_array_equal(probabilities, teacher.predict_proba(texts)[:, columns])
    targets = soft_targets(labelled, probabilities, unlabelled, 0.25)
    assert targets.texts == texts
    values = probabilities_of(targets)
    np.testing.assert_allclose(values.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(values[3:], probabilities[3:], rtol=1e-6)
    for i, label in enumerate(labelled.labels):
        expected = 0.25 * (np.array(names) == label) + 0.75 * probabilities[i]
        np.testing.assert_allclose(values[i], expected, rtol=1e-6)
    assert targets.labels[:3] == labelled.labels
    assert targets.labels[3:] == [names[k] for k in probabilities[3:].argmax(axis=1)]


def test_a_teacher_of_another_library_gets_texts_in_batches_with_progress() -> None:
    sizes: list[int] = []

    def compute(texts: list[str]) -> list[list[float]]:
        sizes.append(len(texts))
        return [[0.25, 0.75]] * len(texts)

    teacher, count = ExternalTeacher(compute, ("b", "a")), 2 * BATCH_TEXTS + 1
    steps, probabilities = run(teacher_probabilities(teacher, ["a", "b"], ["x"] * count, "texts"))
    assert sizes == [BATCH_TEXTS, BATCH_TEXTS, 1]
    assert [(step.texts, step.total) for step in steps] == [
        (BATCH_TEXTS, count), (2 * BATCH_TEXTS, count), (count, count)
    ]  # fmt: skip
    np.testing.assert_allclose(probabilities, [[0.75, 0.25]] * count)


def test_other_classes_than_the_teacher_s_raise_data_error(teacher: Classifier) -> None:
    with pytest.raises(DataError) as raised:
        run(teacher_probabilities(teacher, ["x", "y"], ["a", "b"], "texts"))
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
    targets = soft_targets(data, probabilities_of(data), [], 0.5)
    expected = np.array([[0.7, 0.3], [0.1, 0.9], [1, 0]])
    np.testing.assert_allclose(probabilities_of(targets), expected, rtol=1e-6)
    assert targets.labels == ["no", "yes", "no"]


def test_agreement_is_measured_where_the_teacher_has_probabilities() -> None:
    soft = SoftLabels(
        ("a", "b"), np.array([[0.25, 0.75], [np.nan, np.nan], [1, 0]], np.float32), np.array([True, True, False])
    )
    data = Dataset(["1", "2", "3"], ["a", "b", "a"], soft_labels=soft)
    _, evaluated = run(evaluated_probabilities(None, data, ("b", "a")))
    assert evaluated is not None
    assert evaluated[0].texts == ["1", "3"]
    np.testing.assert_array_equal(evaluated[1], [[0.75, 0.25], [0, 1]])
    assert run(evaluated_probabilities(None, data.take([1]), ("b", "a"))) == ([], None)


def test_labels_of_the_teacher_neither_select_nor_test_if_there_are_others() -> None:
    soft = SoftLabels(("a", "b"), np.full((2, 2), 0.5, np.float32), np.array([False, True]))
    mixed = Dataset(["1", "2"], ["a", "b"], soft_labels=soft)
    hard, unlabelled = Dataset(["3", "4"], ["a", "b"]), mixed.take([0])
    data = with_own_labels(DataSplits(mixed, mixed, hard, "origin", "test texts"))
    assert (data.training, data.validation.texts, data.test) == (mixed, ["2"], hard)
    assert data.evaluated_on == "test texts"
    data = with_own_labels(DataSplits(mixed, hard, unlabelled, "origin", "test texts"))
    assert (data.validation, data.test) == (hard, unlabelled)
    assert data.evaluated_on != "test texts"


def test_few_labels_among_many_texts_do_not_select_alone() -> None:
    own = np.arange(20) < 4
    soft = SoftLabels(("a", "b"), np.full((20, 2), 0.5, np.float32), own)
    mixed = Dataset([str(k) for k in range(20)], ["a", "b"] * 10, soft_labels=soft)
    data = with_own_labels(DataSplits(mixed, mixed, None, "origin", "validation texts"))
    assert data.validation == mixed
    assert data.evaluated_on != "validation texts"


def test_agreement_counts_accuracy_only_where_a_text_has_a_label_of_its_own() -> None:
    soft = SoftLabels(("a", "b"), np.full((4, 2), 0.5, np.float32), np.array([True, True, True, False]))
    data = Dataset(["1", "2", "3", "4"], ["a", "b", "b", "a"], soft_labels=soft)
    teacher, student = np.array([0, 1, 0, 1]), np.array([0, 0, 0, 1])
    assert measure_agreement(teacher, student, data, ("a", "b")) == Agreement(4, 0.75, 3, 2 / 3, 1 / 3)


@pytest.mark.parametrize(("right", "texts", "noted"), [(9, 20, True), (10, 20, False), (0, 19, False)])
def test_a_teacher_below_the_most_frequent_label_is_noted(right: int, texts: int, noted: bool) -> None:
    labels = ["a" if row < 10 else "b" for row in range(texts)]  # of 20 texts, 10 have the most frequent label
    dataset = Dataset([f"text {row}" for row in range(texts)], labels)
    predicted = [label if row < right else {"a": "b", "b": "a"}[label] for row, label in enumerate(labels)]
    probabilities = np.array([[1.0, 0.0] if name == "a" else [0.0, 1.0] for name in [*predicted, "a"]], np.float32)
    note = contradiction_note(dataset, probabilities)
    assert (note is not None and note.code == "teacher-contradicts-labels") is noted
    assert contradiction_note(dataset, np.full_like(probabilities, np.nan)) is None
    assert contradiction_note(dataset, None) is None


def test_agreement_without_labels_has_no_accuracy() -> None:
    soft = SoftLabels(("a", "b"), np.full((2, 2), 0.5, np.float32), np.zeros(2, np.bool_))
    data = Dataset(["1", "2"], ["a", "b"], soft_labels=soft)
    agreement = measure_agreement(np.array([0, 1]), np.array([0, 1]), data, ("a", "b"))
    assert (agreement.agreement, agreement.teacher_accuracy, agreement.student_accuracy) == (1.0, None, None)
