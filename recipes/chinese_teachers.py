"""Probabilities of Chinese reviews from teachers that were not trained on them.

Some labels of the reviews are wrong. A model that was trained on a text repeats its label; one that has not seen the
text can correct it. Each teacher reads in both directions and labels the part of the reviews that it has not seen.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fastlstm
from chinese_reviews import Review, key, texts_and_labels
from fastlstm._typing import FloatArray
from fastlstm.cli.progress import Display
from fastlstm.nn.runs import checkpoint_path
from fastlstm.serialization.folder import CONFIG
from probes import LABELS

FOLDS = 4
TEACHER: dict[str, Any] = {
    "preset": "small",
    "bidirectional": True,
    "hidden_sizes": (192,),
    "pretraining_epochs": 1,
    "epochs": 3,
    "baseline": False,
}


def label(
    reviews: Sequence[Review], more: Sequence[Review], validation: fastlstm.Dataset, work: Path
) -> FloatArray:
    """Return the probabilities [n, 2] of the reviews, columns as `LABELS`. Finished teachers are read from `work`.

    Args:
        reviews: The reviews to label.
        more: Further texts that all teachers are trained on.
        validation: Texts that select the epochs of the teachers and fit their probabilities.
        work: Folder of the teachers.
    """
    fold_of = np.array([zlib.crc32(key(review.text).encode()) % FOLDS for review in reviews])
    result = np.zeros((len(reviews), len(LABELS)), np.float32)
    for fold in range(FOLDS):
        rest = [review for review, own in zip(reviews, fold_of, strict=True) if own != fold]
        teacher = _train(work / f"teacher-{fold}", [*rest, *more], validation)
        rows = np.flatnonzero(fold_of == fold)
        columns = [teacher.labels.index(name) for name in LABELS]
        result[rows] = teacher.predict_proba([reviews[row].text for row in rows.tolist()])[:, columns]
    return result


def _train(folder: Path, reviews: Sequence[Review], validation: fastlstm.Dataset) -> fastlstm.Classifier:
    """Return the teacher in `folder`, trained unless it exists; an interrupted training resumes."""
    if not (folder / CONFIG).is_file():
        with Display(sys.stderr) as display:
            fastlstm.train(
                fastlstm.Dataset(*texts_and_labels(reviews), "Chinese reviews"),
                folder,
                validation=validation,
                resume=checkpoint_path(folder).is_file(),
                watch=display.show,
                **TEACHER,
            )
    return fastlstm.load(folder, precision="auto")
