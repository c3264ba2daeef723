"""What a teacher says of texts, for a student to learn (Hinton, Vinyals & Dean 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastlstm.errors import DataError
from fastlstm.inference import Classifier
from fastlstm.records import Records

TRUTH_COUNTS = 0.5
"""Of a labelled text, how much its label counts beside the teacher's probabilities."""


@dataclass(frozen=True)
class Lesson:
    """Texts to learn from, labelled by people or, the others, by the teacher's likeliest class; and `shares`
    [n, classes] float32, how likely each class of each text is, rows that sum to 1."""

    records: Records
    shares: npt.NDArray[np.float32]


def lesson(teacher: Classifier, labelled: Records, unlabelled: Sequence[str]) -> Lesson:
    """What `teacher` has to say of the texts.

    Args:
        teacher: a classifier whose classes are those of `labelled`.
        labelled: texts whose labels count too, `TRUTH_COUNTS` beside the teacher's probabilities.
        unlabelled: texts on which the teacher alone is believed.

    Raises `DataError` for classes that are not the teacher's.
    """
    names = labelled.class_names
    if sorted(names) != sorted(teacher.labels):
        raise DataError(
            f"the teacher knows the classes {', '.join(teacher.labels)}, and {labelled.source} has "
            f"{', '.join(names)}; expected the same classes: give texts that are labelled as the teacher's were"
        )
    texts = [*labelled.texts, *unlabelled]
    columns = [teacher.labels.index(name) for name in names]
    shares = teacher.predict_proba(texts)[:, columns]
    truth = np.eye(len(names), dtype=np.float32)[labelled.label_indices(names)]
    known = len(labelled)
    shares[:known] = TRUTH_COUNTS * truth + (1 - TRUTH_COUNTS) * shares[:known]
    labels = [*labelled.labels, *(names[k] for k in shares[known:].argmax(axis=1))]
    source = f"{labelled.source} and {len(unlabelled):,} texts labelled by the teacher"
    return Lesson(Records(texts, labels, source), shares)
