"""Settings of a hyperparameter search, built and validated once, for Python and the command line alike."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastlstm.config import DEFAULT_PRESET, configure
from fastlstm.config.options import parse_duration
from fastlstm.data.options import READ_OPTIONS
from fastlstm.data.splits import CROSS_VALIDATION, cross_validation_refused
from fastlstm.errors import OptionError, suggest
from fastlstm.training.settings import DataSource, TrainingSettings, has_soft_labels
from fastlstm.tuning.space import METRICS, Metric, search_space

DEFAULT_BUDGET = 600.0
"""Time limit of a search in seconds, if neither a time limit nor a number of trials is given."""
RUN_SETTINGS = (
    "preset", "validation", "test", "data_dir", "device", "overwrite", "resume", "baseline", "plots", *READ_OPTIONS,
)  # fmt: skip
"""Attributes of `TrainingSettings` that a search also has."""


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
    def create(cls, data: DataSource, out: str | os.PathLike[str], options: Mapping[str, Any]) -> TuningSettings:
        """Return the settings of a search.

        Args:
            data: The data to train on.
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
        if has_soft_labels(data, run.reading):
            raise OptionError(
                "a search has no teacher: remove `probability_columns` or `probability_column`, and distill with the "
                "options that it finds",
                code="search-without-teacher",
            )
        if isinstance(run.validation, str) and run.validation == CROSS_VALIDATION:
            raise cross_validation_refused()
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
        # A trial sets `epochs` and `batch_size`, which would otherwise switch `min_steps` off.
        fields = {"min_steps": self.min_steps, **self.fields, **options}
        model, training = configure(self.run.preset, fields)
        return dataclasses.replace(self.run, model=model, training=training)


def study_path(out: Path) -> Path:
    """Return the file next to `out` that stores the trials, from which a search is resumed."""
    return out.with_name(f"{out.name}.study")
