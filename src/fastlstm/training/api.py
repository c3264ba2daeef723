"""`fastlstm.train` and `fastlstm.distill`: from labelled texts to a saved model in one call."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import fastlstm.nn  # noqa: F401 -- first: reports a missing `train` extra
from fastlstm.training.events import TrainingEvent, TrainingResult
from fastlstm.training.run import run
from fastlstm.training.settings import DataSource, TrainingSettings, require_teacher


def train(
    data: DataSource,
    out: str | os.PathLike[str] = "model",
    *,
    watch: Callable[[TrainingEvent], object] | None = None,
    **options: Any,
) -> TrainingResult:
    """Train a text classifier, evaluate it, and save it.

    Args:
        data: "imdb"; a CSV, TSV, JSONL, Parquet or fastText file; a folder with one subfolder per class; a `Dataset`;
            or a table in memory: of pandas, Polars, PyArrow or Hugging Face, a mapping of columns, a list of mappings.
        out: Folder to save the model to. Must be free, or with `overwrite=True` a fastlstm model.
        watch: Called with every event of the run: notes, steps, epochs, calibration, evaluation.
        options: Attributes of `fastlstm.training.settings.TrainingSettings`, such as `preset="small"`, `test=0.2` or
            `budget="10m"`, and fields of `ModelConfig` and `TrainingConfig`, such as `epochs=3`.

    Returns:
        The classifier, its report, the report of the baseline, and the history of epochs.

    Raises:
        InputError: The call or its data is wrong; nothing was written.
        WriteError: The model cannot be written; an existing one is unchanged.
        TrainingError: Training diverged.
    """
    for event in run(TrainingSettings.create(data, out, options)):
        if watch is not None:
            watch(event)
    assert isinstance(event, TrainingResult)
    return event


def distill(
    teacher: Any,
    data: DataSource | None = None,
    out: str | os.PathLike[str] = "student",
    **options: Any,
) -> TrainingResult:
    """Train a classifier, the student, on the probabilities of another, the teacher.

    Args:
        teacher: Folder of a saved classifier; an object with `predict_proba`, such as one of scikit-learn; a callable
            that takes a list of texts, such as a pipeline of Hugging Face with `top_k=None`; the name of one of these,
            as "module:attribute" or "file.py:attribute"; or None if the data has the probabilities, see
            `probability_columns`.
        data: Labelled texts with the classes of the teacher. The targets are the mean of labels and probabilities,
            or another mixture with `label_weight`. None: there are only `unlabelled` texts.
        out: Folder to save the student to.
        options: Those of `train`: above all `unlabelled` texts, whose targets are the teacher's probabilities.

    Raises:
        OptionError: There is neither a teacher nor probabilities in the data.
        DataError: The classes differ from the teacher's.
        InputError, WriteError, TrainingError: As `train`.
    """
    require_teacher(teacher, data, options)
    return train(data, out, teacher=teacher, **options)
