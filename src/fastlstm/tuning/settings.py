"""Everything a hyperparameter search is asked to do: built and validated once."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastlstm.config import DEFAULT_PRESET, configure
from fastlstm.config.options import parse_duration
from fastlstm.errors import InputError, OptionError, ResumeError, suggest
from fastlstm.nn.device import find_device
from fastlstm.plots import require_matplotlib
from fastlstm.serialization import atomic
from fastlstm.serialization.folder import CLASSIFIER_FORMAT, check_target
from fastlstm.training.settings import DataSource, TrainingSettings
from fastlstm.tuning.events import Metric
from fastlstm.tuning.space import search_space
from fastlstm.tuning.study import require_optuna

DEFAULT_BUDGET = 600.0
"""Time limit of a search in seconds, if neither a time limit nor a number of trials is given."""
METRICS = ("loss", "accuracy")
RUN_SETTINGS = (
    "preset", "validation", "test", "text_column", "label_column", "data_dir", "device", "overwrite", "resume",
    "baseline", "plots",
)  # fmt: skip
"""Settings of a training run that a search has too."""


@dataclass(frozen=True, kw_only=True)
class TuningSettings:
    """The settings of one search.

    Attributes:
        run: Settings of the training run of the preset, with the fields that are set.
        fields: Configuration fields that are set, and therefore not searched.
        metric: "loss" or "accuracy" of the calibrated model on the validation texts.
        budget: Time limit in seconds; None for none.
        trials: Maximum number of trials, those of a resumed search included; None for no limit.
    """

    run: TrainingSettings
    fields: Mapping[str, Any] = field(default_factory=dict)
    metric: Metric = "loss"
    budget: float | None = DEFAULT_BUDGET
    trials: int | None = None

    @classmethod
    def create(
        cls, data: DataSource, out: str | os.PathLike[str], options: Mapping[str, Any]
    ) -> TuningSettings:
        """Return the settings of a search.

        Args:
            data: What to train on.
            out: Folder for the best model.
            options: `metric`, `budget` (seconds, or a duration such as "10m"), `trials`, the `RUN_SETTINGS`, and fields
                of `ModelConfig` and `TrainingConfig` that are not searched.

        Raises:
            OptionError: Unknown name, bad value, or nothing left to search.
        """
        rest = dict(options)
        metric, budget, trials = rest.pop("metric", "loss"), rest.pop("budget", None), rest.pop("trials", None)
        if metric not in METRICS:
            raise OptionError(
                f"metric is {metric!r}; {suggest(str(metric), METRICS)}",
                code="bad-option-value",
                option="metric",
                value=metric,
            )
        if trials is not None and (not isinstance(trials, int) or isinstance(trials, bool) or trials < 1):
            raise OptionError(
                f"trials is {trials!r}; expected a whole number, at least 1",
                code="bad-option-value",
                option="trials",
                value=trials,
            )
        seconds = None if budget is None else parse_duration(budget)
        fields = {name: value for name, value in rest.items() if name not in RUN_SETTINGS and value is not None}
        run_options = {name: value for name, value in rest.items() if name in RUN_SETTINGS}
        configure(run_options.get("preset", DEFAULT_PRESET), fields)  # rejects other settings of a run
        run = TrainingSettings.create(data, out, {**run_options, **fields})
        search_space(run.preset, fields)
        if seconds is None and trials is None:
            seconds = DEFAULT_BUDGET
        return cls(run=run, fields=fields, metric=metric, budget=seconds, trials=trials)

    @property
    def out(self) -> Path:
        """The folder for the best model."""
        return self.run.out

    @property
    def min_steps(self) -> int:
        """The `min_steps` of every trial: that of the run with the set fields alone."""
        return self.run.training.min_steps

    def trial(self, options: Mapping[str, Any]) -> TrainingSettings:
        """Return the settings of a trial with the searched options. Raise `OptionError` for a bad value."""
        # A trial sets every field, which must not switch off what the preset does for small datasets.
        fields = {"min_steps": self.min_steps, **self.fields, **options}
        model, training = configure(self.run.preset, fields)
        return dataclasses.replace(self.run, model=model, training=training)


def study_path(out: Path) -> Path:
    """Return the file next to `out` that stores the trials, from which a search is resumed."""
    return out.with_name(f"{out.name}.study")


def check_search(settings: TuningSettings) -> None:
    """Check everything that would make a search fail later.

    Raises:
        MissingDependencyError: Optuna, or for plots matplotlib, is not installed.
        InputError: `out` is taken, there is nothing to resume, or the device is not available.
        WriteError: `out` cannot be written.
    """
    run, out = settings.run, settings.out
    require_optuna()
    if run.plots:
        require_matplotlib()
    find_device(run.device)
    if not out.name:
        raise InputError(
            f"cannot save a model as {out}; expected the name of a new folder: pass --out",
            code="bad-output",
            path=out,
        )
    study = study_path(out)
    if study.exists() and not is_study(study):
        raise InputError(
            f"{study} is not a study of fastlstm, so it is not overwritten; move it, or choose another --out",
            code="not-a-study",
            path=study,
        )
    if run.resume and not study.exists():
        raise ResumeError(
            f"nothing to resume: {study} does not exist; run the command without --resume",
            code="no-study",
            path=study,
        )
    if not run.resume and study.exists() and not run.overwrite:
        raise InputError(
            f"{study} contains an unfinished search; pass --resume to continue it, or --overwrite to start again",
            code="unfinished-run",
            path=study,
        )
    check_target(out, CLASSIFIER_FORMAT, overwrite=run.overwrite or run.resume)
    atomic.check_writable(out)


def is_study(path: Path) -> bool:
    """Return whether the file starts like a journal of Optuna, or is empty, as a crash may leave it."""
    try:
        with path.open("rb") as file:
            first = file.readline(65536)
        return not first or "op_code" in json.loads(first)
    except (OSError, ValueError, TypeError):
        return False
