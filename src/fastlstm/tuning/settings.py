"""What a search is to do, and whether it can."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastlstm.config import configure
from fastlstm.data.splits import DataSplits
from fastlstm.errors import InputError, OptionError, ResumeError, suggest
from fastlstm.nn.device import find_device
from fastlstm.plots import require_matplotlib
from fastlstm.serialization import atomic
from fastlstm.serialization.classifier import check_classifier_target
from fastlstm.training.settings import TrainingJob
from fastlstm.tuning.events import Metric
from fastlstm.tuning.space import search_space
from fastlstm.tuning.study import require_optuna

BUDGET = 600.0
"""Seconds of a search where nothing says how long it may be."""


@dataclass(frozen=True, kw_only=True)
class TuningJob:
    """What a search is to do.

    Attributes:
        data: the texts; validation texts choose.
        preset: what is tried first, and what every other trial changes.
        given: options that are as they are given, not searched.
        out: the folder for the best model.
        metric: of the validation texts, what makes a trial better than another.
        budget: seconds after which no step is begun; None: no limit.
        trials: how many in all, those of a resumed search included; None: no limit.
        device, overwrite, resume, baseline, plots: as those of `TrainingJob`.
    """

    data: DataSplits
    preset: str
    out: Path
    given: Mapping[str, Any] = field(default_factory=dict)
    metric: Metric = "loss"
    budget: float | None = BUDGET
    trials: int | None = None
    device: str = "auto"
    overwrite: bool = False
    resume: bool = False
    baseline: bool = True
    plots: bool = False

    @property
    def min_steps(self) -> int:
        """What every trial has, as `train` has it with the options given alone."""
        return configure(self.preset, self._given())[1].min_steps

    def _given(self) -> dict[str, Any]:
        return {name: value for name, value in self.given.items() if value is not None}

    def trial(self, options: Mapping[str, Any]) -> TrainingJob:
        """The run with `options` besides those given. Raises `OptionError`."""
        # A trial names every option; that must not switch off what the preset does for few texts.
        model, training = configure(self.preset, {"min_steps": self.min_steps, **self._given(), **options})
        return TrainingJob(
            data=self.data,
            model=model,
            training=training,
            out=self.out,
            preset=self.preset,
            cap_vocabulary=self.given.get("vocabulary_size") is None,
            device=self.device,
            overwrite=self.overwrite,
            resume=self.resume,
            baseline=self.baseline,
            plots=self.plots,
        )


def study_path(out: Path) -> Path:
    """The file beside `out` that keeps the trials, for a search to go on."""
    return out.with_name(f"{out.name}.study")


def limits(budget: float | None, trials: int | None) -> tuple[float | None, int | None]:
    """The two limits of a search; where none is given, `BUDGET`.

    Raises `OptionError` for a number of trials below 1.
    """
    if trials is not None and (not _is_count(trials)):
        raise OptionError(f"trials is {trials!r}; expected a whole number, at least 1")
    return BUDGET if budget is None and trials is None else budget, trials


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def check_before_tuning(
    out: Path,
    preset: str,
    given: Mapping[str, Any],
    *,
    metric: str,
    device: str,
    overwrite: bool,
    resume: bool,
    plots: bool,
) -> None:
    """Raises what would end a search later, before it costs any time.

    Raises:
        MissingDependencyError: Optuna, or with `plots` matplotlib, is not installed.
        InputError: `out` is taken, there is nothing to resume or to search, or no such device or metric.
        WriteError: nothing can be written there.
    """
    require_optuna()
    if plots:
        require_matplotlib()
    find_device(device)
    if metric not in ("loss", "accuracy"):
        raise OptionError(f"unknown metric {metric!r}; {suggest(str(metric), ('loss', 'accuracy'))}")
    search_space(preset, given)
    if not out.name:
        raise InputError(f"the model can't be written as {out}; expected the name of a folder to make: pass --out")
    study = study_path(out)
    if study.exists() and not is_study(study):
        raise InputError(
            f"{study} is there and is not a search of fastlstm, so it is never written over; "
            "move it, or choose another --out"
        )
    if resume and not study.exists():
        raise ResumeError(f"nothing to resume: no search at {study}; run the command without --resume")
    if not resume and study.exists() and not overwrite:
        raise InputError(f"{study} holds a search; pass --resume to go on with it, or --overwrite to start anew")
    check_classifier_target(out, overwrite=overwrite or resume)
    atomic.check_writable(out)


def is_study(path: Path) -> bool:
    """Whether the file is one that Optuna's journal begins, or an empty one, which a crash may leave."""
    try:
        with path.open("rb") as file:
            first = file.readline(65536)
        return not first or "op_code" in json.loads(first)
    except (OSError, ValueError, TypeError):
        return False
