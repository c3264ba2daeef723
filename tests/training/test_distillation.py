"""Soft labels from a teacher."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastlstm.data import Dataset
from fastlstm.errors import DataError
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel
from fastlstm.training.distillation import LABEL_WEIGHT, PyTorchTeacher, soft_targets


@pytest.fixture
def teacher(tiny_model: SavedModel) -> Classifier:
    return Classifier(tiny_model)


def test_soft_labels_mix_label_and_teacher_or_are_those_of_the_teacher(teacher: Classifier) -> None:
    names = sorted(teacher.labels)
    labelled = Dataset(["a film", "a good film", "bad"], [names[1], names[0], names[1]])
    unlabelled = ["what a story", "the end", "good"]
    targets = soft_targets(teacher, labelled, unlabelled)
    assert targets.dataset.texts == [*labelled.texts, *unlabelled]
    columns = [teacher.labels.index(name) for name in names]
    probabilities = teacher.predict_proba(targets.dataset.texts)[:, columns]
    np.testing.assert_allclose(targets.soft_labels.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(targets.soft_labels[3:], probabilities[3:])
    for i, label in enumerate(labelled.labels):
        expected = LABEL_WEIGHT * (np.array(names) == label) + (1 - LABEL_WEIGHT) * probabilities[i]
        np.testing.assert_allclose(targets.soft_labels[i], expected, rtol=1e-6)
    assert targets.dataset.labels[:3] == labelled.labels
    assert targets.dataset.labels[3:] == [names[k] for k in probabilities[3:].argmax(axis=1)]


def test_other_classes_than_the_teacher_s_raise_data_error(teacher: Classifier) -> None:
    with pytest.raises(DataError) as raised:
        soft_targets(teacher, Dataset(["a", "b"], ["x", "y"]), [])
    error = raised.value
    assert (error.code, error.classes, error.expected) == ("teacher-classes-differ", ("x", "y"), teacher.labels)


def test_teacher_in_pytorch_has_the_same_probabilities(tiny_model: SavedModel, teacher: Classifier) -> None:
    texts = ["what a story", "the end", "good", "a film that is bad " * 30]
    probabilities = PyTorchTeacher(tiny_model, torch.device("cpu")).predict_proba(texts)
    np.testing.assert_allclose(probabilities, teacher.predict_proba(texts), atol=1e-5)
