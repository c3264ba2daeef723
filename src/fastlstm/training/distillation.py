"""Soft targets from a teacher (Hinton, Vinyals & Dean 2015, "Distilling the Knowledge in a Neural Network")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastlstm._typing import FloatArray
from fastlstm.data import Dataset
from fastlstm.errors import DataError
from fastlstm.training.agreement import has_own_label
from fastlstm.training.teachers import Teacher


@dataclass(frozen=True)
class DistillationData:
    """Texts and their soft targets [n, classes], whose rows sum to 1.

    The label of an unlabelled text is the teacher's most probable class.
    """

    dataset: Dataset
    soft_labels: FloatArray


def soft_targets(
    teacher: Teacher | None, labelled: Dataset, unlabelled: Sequence[str], label_weight: float
) -> DistillationData:
    """Return texts and soft targets for a student.

    Args:
        teacher: A model with the classes of `labelled`. None: its soft labels are the teacher's probabilities.
        labelled: Texts with labels or soft labels; a label of their own counts with weight `label_weight`.
        unlabelled: Texts whose targets are the teacher's probabilities. None without a teacher.
        label_weight: The weight of a label; the rest is the weight of the teacher's probabilities.

    Raises:
        DataError: The classes differ from the teacher's.
    """
    names, count = labelled.class_names, len(labelled)
    texts = [*labelled.texts, *unlabelled]
    soft = teacher_probabilities(teacher, labelled, unlabelled)
    weight = np.where(has_own_label(labelled), label_weight, 0).astype(np.float32)[:, None]
    one_hot = np.eye(len(names), dtype=np.float32)[labelled.label_indices(names)]
    soft[:count] = weight * one_hot + (1 - weight) * soft[:count]
    labels = [*labelled.labels, *(names[k] for k in soft[count:].argmax(axis=1))]
    source = (
        f"{labelled.source} and {len(unlabelled):,} texts labelled by the teacher"
        if unlabelled
        else labelled.source
    )
    return DistillationData(Dataset(texts, labels, source, keep_missing=True), soft)


def teacher_probabilities(
    teacher: Teacher | None,
    labelled: Dataset,
    unlabelled: Sequence[str] = (),
    *,
    names: Sequence[str] | None = None,
) -> FloatArray:
    """Return the teacher's probabilities [n, classes] for labelled and unlabelled texts.

    The columns are in the order of `names`; by default, those of the classes of `labelled`.

    Raises:
        DataError: The classes differ from the teacher's.
    """
    names = labelled.class_names if names is None else names
    if teacher is None:
        assert labelled.soft_labels is not None
        return labelled.soft_labels.columns(names)
    if sorted(names) != sorted(teacher.labels):
        raise DataError(
            f"{labelled.source} has the classes {', '.join(names)}, but the teacher has "
            f"{', '.join(teacher.labels)}; use texts with the labels of the teacher",
            code="teacher-classes-differ",
            source=labelled.source,
            classes=tuple(names),
            expected=tuple(teacher.labels),
        )
    columns = [teacher.labels.index(name) for name in names]
    probabilities: FloatArray = teacher.predict_proba([*labelled.texts, *unlabelled])[:, columns]
    return probabilities
