"""How a student compares with its teacher."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastlstm._typing import BoolArray, FloatArray, IndexArray
from fastlstm.data import Dataset
from fastlstm.data.splits import DataSplits
from fastlstm.metrics import FEW_TEXTS
from fastlstm.notes import Note

MIN_TEXTS_TO_CONTRADICT = 20
"""With fewer labelled texts, a bad teacher cannot be told from bad luck."""


@dataclass(frozen=True)
class Agreement:
    """How a student compares with its teacher on the evaluated texts for which the teacher has probabilities.

    Attributes:
        texts: The number of texts.
        agreement: The fraction for which both predict the same class.
        labelled: The number of these texts that have a label of their own.
        teacher_accuracy, student_accuracy: The accuracies on those. None without such texts.
    """

    texts: int
    agreement: float
    labelled: int
    teacher_accuracy: float | None
    student_accuracy: float | None

    def __str__(self) -> str:
        """Return the figures in one line."""
        line = f"Student and teacher agree on {self.agreement:.2%} of {self.texts:,} texts"
        if self.teacher_accuracy is None or self.student_accuracy is None:
            return f"{line}; none of them has a label of its own."
        labelled = "" if self.labelled == self.texts else f" (on the {self.labelled:,} with a label)"
        return (
            f"{line}; accuracy{labelled}: teacher {self.teacher_accuracy:.2%}, student {self.student_accuracy:.2%}."
        )

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {
            "texts": self.texts,
            "agreement": self.agreement,
            "labelled": self.labelled,
            "teacher_accuracy": self.teacher_accuracy,
            "student_accuracy": self.student_accuracy,
        }


def has_own_label(dataset: Dataset) -> BoolArray:
    """Return whether each text [n] has a label of its own, rather than its teacher's most probable class."""
    return np.ones(len(dataset), np.bool_) if dataset.soft_labels is None else dataset.soft_labels.is_labelled


def contradiction_note(training: Dataset, soft_labels: FloatArray | None) -> Note | None:
    """Return a note if the teacher is right on fewer training texts than their most frequent label is.

    Args:
        training: The training texts.
        soft_labels: The teacher's probabilities [m, classes], m >= n, of these and then of further texts, columns in
            the order of the class names. NaN: it has none for a text. None: there is no teacher.
    """
    if soft_labels is None:
        return None
    soft, names = soft_labels[: len(training)], training.class_names
    rows = np.flatnonzero(has_own_label(training) & ~np.isnan(soft[:, 0]))
    if len(rows) < MIN_TEXTS_TO_CONTRADICT:
        return None
    classes = training.label_indices(names)[rows]
    right, most_frequent = int((soft[rows].argmax(axis=1) == classes).sum()), int(np.bincount(classes).max())
    if right >= most_frequent:
        return None
    return Note(
        f"the teacher predicts the label of {right:,} of {len(rows):,} training texts, fewer than have the most "
        f"frequent label ({most_frequent:,}); check the order and the meaning of its classes",
        code="teacher-contradicts-labels",
    )


def with_own_labels(data: DataSplits) -> DataSplits:
    """Return the splits with the validation and test texts that have a label of their own.

    A part with few such texts keeps all, with the teacher's labels of the others; `evaluated_on` says so of the
    evaluated texts.
    """
    validation, test = _labelled_part(data.validation), None if data.test is None else _labelled_part(data.test)
    data = dataclasses.replace(data, validation=validation, test=test)
    own = has_own_label(data.evaluation)
    if own.all():
        return data
    whose = "the teacher's labels" if not own.any() else "their labels, or the teacher's if they have none,"
    return dataclasses.replace(data, evaluated_on=f"{whose} of {data.evaluated_on}")


def _labelled_part(dataset: Dataset) -> Dataset:
    """Return the texts with a label of their own if they are many or at least half, otherwise all."""
    own = has_own_label(dataset)
    enough = own.sum() >= min(FEW_TEXTS, len(own) / 2)
    return dataset.take(np.flatnonzero(own)) if enough and not own.all() else dataset


def measure_agreement(
    teacher: IndexArray, student: IndexArray, dataset: Dataset, labels: Sequence[str]
) -> Agreement:
    """Compare predictions.

    Args:
        teacher, student: The predicted class of each text [n], as an index in `labels`.
        dataset: The texts.
        labels: The class names.
    """
    own, classes = has_own_label(dataset), dataset.label_indices(labels)
    accuracies = [
        float((predicted == classes)[own].mean()) if own.any() else None for predicted in (teacher, student)
    ]
    return Agreement(len(dataset), float((teacher == student).mean()), int(own.sum()), *accuracies)
