"""`fastlstm tune`: search for the best hyperparameters."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import click

from fastlstm.cli.options import PanelCommand, common_options, config_options, option, preset_option, table_options
from fastlstm.cli.output import json_object, report
from fastlstm.cli.progress import Display, resume_command, watch
from fastlstm.cli.train import VISIBLE_FIELDS, device_option, output_options, run_settings, split_options
from fastlstm.language_model.loop import LanguageModelEpoch
from fastlstm.training.events import EpochResult
from fastlstm.tuning.events import Metric, Trial, TrialDone, TrialStarted, TuningEvent, TuningResult
from fastlstm.tuning.search import search
from fastlstm.tuning.settings import METRICS, TuningSettings

REPEATED_OPTIONS = ("preset", "validation", "test", "text_column", "label_column", "data_dir", "device")
"""Options, besides configuration fields, that `fastlstm train` needs to train the best model again."""


class TuningDisplay(Display):
    """Shows the events of a search; `result` is set at its end."""

    result: TuningResult  # type: ignore[assignment]  # of a search instead of a run

    def __init__(self, file: TextIO) -> None:
        super().__init__(file)
        self.has_best = False

    def __enter__(self) -> TuningDisplay:
        return self

    def show_tuning(self, event: TuningEvent) -> None:
        """Show one event of a search."""
        match event:
            case TrialStarted():
                self.start_training(event.training)
            case TrialDone():
                self.end_bar()
                self.has_best = event.best is not None
                self.note(trial_line(event.trial, event.best, event.metric))
            case TuningResult():
                self.end_bar()
                self.result = event
            case EpochResult() | LanguageModelEpoch():
                pass  # one line per trial is enough
            case _:
                self.show(event)


def trial_line(trial: Trial, best: Trial | None, metric: Metric) -> str:
    """Return one line about a trial: changes to the preset, result, duration, and the best result so far."""
    parts = [f"trial {trial.number}: {describe_changes(trial.changes)}"]
    if trial.state != "complete":
        ending = f"failed ({trial.why_not})" if trial.state == "failed" else trial.state
        parts.append(f"{ending} after {trial.epochs} {'epoch' if trial.epochs == 1 else 'epochs'}")
    if trial.loss is not None:
        parts.append(f"loss {trial.loss:.4f}, accuracy {trial.accuracy:.2%} on validation")
    parts.append(f"{trial.seconds:.1f} s")
    if best is not None and best.number == trial.number:
        parts.append("the best so far")
    elif best is not None:
        value = f"{best.loss:.4f}" if metric == "loss" else f"{best.accuracy:.2%}"
        parts.append(f"best so far: {value} (trial {best.number})")
    return "; ".join(parts)


def describe_changes(changes: Mapping[str, Any]) -> str:
    """Return the options that differ from the preset, as NAME=VALUE."""
    return ", ".join(f"{name}={_written(value)}" for name, value in changes.items()) or "the preset"


@click.command("tune", cls=PanelCommand)
@click.argument("data", metavar="DATA")
@option("--budget", metavar="TIME", panel="Search", help="Time limit, such as 10m. [default: 10m, or --trials]")
@option("--trials", type=int, metavar="N", panel="Search", help="Maximum number of trials.")
@option("--metric", type=click.Choice(METRICS), default="loss", show_default=True, panel="Search",
        help="Validation metric to optimize.")  # fmt: skip
@table_options
@split_options
@preset_option
@config_options(*VISIBLE_FIELDS)
@device_option
@output_options
@common_options
def command(data: str, out: Path, options: Mapping[str, Any], as_json: bool, **values: Any) -> None:
    """Search for the hyperparameters that suit DATA best, and save the best model.

    The preset is tried first. Fields that are set are not searched; learning rate, sizes, dropout and others are.
    The validation texts select the best trial.
    """
    settings = TuningSettings.create(data, out, run_settings(options, **values))

    def interrupted() -> str:
        best = f"the best model so far is in {out}" if display.has_best else "no trial is finished"
        return f"stopped, {best}; resume with: {resume_command(sys.argv[1:])}"

    with TuningDisplay(sys.stderr) as display:
        events = search(settings, log=display.note, progress=display.download)
        watch(events, display.show_tuning, TuningResult, interrupted)
    again = _training_command(click.get_current_context().params, display.result.options)
    _print_result(display.result, again, as_json)


def _print_result(result: TuningResult, again: str, as_json: bool) -> None:
    if not as_json:
        report(result.report, result.evaluated_on, sys.stdout, baseline=result.baseline)
        print(f"saved: {result.folder}")
        print(f"train it again: {again}")
        return
    json_object(
        {
            "model": str(result.folder),
            **result.report.to_json(),
            "measured_on": result.evaluated_on,
            "baseline": result.baseline.to_json() if result.baseline else None,
            "calibrated": result.classifier.saved.training["calibration"],
            "metric": result.metric,
            "options": dict(result.options),
            "best_trial": result.best.number,
            "trials": [trial.to_json() for trial in result.trials],
            "command": again,
        }
    )


def _training_command(parameters: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Return the `fastlstm train` command that trains the best model again."""
    defaults = {parameter.name: parameter.default for parameter in command.params}
    words = ["fastlstm", "train", parameters["data"], "--out", f"{parameters['out']}-again"]
    for name in REPEATED_OPTIONS:
        if name == "preset" or parameters[name] not in (None, defaults[name]):
            words += [f"--{name.replace('_', '-')}", str(parameters[name])]
    for name, value in options.items():
        words += ["--set", f"{name}={_written(value)}"]
    return shlex.join(words)


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
