"""The training, validation and test texts of a run."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastlstm._typing import IndexArray
from fastlstm.data.classes import require_repeated_classes
from fastlstm.data.dataset import Dataset, split_dataset
from fastlstm.data.datasets.download import DownloadProgress
from fastlstm.data.datasets.imdb import load_imdb, load_imdb_unlabelled
from fastlstm.data.memory import as_dataset
from fastlstm.data.options import BadRow, ReadOptions
from fastlstm.data.readers.databases import is_database
from fastlstm.data.readers.files import file_extension
from fastlstm.data.readers.plain_text import UnlabelledTexts, check_unlabelled_texts, read_texts
from fastlstm.data.readers.tables import TABLE_READERS
from fastlstm.data.validation import require_classes
from fastlstm.errors import DataError, OptionError
from fastlstm.notes import Note

IMDB = "imdb"
VALIDATION_DESCRIPTION = "validation texts, which also selected the epoch; pass `test` for an unbiased estimate"

VALIDATION_FRACTION = 0.2
"""Fraction of the texts that is held out for validation by default."""
CROSS_VALIDATION = "cross"
"""Value of `validation` for cross-validation."""
FOLDS, ENCODER_FOLDS = 5, 3
"""Models of a cross-validation; fewer for a run with an encoder, each of which takes minutes."""
MAX_CROSS_VALIDATED = 1000
"""Fewer training texts are cross-validated by default instead of split."""

TEST_SPLIT_SEED = 0
"""The test split does not depend on the seed of a run, so that runs are comparable."""

SplitSource = Any
"""A part of the data: a fraction to hold out, "imdb", or labelled texts in a form that `as_dataset` accepts."""

UnlabelledSource = str | os.PathLike[str] | Sequence[str] | UnlabelledTexts
"""Texts without labels: the path of a file or folder, "imdb", or the texts themselves."""


@dataclass(frozen=True)
class DataSplits:
    """The texts of a run.

    Attributes:
        training: The texts to train on.
        validation: The texts that select the epoch. In cross-validation, the training texts.
        test: The test texts. None: the run is evaluated on `validation`.
        origin: Where the texts come from, in one line.
        evaluated_on: The texts that the reported figures are measured on, in one line.
        unlabelled: Further texts, for pretraining or for a teacher to label.
        notes: Notes about how the texts were read.
        bad_rows: The rows that were skipped.
        folds: The number of folds of a cross-validation; 0: the validation texts are held out.
        holds_out: Whether the validation texts were split off the data of the run, and not given separately.
    """

    training: Dataset
    validation: Dataset
    test: Dataset | None
    origin: str
    evaluated_on: str
    unlabelled: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    bad_rows: tuple[BadRow, ...] = ()
    folds: int = 0
    holds_out: bool = False

    @property
    def evaluation(self) -> Dataset:
        """The texts that the reported figures are measured on."""
        return self.validation if self.test is None else self.test

    @property
    def all_texts(self) -> Dataset:
        """The training and the validation texts together."""
        return Dataset(
            [*self.training.texts, *self.validation.texts],
            [*self.training.labels, *self.validation.labels],
            self.origin,
            keep_missing=True,
        )

    @property
    def overlap(self) -> int:
        """The number of evaluation texts that are also training texts."""
        if self.folds and self.test is None:
            return 0
        return _count_common(self.evaluation.texts, self.training.texts)

    @property
    def unlabelled_overlap(self) -> int:
        """The number of evaluation texts that are also unlabelled texts."""
        return _count_common(self.evaluation.texts, self.unlabelled)


def _count_common(texts: Iterable[str], others: Iterable[str]) -> int:
    known = set(others)
    return sum(text in known for text in texts)


def load_splits(
    data: object,
    *,
    validation: SplitSource | None = None,
    test: SplitSource | None = None,
    unlabelled: UnlabelledSource | None = None,
    reading: ReadOptions | None = None,
    data_dir: Path | None = None,
    seed: int = 0,
    folds: int = 0,
    log: Callable[[str], None] | None = None,
    progress: DownloadProgress | None = None,
) -> DataSplits:
    """Read and split the texts of a run.

    Args:
        data: "imdb", or labelled texts in a form that `as_dataset` accepts.
        validation: The fraction of the training texts to hold out, a separate source, or "cross" for cross-validation.
            None: `VALIDATION_FRACTION`, or cross-validation of few texts.
        test: The fraction to hold out, or a separate source. None: IMDb's test split, and no test texts for other
            data.
        unlabelled: Further texts: "imdb" (its unlabelled reviews), the path of a file or folder with plain texts,
            or a list.
        reading: How files and tables are read.
        data_dir: The folder that contains IMDb.
        seed: The seed of the validation split. The test split does not depend on it.
        folds: The number of folds of a cross-validation; 0: it is not possible. Fewer than `MAX_CROSS_VALIDATED` texts
            without soft labels are cross-validated by default.
        log: Called with one line before each long step.
        progress: Called with the progress of a download.

    Raises:
        DataError: The data is invalid, a part has a label that training lacks, or `validation` is "imdb", whose
            held-out texts are its test split.
        OptionError: A fraction is not between 0 and 1, or `validation` is "cross" without `folds`.
        DownloadError: IMDb is not available.
    """

    reading = reading or ReadOptions()
    notes: list[Note] = []
    bad_rows: list[BadRow] = []

    def read_part(part: Any, name: str) -> Dataset:
        if isinstance(part, str) and part == IMDB:
            return load_imdb(data_dir, log=log, progress=progress).test
        dataset = as_dataset(part, reading, name)
        notes.extend(dataset.notes)
        bad_rows.extend(dataset.bad_rows)
        return dataset

    test_texts: Dataset | None = None
    if isinstance(data, str) and data == IMDB:
        imdb = load_imdb(data_dir, log=log, progress=progress)
        training, origin = imdb.train, f"imdb: {imdb.origin}"
        test_texts, evaluated_on = imdb.test, imdb.evaluated_on
    else:
        training = read_part(data, "dataset")
        origin, evaluated_on = training.source, VALIDATION_DESCRIPTION
    require_classes(training)
    is_table = isinstance(data, str | os.PathLike) and (
        is_database(data) or file_extension(Path(data)) in TABLE_READERS
    )
    require_repeated_classes(training, reading.label_column if is_table else None)
    reading = dataclasses.replace(reading, class_names=tuple(training.class_names))  # of the other parts
    if isinstance(test, float | int | np.floating):
        training, test_texts = split_dataset(training, float(test), TEST_SPLIT_SEED)
        evaluated_on = f"a held-out {test:.0%} of the texts"
    elif test is not None:
        test_texts = read_part(test, "test dataset")
        evaluated_on = test_texts.source
    if isinstance(validation, str) and validation == IMDB:
        raise DataError(
            "imdb cannot be the validation texts: its held-out texts are the test split, which must not select a "
            "model; pass a fraction such as 0.1, or other texts",
            code="test-split-as-validation",
        )
    if validation is None:
        is_few = folds and len(training) < MAX_CROSS_VALIDATED and training.soft_labels is None
        validation = CROSS_VALIDATION if is_few else VALIDATION_FRACTION
    holds_out = isinstance(validation, float | int | np.floating)
    if isinstance(validation, str) and validation == CROSS_VALIDATION:
        if not folds:
            raise cross_validation_refused()
        validation_texts = training
        if test_texts is None:
            evaluated_on = f"training texts, each left out by one of {folds} models (cross-validation)"
    elif isinstance(validation, float | int | np.floating):
        folds = 0
        training, validation_texts = split_dataset(training, float(validation), seed)
    else:
        folds = 0
        validation_texts = read_part(validation, "validation dataset")
    names = training.class_names
    for part in (validation_texts, *([test_texts] if test_texts else [])):
        part.label_indices(names)
    unlabelled_texts: tuple[str, ...] = ()
    if unlabelled is not None:
        further = read_unlabelled(unlabelled, reading=reading, data_dir=data_dir, log=log, progress=progress)
        unlabelled_texts = tuple(further.texts)
        notes.extend(further.notes)
    return DataSplits(
        training,
        validation_texts,
        test_texts,
        origin,
        evaluated_on,
        unlabelled_texts,
        tuple(dict.fromkeys(notes)),
        tuple(bad_rows),
        folds,
        holds_out,
    )


def cross_validation_refused() -> OptionError:
    """Return the error about a cross-validation where only held-out texts are possible."""
    return OptionError(
        "`validation` is 'cross', which only training supports; pass a fraction such as 0.2, or other texts",
        code="bad-option-value",
        option="validation",
        value=CROSS_VALIDATION,
    )


def assign_folds(texts: Sequence[str], labels: Sequence[str], folds: int, seed: int) -> IndexArray:
    """Return the fold [n] that leaves out each text: random, and about as many of each class in each fold.

    Equal texts are in one fold, so that no left-out text is a training text, unless each class has a single distinct
    text. The only text of a class is never left out; its fold is -1. Of several labels of a text, the first counts.
    """
    distinct: dict[str, str] = {}
    for text, label in zip(texts, labels, strict=True):
        distinct.setdefault(text, label)
    fold_of = _assign(list(distinct.values()), folds, seed)
    if fold_of.max() < 0:
        return _assign(labels, folds, seed)
    numbers = dict(zip(distinct, fold_of.tolist(), strict=True))
    folds_of_class: dict[str, set[int]] = {}
    for text, label in zip(texts, labels, strict=True):
        folds_of_class.setdefault(label, set()).add(numbers[text])
    for text, label in zip(texts, labels, strict=True):
        if len(folds_of_class[label]) == 1:  # the class has no other text, because equal ones have other labels
            numbers[text] = -1
    return np.array([numbers[text] for text in texts], np.int64)


def _assign(labels: Sequence[str], folds: int, seed: int) -> IndexArray:
    generator = np.random.default_rng([seed, folds])
    names = np.array(labels)
    result = np.full(len(names), -1, np.int64)
    first = 0
    for name in sorted(set(labels)):
        rows = generator.permutation(np.flatnonzero(names == name))
        if len(rows) > 1:
            result[rows] = (first + np.arange(len(rows))) % folds
            first += len(rows)
    return result


def read_unlabelled(
    texts: UnlabelledSource,
    *,
    reading: ReadOptions | None = None,
    data_dir: Path | None = None,
    log: Callable[[str], None] | None = None,
    progress: DownloadProgress | None = None,
) -> UnlabelledTexts:
    """Read texts without labels. The arguments are those of `load_splits`.

    Raises:
        DataError: The texts are invalid.
        DownloadError: IMDb is not available.
    """
    if isinstance(texts, UnlabelledTexts):
        return texts
    if isinstance(texts, str) and texts == IMDB:
        return load_imdb_unlabelled(data_dir, log=log, progress=progress)
    if isinstance(texts, str | os.PathLike):
        return read_texts(texts, reading)
    return check_unlabelled_texts(texts, "the unlabelled texts")
