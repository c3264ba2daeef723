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


def test_labels_count_beside_the_teacher_and_elsewhere_it_alone_is_believed(teacher: Classifier) -> None:
    names = sorted(teacher.labels)
    labelled = Dataset(["a film", "a good film", "bad"], [names[1], names[0], names[1]])
    unlabelled = ["what a story", "the end", "good"]
    taught = soft_targets(teacher, labelled, unlabelled)
    assert taught.dataset.texts == [*labelled.texts, *unlabelled]
    columns = [teacher.labels.index(name) for name in names]
    said = teacher.predict_proba(taught.dataset.texts)[:, columns]
    np.testing.assert_allclose(taught.soft_labels.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(taught.soft_labels[3:], said[3:])
    for i, label in enumerate(labelled.labels):
        expected = LABEL_WEIGHT * (np.array(names) == label) + (1 - LABEL_WEIGHT) * said[i]
        np.testing.assert_allclose(taught.soft_labels[i], expected, rtol=1e-6)
    assert taught.dataset.labels[:3] == labelled.labels
    assert taught.dataset.labels[3:] == [names[k] for k in said[3:].argmax(axis=1)]


def test_a_teacher_of_other_classes_is_refused(teacher: Classifier) -> None:
    with pytest.raises(DataError, match="the teacher knows the classes"):
        soft_targets(teacher, Dataset(["a", "b"], ["x", "y"]), [])


def test_pytorch_says_what_the_teacher_says(tiny_model: SavedModel, teacher: Classifier) -> None:
    texts = ["what a story", "the end", "good", "a film that is bad " * 30]
    said = PyTorchTeacher(tiny_model, torch.device("cpu")).predict_proba(texts)
    np.testing.assert_allclose(said, teacher.predict_proba(texts), atol=1e-5)
