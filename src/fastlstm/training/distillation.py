"""Soft targets from a teacher (Hinton, Vinyals & Dean 2015, "Distilling the Knowledge in a Neural Network")."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence

import numpy as np

from fastlstm._typing import FloatArray
from fastlstm.data import Dataset
from fastlstm.data.soft_labels import SoftLabels
from fastlstm.errors import DataError
from fastlstm.training.agreement import has_own_label
from fastlstm.training.events import TeacherStep
from fastlstm.training.teachers import ExternalTeacher, Teacher

BATCH_TEXTS = 256
"""Texts that a teacher of another library gets at a time."""
SAVED_MODEL_BATCH_TEXTS = 8192
"""Texts that a saved model gets at a time, which it sorts by length."""


def soft_targets(
    labelled: Dataset, probabilities: FloatArray, unlabelled: Sequence[str], label_weight: float
) -> Dataset:
    """Return texts whose soft labels are the targets of a student.

    The label of an unlabelled text is the teacher's most probable class.

    Args:
        labelled: Texts with labels. If the label of a text is its own, it counts with weight `label_weight`.
        probabilities: The teacher's probabilities [n, classes] of the labelled and the unlabelled texts, columns in
            the order of the class names. NaN for a labelled text that the teacher has not seen: its target is its
            label.
        unlabelled: Texts whose targets are the teacher's probabilities.
        label_weight: The weight of a label; the rest is the weight of the teacher's probabilities.
    """
    names, count = labelled.class_names, len(labelled)
    soft = probabilities.copy()
    is_soft = ~np.isnan(soft[:count, :1])
    own = np.where(has_own_label(labelled), label_weight, 0).astype(np.float32)[:, None]
    weight = np.where(is_soft, own, np.float32(1))
    one_hot = np.eye(len(names), dtype=np.float32)[labelled.label_indices(names)]
    soft[:count] = weight * one_hot + (1 - weight) * np.where(is_soft, soft[:count], 0)
    labels = [*labelled.labels, *(names[k] for k in soft[count:].argmax(axis=1))]
    source = (
        f"{labelled.source} and {len(unlabelled):,} texts labelled by the teacher"
        if unlabelled
        else labelled.source
    )
    is_labelled = np.append(has_own_label(labelled), np.zeros(len(unlabelled), np.bool_))
    targets = SoftLabels(tuple(names), soft, is_labelled)
    return Dataset([*labelled.texts, *unlabelled], labels, source, keep_missing=True, soft_labels=targets)


def teacher_probabilities(
    teacher: Teacher, names: Sequence[str], texts: Sequence[str], source: str
) -> Generator[TeacherStep, None, FloatArray]:
    """Return the teacher's probabilities [n, classes], columns in the order of `names`. Yield the progress.

    Args:
        teacher: The teacher.
        names: The class names.
        texts: The texts [n].
        source: Where the texts come from, for messages.

    Raises:
        DataError: The classes differ from the teacher's, or it returns something else than probabilities.
    """
    if sorted(names) != sorted(teacher.labels):
        raise DataError(
            f"{source} has the classes {', '.join(names)}, but the teacher has {', '.join(teacher.labels)}; use texts "
            "with the labels of the teacher, or rename its classes with `teacher_labels`",
            code="teacher-classes-differ",
            source=source,
            classes=tuple(names),
            expected=tuple(teacher.labels),
        )
    columns = [teacher.labels.index(name) for name in names]
    result = np.empty((len(texts), len(names)), np.float32)
    started = time.perf_counter()
    size = BATCH_TEXTS if isinstance(teacher, ExternalTeacher) else SAVED_MODEL_BATCH_TEXTS
    for start in range(0, len(texts), size):
        batch = list(texts[start : start + size])
        result[start : start + len(batch)] = teacher.predict_proba(batch)[:, columns]
        yield TeacherStep(start + len(batch), len(texts), time.perf_counter() - started)
    return result


def evaluated_probabilities(
    teacher: Teacher | None, evaluation: Dataset, names: Sequence[str]
) -> Generator[TeacherStep, None, tuple[Dataset, FloatArray] | None]:
    """Return the texts for which the teacher has probabilities, and those: [n, classes]; None without any.

    Args:
        teacher: The teacher. None: the soft labels of the texts are its probabilities.
        evaluation: The evaluated texts.
        names: The class names.
    """
    soft = evaluation.soft_labels
    if teacher is not None and (soft is None or not soft.is_soft.all()):
        return evaluation, (yield from teacher_probabilities(teacher, names, evaluation.texts, evaluation.source))
    if soft is None or not soft.is_soft.any():
        return None
    rows = np.flatnonzero(soft.is_soft)
    return evaluation.take(rows), soft.take(rows).columns(names)
