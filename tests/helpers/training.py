"""Small datasets and settings of training runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastlstm._typing import IndexArray, TokenIds
from fastlstm.data import Dataset
from fastlstm.data.splits import DataSplits, load_splits
from fastlstm.training.linear import Wide, fit_wide
from fastlstm.training.settings import TrainingSettings


def make_dataset(count: int, seed: int = 0) -> Dataset:
    """Return short texts of 3 to 14 words, one of which determines the class."""
    generator = np.random.default_rng(seed)
    texts, labels = [], []
    for i in range(count):
        words = generator.choice(
            ["the", "a", "film", "was", "it", "story"], int(generator.integers(3, 15))
        ).tolist()
        words[int(generator.integers(len(words)))] = ("good", "bad")[i % 2]
        texts.append(" ".join(words))
        labels.append(("positive", "negative")[i % 2])
    return Dataset(texts, labels)


def make_splits() -> DataSplits:
    """Return 120 short texts, split into training, validation and test."""
    return load_splits(make_dataset(120), test=0.2)


def make_settings(data: DataSplits, out: Path, **options: Any) -> TrainingSettings:
    """Return the settings of a run on data that is already split."""
    return TrainingSettings.create(data, out, options)


def fit_one(texts: Sequence[TokenIds], classes: IndexArray, logits: int, max_ngrams: int, **options: Any) -> Wide:
    """Fit the n-gram part, words and word pairs, with one penalty."""
    (wide,) = fit_wide(texts, classes, logits, max_ngrams, "pairs", inverse_penalties=[0.3], **options)
    return wide
