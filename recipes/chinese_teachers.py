"""Probabilities of Chinese reviews from teachers that were not trained on them.

Some labels of the reviews are wrong. A model that was trained on a text repeats its label; one that has not seen the
text can correct it. Each teacher is a transformer that is fine-tuned on the other parts of the reviews.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

import transformer_teacher
from chinese_reviews import Review
from fastlstm._typing import DoubleArray
from minilm_teacher import report
from opponents.transformer_training import FineTuning
from probes import POSITIVE
from scored import Scored
from stages import run_stage
from text_key import key

FOLDS = 2
FINE_TUNING = FineTuning(learning_rate=8e-5, epochs=1, batch_texts=32)


def label(encoder: Path, reviews: Sequence[Review], further: Sequence[Review], work: Path) -> DoubleArray:
    """Return the probability [n] that each review is positive. Finished teachers and labels are read from `work`.

    Args:
        encoder: The transformer, see `e5_small.py`.
        reviews: The reviews to label.
        further: Texts with labels that all teachers are trained on.
        work: Folder of the teachers and of their labels.
    """
    fold_of = np.array([zlib.crc32(key(review.text).encode()) % FOLDS for review in reviews])
    result = np.zeros(len(reviews))
    for fold in range(FOLDS):
        rest = [review for review, part in zip(reviews, fold_of, strict=True) if part != fold]
        training, rows = scored([*rest, *further]), np.flatnonzero(fold_of == fold)
        texts = [reviews[row].text for row in rows.tolist()]
        teacher, labels = work / f"teacher {fold + 1}", work / f"labels of teacher {fold + 1}.parquet"
        run_stage(teacher, partial(transformer_teacher.train, encoder, training, FINE_TUNING))
        run_stage(labels, partial(transformer_teacher.label, teacher, texts))
        result[rows] = transformer_teacher.read_labels(labels).positive
    agreement = np.mean((result > 0.5) == (scored(reviews).positive > 0.5))
    report(f"the teachers agree with {agreement:.1%} of the labels")
    return result


def scored(reviews: Sequence[Review]) -> Scored:
    """Return the texts with the probability 0 or 1."""
    positive = np.array([review.label == POSITIVE for review in reviews], np.float64)
    return Scored([review.text for review in reviews], positive)
