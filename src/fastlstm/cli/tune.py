"""`fastlstm tune`: from labelled texts to the best model that a search finds in some time."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from fastlstm.cli.options import (
    common_options,
    config_options,
    parse_sizes,
    preset_option,
    split_source,
    table_options,
)
from fastlstm.cli.output import json_object, report
from fastlstm.cli.progress import Display, resuming, watch
from fastlstm.config import configure
from fastlstm.language_model.loop import LanguageModelEpoch
from fastlstm.nn.runs import Note
from fastlstm.training.events import EpochResult, Evaluated
from fastlstm.tuning.events import Metric, Trial, TrialDone, TrialStarted, TuningEvent, TuningResult


class TuningDisplay(Display):
    """Shows a search's events on `file`. `result` is there once the search has ended."""

    result: TuningResult  # type: ignore[assignment]  # a search's, in place of a run's

    def __init__(self, file: TextIO) -> None:
        super().__init__(file)
        self.has_best = False

    def __enter__(self) -> TuningDisplay:
        return self

    def show_tuning(self, event: TuningEvent) -> None:
        """Shows one event."""
        match event:
            case TrialStarted():
                self.begin(event.training)
            case TrialDone():
                self._end_bar()
                self.has_best = event.best is not None
                self.note(trial_line(event.trial, event.best, event.metric))
            case TuningResult():
                self._end_bar()
                self.result = event
            case EpochResult() | LanguageModelEpoch():
                pass  # a line a trial says enough
            case Note() | Evaluated() | _:
                self.show(event)


def trial_line(trial: Trial, best: Trial | None, metric: Metric) -> str:
    """One trial in a line: what differs from the preset, how good it was, its seconds, and the best so far."""
    parts = [f"trial {trial.number}: {trial_changes(trial.changes)}"]
    if trial.state != "complete":
        parts.append(f"{_ending(trial)} after {_epochs(trial.epochs)}")
    if trial.loss is not None:
        parts.append(f"loss {trial.loss:.4f}, accuracy {trial.accuracy:.2%} on validation")
    parts.append(f"{trial.seconds:.1f} s")
    if best is not None and best.number == trial.number:
        parts.append("the best so far")
    elif best is not None:
        value = f"{best.loss:.4f}" if metric == "loss" else f"{best.accuracy:.2%}"
        parts.append(f"best so far: {value} of trial {best.number}")
    return "; ".join(parts)


def trial_changes(changes: Mapping[str, Any]) -> str:
    """What differs from the preset, as options are written."""
    written = (
        f"{name.replace('_', '-')} {','.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in changes.items()
    )
    return ", ".join(written) or "the preset as it stands"


def _epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"


def _ending(trial: Trial) -> str:
    if trial.state == "failed":
        return f"failed ({trial.why_not})"
    return "given up" if trial.state == "pruned" else "stopped"


if TYPE_CHECKING:
    from fastlstm.tuning.events import TuningResult

TUNABLE_OPTIONS = ("preset", "validation", "test", "text_column", "label_column", "data_dir", "device")
"""Options of `train` besides the configurations' that make the same model again."""


@click.command("tune")
@click.argument("data", metavar="DATA")
@preset_option
@click.option("--budget", default=None, metavar="DURATION",
              help="How long to search, as 90s, 10m or 1h30m. [10m, unless --trials is given]")  # fmt: skip
@click.option("--trials", type=int, default=None, metavar="N",
              help="How many configurations to try at most, those of a resumed search included.")  # fmt: skip
@click.option("--metric", default="loss", show_default=True, metavar="loss|accuracy",
              help="What is made best on the validation texts.")  # fmt: skip
@click.option("--out", "-o", type=click.Path(path_type=Path), default=Path("model"), show_default=True,
              help="The folder to save the best model to.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace a model, or a search, in --out.")
@click.option("--resume", is_flag=True, help="Go on with the search in --out.")
@click.option("--validation", default="0.2", show_default=True, metavar="DATA|FRACTION",
              help="What chooses: a share of the texts, or data of its own.")  # fmt: skip
@click.option("--test", default=None, metavar="DATA|FRACTION",
              help="What the best model is measured on. [imdb: its test split; else: validation]")  # fmt: skip
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda", help="Where to train.")
@click.option("--baseline/--no-baseline", default=True, help="Measure a bag of words beside. [on]")
@click.option("--plots", is_flag=True, help="Draw the search, and what train draws, into OUT/plots.")
@config_options()
@table_options
@common_options
def command(
    data: str,
    preset: str,
    budget: str | None,
    trials: int | None,
    metric: str,
    out: Path,
    overwrite: bool,
    resume: bool,
    validation: str,
    test: str | None,
    device: str,
    baseline: bool,
    plots: bool,
    text_column: str,
    label_column: str,
    data_dir: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Search the options that suit DATA best, and save the best model.

    The preset as it stands is tried first. Options that are given are as they are given; learning rate, sizes,
    dropout and the like are searched where they are not. Validation texts choose.
    """
    options["hidden_sizes"] = parse_sizes(options["hidden_sizes"])
    configure(preset, options)  # what is wrong is told before PyTorch is loaded

    pass
    from fastlstm.tuning.api import make_job
    from fastlstm.tuning.events import TuningResult
    from fastlstm.tuning.search import search

    with TuningDisplay(sys.stderr) as display:
        job = make_job(
            data,
            out,
            budget=budget,
            trials=trials,
            metric=metric,
            preset=preset,
            validation=split_source(validation),
            test=None if test is None else split_source(test),
            text_column=text_column,
            label_column=label_column,
            data_dir=data_dir,
            device=device,
            overwrite=overwrite,
            resume=resume,
            baseline=baseline,
            plots=plots,
            options=options,
            say=display.note,
            progress=display.download,
        )
        display.note(f"data: {job.data.origin}")
        watch(search(job), display.show_tuning, TuningResult, lambda: _stopped(out, display.has_best))
    again = _training_command(click.get_current_context().params, display.result.options)
    _show_result(display.result, again, as_json)


def _stopped(out: Path, has_best: bool) -> str:
    kept = f"the best model so far is in {out}" if has_best else "no trial has ended yet"
    return f"stopped, {kept}; go on with: {resuming(sys.argv[1:])}"


def _show_result(result: TuningResult, again: str, as_json: bool) -> None:
    if not as_json:
        report(result.report, result.measured_on, sys.stdout, baseline=result.baseline)
        print(f"saved: {result.folder}")
        print(f"make it again: {again}")
        return
    json_object(
        {
            "model": str(result.folder),
            **result.report.to_json(),
            "measured_on": result.measured_on,
            "baseline": result.baseline.to_json() if result.baseline else None,
            "calibrated": result.classifier.model.training["calibration"],
            "metric": result.metric,
            "options": dict(result.options),
            "best_trial": result.best.number,
            "trials": [trial.to_json() for trial in result.trials],
            "command": again,
        }
    )


def _training_command(given: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """The `fastlstm train` that makes the model again: with the same data, and `options` of the configurations."""
    defaults = {parameter.name: parameter.default for parameter in command.params}
    words = ["fastlstm", "train", given["data"], "--out", f"{given['out']}-again"]
    for name in TUNABLE_OPTIONS:
        if name == "preset" or given[name] not in (None, defaults[name]):
            words += [f"--{name.replace('_', '-')}", str(given[name])]
    for name, value in options.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    return shlex.join(words)
