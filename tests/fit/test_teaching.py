import numpy as np
import pytest
import torch

from fastlstm.errors import DataError
from fastlstm.fit.teaching import TRUTH_COUNTS, TeacherOnDevice, lesson
from fastlstm.inference import Classifier
from fastlstm.records import Records
from fastlstm.saved_model import SavedModel


@pytest.fixture
def teacher(tiny_model: SavedModel) -> Classifier:
    return Classifier(tiny_model)


def test_labels_count_beside_the_teacher_and_elsewhere_it_alone_is_believed(teacher: Classifier) -> None:
    names = sorted(teacher.labels)
    labelled = Records(["a film", "a good film", "bad"], [names[1], names[0], names[1]])
    unlabelled = ["what a story", "the end", "good"]
    taught = lesson(teacher, labelled, unlabelled)
    assert taught.records.texts == [*labelled.texts, *unlabelled]
    columns = [teacher.labels.index(name) for name in names]
    said = teacher.predict_proba(taught.records.texts)[:, columns]
    np.testing.assert_allclose(taught.shares.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(taught.shares[3:], said[3:])
    for i, label in enumerate(labelled.labels):
        expected = TRUTH_COUNTS * (np.array(names) == label) + (1 - TRUTH_COUNTS) * said[i]
        np.testing.assert_allclose(taught.shares[i], expected, rtol=1e-6)
    assert taught.records.labels[:3] == labelled.labels
    assert taught.records.labels[3:] == [names[k] for k in said[3:].argmax(axis=1)]


def test_a_teacher_of_other_classes_is_refused(teacher: Classifier) -> None:
    with pytest.raises(DataError, match="the teacher knows the classes"):
        lesson(teacher, Records(["a", "b"], ["x", "y"]), [])


def test_pytorch_says_what_the_teacher_says(tiny_model: SavedModel, teacher: Classifier) -> None:
    texts = ["what a story", "the end", "good", "a film that is bad " * 30]
    said = TeacherOnDevice(tiny_model, torch.device("cpu")).predict_proba(texts)
    np.testing.assert_allclose(said, teacher.predict_proba(texts), atol=1e-5)
