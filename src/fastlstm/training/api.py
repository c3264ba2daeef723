"""`fastlstm.train`: one call from labelled texts to a saved model."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fastlstm.config import DEFAULT_PRESET
from fastlstm.data import Dataset
from fastlstm.data.datasets.download import DownloadProgress
from fastlstm.data.splits import SplitSource, UnlabelledSource, load_splits
from fastlstm.nn.runs import check_output
from fastlstm.training.events import TrainingEvent, TrainingResult
from fastlstm.training.run import run
from fastlstm.training.settings import InitialModels, TrainingJob, check_early_exit, resolve_configs


def train(
    data: str | os.PathLike[str] | Dataset,
    out: str | os.PathLike[str] = "model",
    *,
    preset: str = DEFAULT_PRESET,
    validation: SplitSource = 0.2,
    test: SplitSource | None = None,
    unlabelled: UnlabelledSource | None = None,
    encoder: str | os.PathLike[str] | None = None,
    teacher: str | os.PathLike[str] | None = None,
    budget: str | float | None = None,
    text_column: str = "text",
    label_column: str = "label",
    data_dir: str | os.PathLike[str] | None = None,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    baseline: bool = True,
    plots: bool = False,
    early_exit: bool = False,
    watch: Callable[[TrainingEvent], object] | None = None,
    **options: Any,
) -> TrainingResult:
    """Trains a classifier, measures it and saves it.

    Args:
        data: "imdb"; a CSV, TSV, JSONL, Parquet or fastText file; a folder with one sub-folder a class; records.
        out: the folder to save to; must be free, or with `overwrite` a fastlstm model.
        preset: the configuration to start from: "small", "accurate" or "tutorial".
        validation: the fraction of texts held out to choose the best epoch, or data of its own.
        test: the fraction of texts held out to measure, or data of its own.
        unlabelled: further texts, to pretrain on, for virtual adversarial training, or to be labelled by a teacher:
            "imdb", its unlabelled reviews; a file or folder of plain texts; or a list of them.
        encoder: the folder of a language model, or the name of a bundled one, to begin from. Sizes and vocabulary
            are then its own, and `pretraining_epochs` is 0 unless it is given, or unlabelled texts are.
        teacher: the folder of a classifier whose probabilities are learned, on the unlabelled texts too.
        budget: seconds, or a duration such as "10m": the best model that can be had in that time is made, by
            presets of growing size. Of the options `seed`, `class_weights`, `calibration` and `threshold_metric`
            may be given then.
        text_column, label_column: where texts and labels stand in tables.
        data_dir: the folder that holds IMDb, for `data="imdb"`.
        device: "auto", "cpu" or "cuda".
        overwrite: replace a model in `out`.
        resume: go on with the unfinished run of the same data and options.
        baseline: measure NB-weighted logistic regression on the same texts too.
        plots: draw learning curves, confusion matrix and reliability diagram into `out`/plots.
        early_exit: learn on the validation texts when a text need not be read on; for models of one direction.
        watch: called with every event on the way: notes, steps, epochs, calibration, measurements.
        options: fields of `ModelConfig` and `TrainingConfig`, such as `epochs=3`.

    Returns:
        The classifier, its report, the baseline's report and the history of its epochs.

    Raises:
        InputError: something about the call or its data is wrong; nothing was written.
        WriteError: the model can't be written; an older one is untouched.
    """
    job = make_job(
        data,
        Path(out),
        preset=preset,
        validation=validation,
        test=test,
        unlabelled=unlabelled,
        encoder=encoder,
        teacher=teacher,
        budget=budget,
        text_column=text_column,
        label_column=label_column,
        data_dir=None if data_dir is None else Path(data_dir),
        device=device,
        overwrite=overwrite,
        resume=resume,
        baseline=baseline,
        plots=plots,
        early_exit=early_exit,
        options=options,
    )
    for event in run(job):
        if watch is not None:
            watch(event)
    assert isinstance(event, TrainingResult)
    return event


def make_job(
    data: str | os.PathLike[str] | Dataset,
    out: Path,
    *,
    preset: str,
    validation: SplitSource,
    test: SplitSource | None,
    unlabelled: UnlabelledSource | None,
    encoder: str | os.PathLike[str] | None,
    teacher: str | os.PathLike[str] | None,
    budget: str | float | None,
    text_column: str,
    label_column: str,
    data_dir: Path | None,
    device: str,
    overwrite: bool,
    resume: bool,
    baseline: bool,
    plots: bool,
    early_exit: bool,
    options: Mapping[str, Any],
    say: Callable[[str], None] | None = None,
    progress: DownloadProgress | None = None,
) -> TrainingJob:
    """Checks and reads all that `train` is called with; the arguments are its own, and those of `load_splits`."""
    model, training, seconds = resolve_configs(
        preset, options, encoder=encoder, teacher=teacher, unlabelled=unlabelled, budget=budget, resume=resume
    )
    if early_exit and seconds is None:
        check_early_exit(model.bidirectional, encoder)
    places = InitialModels.of(encoder, teacher)
    check_output(out, overwrite=overwrite, resume=resume, device=device, plots=plots)
    return TrainingJob(
        data=load_splits(
            data,
            validation=validation,
            test=test,
            unlabelled=unlabelled,
            text_column=text_column,
            label_column=label_column,
            data_dir=data_dir,
            seed=training.seed,
            say=say,
            progress=progress,
        ),
        model=model,
        training=training,
        out=out,
        preset=preset,
        cap_vocabulary=options.get("vocabulary_size") is None,
        device=device,
        overwrite=overwrite,
        resume=resume,
        baseline=baseline,
        plots=plots,
        early_exit=early_exit,
        encoder=places.encoder,
        teacher=places.teacher,
        budget=seconds,
    )


def distill(
    teacher: str | os.PathLike[str],
    data: str | os.PathLike[str] | Dataset,
    out: str | os.PathLike[str] = "student",
    **options: Any,
) -> TrainingResult:
    """Trains a student on the probabilities that a teacher gives to texts, measures it and saves it.

    Args:
        teacher: the folder of the classifier to learn from.
        data: labelled texts with the teacher's classes; their labels count half.
        out: the folder to save to.
        options: those of `train`: `unlabelled` texts above all, on which the teacher alone is believed, and
            `bidirectional=False` for a student that reads forward only.

    Raises what `train` raises, and `DataError` for classes that are not the teacher's.
    """
    return train(data, out, teacher=teacher, **options)
