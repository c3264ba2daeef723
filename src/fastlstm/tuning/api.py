"""`fastlstm.tune`: search for the best hyperparameters in one call."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import fastlstm.nn  # noqa: F401 -- first: reports a missing `train` extra
from fastlstm.training.settings import DataSource
from fastlstm.tuning.events import TuningEvent, TuningResult
from fastlstm.tuning.search import search
from fastlstm.tuning.settings import TuningSettings


def tune(
    data: DataSource,
    out: str | os.PathLike[str] = "model",
    *,
    watch: Callable[[TuningEvent], object] | None = None,
    **options: Any,
) -> TuningResult:
    """Search for the best hyperparameters, and save the best model.

    The preset is tried first, so the result is never worse than it on the validation texts. The best model so far is
    in `out` as soon as its trial is done; the trials are stored in `out`.study.

    Args:
        data: As for `fastlstm.train`.
        out: Folder for the best model.
        watch: Called with every event of the search.
        options: Attributes of `fastlstm.tuning.settings.TuningSettings`, such as `budget="10m"`, `trials=20` or
            `metric="accuracy"`; settings of a training run, such as `preset` or `test`; and fields of `ModelConfig` and
            `TrainingConfig`, which are then not searched.

    Returns:
        The best classifier, its report, all trials, and the options that train it again.

    Raises:
        MissingDependencyError: Optuna (extra `tune`) is not installed.
        InputError: The call or its data is wrong; nothing was written.
        WriteError: The model or the trials cannot be written; an existing model is unchanged.
        TrainingError: No trial was finished within the time limit.
    """
    for event in search(TuningSettings.create(data, out, options)):
        if watch is not None:
            watch(event)
    assert isinstance(event, TuningResult)
    return event
