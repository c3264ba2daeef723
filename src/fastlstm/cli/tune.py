"""`fastlstm tune`: search for the best hyperparameters."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastlstm.cli.escaping import print_line
from fastlstm.cli.options import (
    PanelCommand,
    common_options,
    config_options,
    format_value,
    option,
    preset_option,
    table_options,
)
from fastlstm.cli.output import json_object, note_missing_fonts, report
from fastlstm.cli.train import (
    VISIBLE_FIELDS,
    device_option,
    holdout_options,
    output_options,
    require_sources,
    result_json,
    run_settings,
)
from fastlstm.data.options import READ_OPTIONS
from fastlstm.data.splits import VALIDATION_FRACTION
from fastlstm.tuning.settings import TuningSettings
from fastlstm.tuning.space import METRICS

if TYPE_CHECKING:
    from fastlstm.tuning.events import TuningResult

REPEATED_OPTIONS = ("preset", "validation", "test", "data_dir", "device", *READ_OPTIONS)
"""Options that `fastlstm train` needs, in addition to --set, to train the best model again."""


@click.command("tune", cls=PanelCommand)
@click.argument("data", metavar="DATA")
@option("--budget", metavar="TIME", panel="Search", help="Time limit, such as 10m. [default: 10m, or --trials]")
@option("--trials", type=int, metavar="N", panel="Search", help="Maximum number of trials.")
@option("--metric", type=click.Choice(METRICS), default="loss", show_default=True, panel="Search",
        help="Validation metric to optimize.")  # fmt: skip
@table_options
@holdout_options
@preset_option
@config_options(*VISIBLE_FIELDS)
@device_option
@output_options
@common_options
def command(data: str, out: Path, options: Mapping[str, Any], as_json: bool, **values: Any) -> None:
    """Search for the best hyperparameters for DATA, and save the best model.

    The preset is tried first. Fields that are set are not searched; learning rate, sizes, dropout and others are.
    The validation texts select the best trial.
    """
    settings = TuningSettings.create(data, out, run_settings(options, **values))
    require_sources(data, settings.run.validation, settings.run.test)
    from fastlstm.cli.progress import resume_command, watch
    from fastlstm.cli.tuning_progress import TuningDisplay
    from fastlstm.tuning.events import TuningResult
    from fastlstm.tuning.search import search

    def interrupted() -> str:
        best = f"the best model so far is in {out}" if display.has_best else "no trial is finished"
        return f"stopped, {best}; resume with: {resume_command(sys.argv[1:])}"

    with TuningDisplay(sys.stderr) as display:
        events = search(settings, log=display.note, progress=display.download)
        watch(events, display.show_tuning, TuningResult, interrupted)
    training_command = _training_command(click.get_current_context().params, display.result.options)
    _print_result(display.result, training_command, as_json)


def _print_result(result: TuningResult, training_command: str, as_json: bool) -> None:
    if not as_json:
        report(result.report, result.evaluated_on, sys.stdout, baseline=result.baseline)
        print_line(f"saved: {result.folder}")
        if (plots := result.folder / "plots").is_dir():
            print_line(f"plots: {plots}")
            note_missing_fonts(labels=result.classifier.labels)
        print_line(f"train it again: {training_command}")
        return
    json_object(
        {
            **result_json(result),
            "metric": result.metric,
            "options": dict(result.options),
            "best_trial": result.best.number,
            "trials": [trial.to_json() for trial in result.trials],
            "command": training_command,
        }
    )


def _training_command(parameters: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Return the `fastlstm train` command that trains the best model again."""
    defaults = {parameter.name: parameter.default for parameter in command.params}
    words = ["fastlstm", "train", parameters["data"], "--out", f"{parameters['out']}-again"]
    parameters = {**parameters, "validation": parameters["validation"] or VALIDATION_FRACTION}
    for name in (name for name in REPEATED_OPTIONS if name in parameters):
        flag, value = f"--{name.replace('_', '-')}", parameters[name]
        if value is True:
            words.append(flag)
        elif name == "preset" or value not in (None, False, defaults[name]):
            words += [flag, str(value)]
    for name, value in options.items():
        words += ["--set", f"{name}={format_value(value)}"]
    return shlex.join(words)
