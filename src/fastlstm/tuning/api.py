"""`fastlstm.tune`: one call from labelled texts to the best model that a search finds."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fastlstm.config import DEFAULT_PRESET, configure
from fastlstm.config.duration import parse_duration
from fastlstm.data import Dataset
from fastlstm.data.datasets.download import DownloadProgress
from fastlstm.data.splits import SplitSource, load_splits
from fastlstm.tuning.events import Metric, TuningEvent, TuningResult
from fastlstm.tuning.search import search
from fastlstm.tuning.settings import TuningJob, check_before_tuning, limits


def tune(
    data: str | os.PathLike[str] | Dataset,
    out: str | os.PathLike[str] = "model",
    *,
    budget: str | float | None = None,
    trials: int | None = None,
    metric: Metric = "loss",
    preset: str = DEFAULT_PRESET,
    validation: SplitSource = 0.2,
    test: SplitSource | None = None,
    text_column: str = "text",
    label_column: str = "label",
    data_dir: str | os.PathLike[str] | None = None,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    baseline: bool = True,
    plots: bool = False,
    watch: Callable[[TuningEvent], object] | None = None,
    **options: Any,
) -> TuningResult:
    """Searches the options that suit the data best, and saves the best model.

    The preset as it stands is tried first, so the result is never worse than it on the validation texts.

    Args:
        data, validation, test, text_column, label_column, data_dir, device, baseline: as `train` takes them.
        out: the folder for the best model, and its place once a trial has ended; the trials are kept beside, in
            `out`.study.
        budget: how long to search, in seconds or as "10m"; ten minutes, unless `trials` is given.
        trials: how many trials at most, those of a resumed search included.
        metric: "loss" or "accuracy", of the calibrated model on the validation texts.
        preset: what is tried first, and what every other trial changes.
        overwrite: replace a model, or a search, in `out`.
        resume: go on with the search in `out`, of the same data and options.
        plots: draw the course of the search, which options mattered, and what `train` draws.
        watch: called with every event on the way.
        options: fields of `ModelConfig` and `TrainingConfig` that are not searched but as given.

    Returns:
        The best classifier, its report, all trials, and the options that make it again.

    Raises:
        MissingDependencyError: Optuna (extra `tune`) is not installed.
        InputError: something about the call or its data is wrong; nothing was written.
        WriteError: the model or the trials can't be written; an older model is untouched.
        TrainingError: no trial came to an end within the budget.
    """
    job = make_job(
        data,
        Path(out),
        budget=budget,
        trials=trials,
        metric=metric,
        preset=preset,
        validation=validation,
        test=test,
        text_column=text_column,
        label_column=label_column,
        data_dir=None if data_dir is None else Path(data_dir),
        device=device,
        overwrite=overwrite,
        resume=resume,
        baseline=baseline,
        plots=plots,
        options=options,
    )
    for event in search(job):
        if watch is not None:
            watch(event)
    assert isinstance(event, TuningResult)
    return event


def make_job(
    data: str | os.PathLike[str] | Dataset,
    out: Path,
    *,
    budget: str | float | None,
    trials: int | None,
    metric: str,
    preset: str,
    validation: SplitSource,
    test: SplitSource | None,
    text_column: str,
    label_column: str,
    data_dir: Path | None,
    device: str,
    overwrite: bool,
    resume: bool,
    baseline: bool,
    plots: bool,
    options: Mapping[str, Any],
    say: Callable[[str], None] | None = None,
    progress: DownloadProgress | None = None,
) -> TuningJob:
    """Checks and reads all that `tune` is called with; the arguments are its own, and those of `load_splits`."""
    _, training = configure(preset, options)
    seconds, most = limits(None if budget is None else parse_duration(budget), trials)
    check_before_tuning(
        out, preset, options, metric=metric, device=device, overwrite=overwrite, resume=resume, plots=plots
    )
    return TuningJob(
        data=load_splits(
            data,
            validation=validation,
            test=test,
            text_column=text_column,
            label_column=label_column,
            data_dir=data_dir,
            seed=training.seed,
            say=say,
            progress=progress,
        ),
        preset=preset,
        out=out,
        given=options,
        metric="accuracy" if metric == "accuracy" else "loss",
        budget=seconds,
        trials=most,
        device=device,
        overwrite=overwrite,
        resume=resume,
        baseline=baseline,
        plots=plots,
    )
