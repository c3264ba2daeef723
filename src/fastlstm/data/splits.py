"""The texts of a run: to train on, to choose the epoch with, to test on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastlstm.data import Dataset, UnlabelledTexts, read_dataset, read_texts, split_dataset
from fastlstm.data.datasets import load_imdb, load_imdb_unlabelled
from fastlstm.data.datasets.download import DownloadProgress
from fastlstm.data.readers.plain_text import check_unlabelled_texts
from fastlstm.data.validation import collect_dataset, require_classes
from fastlstm.errors import DataError

IMDB = "imdb"
VALIDATION_NOTE = (
    "validation texts, which also chose the epoch, and temperature and threshold if any: a little flattering; "
    "--test gives honest figures"
)

TEST_SEED = 0

SplitSource = float | str | os.PathLike[str] | Dataset
"""A part of the data: a fraction to hold out, or data of its own."""

UnlabelledSource = str | os.PathLike[str] | Sequence[str] | UnlabelledTexts
"""Texts without labels: the name of data, or the texts."""


@dataclass(frozen=True)
class DataSplits:
    """The three parts, and two lines for people: where they come from, and what the figures are measured on.

    `test` is None where nothing is held out for testing; figures are then measured on `validation`. `unlabelled`
    are further texts, to pretrain on or to be labelled by a teacher.
    """

    training: Dataset
    validation: Dataset
    test: Dataset | None
    origin: str
    measured_on: str
    unlabelled: tuple[str, ...] = ()

    @property
    def measured(self) -> Dataset:
        """The texts that the run's figures are measured on."""
        return self.validation if self.test is None else self.test

    @property
    def repeated(self) -> int:
        """How many of the measured texts stand among the training texts too."""
        known = set(self.training.texts)
        return sum(text in known for text in self.measured.texts)


def load_splits(
    data: str | os.PathLike[str] | Dataset,
    *,
    validation: SplitSource = 0.2,
    test: SplitSource | None = None,
    unlabelled: UnlabelledSource | None = None,
    text_column: str = "text",
    label_column: str = "label",
    data_dir: Path | None = None,
    seed: int = 0,
    say: Callable[[str], None] | None = None,
    progress: DownloadProgress | None = None,
) -> DataSplits:
    """Reads and splits what a run trains on.

    Args:
        data: "imdb", a file or folder of labelled texts, or records.
        validation: the fraction of the training texts to hold out, or data of its own.
        test: likewise; None: IMDb's own test split, and for other data no test.
        unlabelled: further texts: "imdb", its unlabelled reviews; a file or folder of plain texts; or a list.
        text_column, label_column: where texts and labels stand in tables.
        data_dir: the folder that holds IMDb.
        seed: of the validation split. The test split is the same whatever the seed, so that runs compare.
        say, progress: told of long work on the way, as `load_imdb` tells it.

    Raises:
        DataError: for whatever is wrong with the data, test labels unknown to training among it, and IMDb, whose
            other texts are its test split, as validation.
        OptionError: for a fraction outside 0..1.
        DownloadError: where IMDb can't be had.
    """

    def read(part: str | os.PathLike[str] | Dataset) -> Dataset:
        if isinstance(part, Dataset):  # made by the caller: checked here as those from files are
            places = part.places or range(1, len(part) + 1)
            return collect_dataset(zip(places, part.texts, part.labels, strict=True), part.source)
        if isinstance(part, str) and part == IMDB:
            return load_imdb(data_dir, say=say or (lambda _: None), progress=progress).test
        if not isinstance(part, str | os.PathLike):
            raise DataError(
                f"the data is of type {type(part).__name__}; expected a file's or folder's name, or "
                'fastlstm.Records(texts, labels, "a name for messages")'
            )
        return read_dataset(part, text_column=text_column, label_column=label_column)

    held_out: Dataset | None = None
    if isinstance(data, str) and data == IMDB:
        imdb = load_imdb(data_dir, say=say or (lambda _: None), progress=progress)
        training, origin = imdb.train, f"imdb: {imdb.origin}"
        held_out, measured_on = imdb.test, imdb.measured_on
    else:
        training = read(data)
        origin, measured_on = training.source, VALIDATION_NOTE
    require_classes(training)
    if isinstance(test, float | int | np.floating):
        training, held_out = split_dataset(training, float(test), TEST_SEED)
        measured_on = f"a held-out {test:.0%} of the texts"
    elif test is not None:
        held_out = read(test)
        measured_on = held_out.source
    if isinstance(validation, str) and validation == IMDB:
        raise DataError(
            "imdb can't be the validation texts: what stands apart in it is its test split, on which nothing is "
            "chosen; give a fraction, such as 0.1, or texts of their own"
        )
    if isinstance(validation, float | int | np.floating):
        training, chosen_on = split_dataset(training, float(validation), seed)
    else:
        chosen_on = read(validation)
    for part in (chosen_on, *([held_out] if held_out else [])):
        part.label_indices(training.class_names)
    further: tuple[str, ...] = ()
    if unlabelled is not None:
        further = tuple(
            read_unlabelled(
                unlabelled, text_column=text_column, data_dir=data_dir, say=say, progress=progress
            ).texts
        )
    return DataSplits(training, chosen_on, held_out, origin, measured_on, further)


def read_unlabelled(
    texts: UnlabelledSource,
    *,
    text_column: str = "text",
    data_dir: Path | None = None,
    say: Callable[[str], None] | None = None,
    progress: DownloadProgress | None = None,
) -> UnlabelledTexts:
    """Texts without labels; the arguments are those of `load_splits`.

    Raises `DataError` for whatever is wrong with them, `DownloadError` where IMDb can't be had.
    """
    if isinstance(texts, UnlabelledTexts):
        return texts
    if isinstance(texts, str) and texts == IMDB:
        return load_imdb_unlabelled(data_dir, say=say or (lambda _: None), progress=progress)
    if isinstance(texts, str | os.PathLike):
        return read_texts(texts, text_column=text_column)
    return check_unlabelled_texts(texts, "the unlabelled texts")
