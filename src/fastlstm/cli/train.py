"""`fastlstm train` and `fastlstm distill`: from labelled texts to a saved, evaluated model."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fastlstm.cli.escaping import print_line
from fastlstm.cli.option_names import current_command, with_options
from fastlstm.cli.options import (
    Function,
    PanelCommand,
    common_options,
    config_options,
    option,
    preset_option,
    split_source,
    table_options,
)
from fastlstm.cli.output import json_object, note_missing_fonts, report

if TYPE_CHECKING:
    from fastlstm.training.events import TrainingResult
    from fastlstm.tuning.events import TuningResult

VISIBLE_FIELDS = ("tokens", "epochs", "learning_rate", "class_weights", "seed")
"""Configuration fields that have a command-line option; --set sets the others."""


def output_options(function: Function) -> Function:
    """Add the options of a run about its output folder, the baseline and plots."""
    for decorator in reversed(
        (
            option("--out", "-o", type=click.Path(path_type=Path), default=Path("model"), show_default=True,
                   metavar="DIR", panel="Output", help="Folder to save the model to."),
            option("--overwrite", is_flag=True, panel="Output", help="Replace what --out contains."),
            option("--resume", is_flag=True, panel="Output", help="Continue the unfinished run in --out."),
            option("--baseline/--no-baseline", default=True, show_default=True, panel="Output",
                   help="Compare with an n-gram baseline, and without --encoder."),
            option("--plots", is_flag=True, panel="Output", help="Draw plots into DIR/plots."),
        )
    ):  # fmt: skip
        function = decorator(function)
    return function


def split_options(function: Function) -> Function:
    """Add --validation, which can be a cross-validation, and --test."""
    return _split_options(function, "DATA|FRACTION|cross", "[default: 0.2; below 1,000: cross]")


def holdout_options(function: Function) -> Function:
    """Add --validation, by texts that are held out, and --test."""
    return _split_options(function, "DATA|FRACTION", "[default: 0.2]")


def _split_options(function: Function, metavar: str, default: str) -> Function:
    function = option("--test", metavar="DATA|FRACTION", panel="Data",
                      help="Texts to evaluate on. [default: validation texts]")(function)  # fmt: skip
    return option("--validation", metavar=metavar, panel="Data",
                  help=f"Validation texts. {default}")(function)  # fmt: skip


def device_option(function: Function) -> Function:
    """Add --device."""
    return option("--device", type=click.Choice(("auto", "cpu", "cuda")), default="auto", show_default=True,
                  panel="Training", help="Device to train on.")(function)  # fmt: skip


def workers_option(function: Function) -> Function:
    """Add --workers."""
    return option("--workers", type=int, default=1, metavar="N", panel="Training",
                  help="Processes, on a Ray cluster. [default: 1]")(function)  # fmt: skip


def soft_label_options(function: Function) -> Function:
    """Add the options about probabilities of a teacher."""
    function = option("--label-weight", type=click.FloatRange(0, 1), metavar="W", panel="Data",
                      help="Weight of labels; the teacher has the rest. [default: 0.5]")(function)  # fmt: skip
    return probability_options(function)


def probability_options(function: Function) -> Function:
    """Add the options of reading probabilities of classes."""
    for decorator in (
        option("--probability-column", metavar="NAME", panel="Data",
               help="Column that maps classes to probabilities."),
        option("--probability-columns", metavar="CLASS=NAME,...", panel="Data",
               help="Columns with the probability of each class."),
    ):  # fmt: skip
        function = decorator(function)
    return function


def run_options(function: Function, splits: Callable[[Function], Function]) -> Function:
    """Add the options of a run, which `train` and `distill` share. `splits` adds those of validation and test texts."""
    for decorator in reversed(
        (
            table_options,
            splits,
            soft_label_options,
            option(
                "--unlabelled", metavar="TEXTS", panel="Data", help="Texts without labels: file, folder or imdb."
            ),
            preset_option,
            option("--encoder", metavar="DIR", panel="Model", help="Language model to start from."),
            option(
                "--word-vectors",
                metavar="FILE",
                panel="Model",
                help="Vectors of word2vec, GloVe or fastText.",
            ),
            config_options(*VISIBLE_FIELDS),
            device_option,
            option("--early-exit", is_flag=True, panel="Training", help="Fit early-exit thresholds."),
            output_options,
            common_options,
        )
    ):
        function = decorator(function)
    return function


def train_and_report(data: str | None, out: Path, settings: Mapping[str, Any], *, as_json: bool) -> None:
    """Train with the given settings, show progress, and print the result.

    What a teacher prints goes to standard error.
    """
    from fastlstm.data.splits import CROSS_VALIDATION
    from fastlstm.training.settings import TrainingSettings

    # Options and paths are checked before the slow import of PyTorch.
    with contextlib.redirect_stdout(sys.stderr):
        chosen = TrainingSettings.create(data, out, settings)
    validation = None if chosen.validation == CROSS_VALIDATION else chosen.validation
    require_sources(chosen.data, chosen.unlabelled)
    require_sources(validation, chosen.test, otherwise="a fraction such as 0.2, or cross for --validation")
    from fastlstm.cli.progress import Display, interrupted_message, watch
    from fastlstm.training.events import TrainingResult
    from fastlstm.training.run import run

    def interrupted() -> str:
        if chosen.budget is not None:
            return f"stopped; the best model so far, if any, is in {out}"
        return interrupted_message(out)

    with Display(sys.stderr) as display, contextlib.redirect_stdout(sys.stderr):
        events = run(chosen, log=display.note, progress=display.download)
        watch(events, display.show, TrainingResult, interrupted)
    _print_result(display.result, as_json)


def require_sources(*sources: object, otherwise: str | None = None) -> None:
    """Raise `DataError` for the first source that is the path of a missing file or folder.

    `otherwise` names, for the message, what the sources can be instead of a path.
    """
    from fastlstm.data.readers.databases import is_database
    from fastlstm.data.readers.files import require_path
    from fastlstm.data.readers.labelled import FORMATS

    for source in sources:
        if isinstance(source, str | os.PathLike) and source != "imdb" and not is_database(source):
            require_path(Path(source), FORMATS if otherwise is None else f"{FORMATS}; or {otherwise}")


def run_settings(options: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    """Return the settings of a run from the values of its options."""
    validation, test = values.pop("validation"), values.pop("test")
    if "label_weight" in values and values["label_weight"] is None:
        del values["label_weight"]
    return {
        **options,
        **values,
        "validation": None if validation is None else split_source(validation),
        "test": None if test is None else split_source(test),
    }


def _print_result(result: TrainingResult, as_json: bool) -> None:
    if not as_json:
        report(result.report, result.evaluated_on, sys.stdout, baseline=result.baseline)
        if result.agreement is not None:
            print_line(str(result.agreement))
        print_line(f"saved: {result.folder}")
        if (plots := result.folder / "plots").is_dir():
            print_line(f"plots: {plots}")
            note_missing_fonts(labels=result.classifier.labels)
        print_line(f'use it: fastlstm predict --model {shlex.quote(str(result.folder))} "your text"')
        return
    json_object(
        {
            **result_json(result),
            "agreement": None if result.agreement is None else result.agreement.to_json(),
            "history": [dataclasses.asdict(epoch) for epoch in result.history],
        }
    )


def result_json(result: TrainingResult | TuningResult) -> dict[str, Any]:
    """Return the part of the JSON output that runs and searches share."""
    return {
        "model": str(result.folder),
        **result.report.to_json(),
        "evaluated_on": with_options(result.evaluated_on, current_command()),
        "baseline": result.baseline.to_json() if result.baseline else None,
        "calibrated": result.classifier.saved.training["calibration"],
        "linear": result.classifier.saved.is_linear,
        "streams": result.classifier.can_stream,
        "notes": [note.to_json() for note in result.notes],
    }


@click.command("train", cls=PanelCommand)
@click.argument("data", metavar="DATA")
@option("--budget", metavar="TIME", panel="Training", help="Time for the best model, such as 10m.")
@workers_option
@partial(run_options, splits=split_options)
def command(data: str, out: Path, options: Mapping[str, Any], as_json: bool, **values: Any) -> None:
    """Train a classifier on DATA, compare it with an n-gram baseline, and save it.

    DATA is imdb, a CSV, TSV, JSONL, Parquet or fastText file, a folder with one subfolder per class, or
    postgresql://host/database?table=name. The preset sets all options that are not given.
    """
    settings = run_settings(options, **values)
    if click.get_current_context().get_parameter_source("preset") is ParameterSource.DEFAULT:
        del settings["preset"]  # A budget refuses any preset that the user gives.
    train_and_report(data, out, settings, as_json=as_json)


@click.command("distill", cls=PanelCommand)
@click.argument("sources", nargs=-1, metavar="[TEACHER] [DATA]")
@option("--teacher", metavar="MODEL", panel="Data", help="The same as TEACHER.")
@option(
    "--teacher-labels", metavar="CLASS,...", panel="Data", help="Classes of TEACHER's columns, or OLD=CLASS,..."
)
@partial(run_options, splits=holdout_options)
def distill_command(
    sources: tuple[str, ...], out: Path, options: Mapping[str, Any], as_json: bool, **values: Any
) -> None:
    """Train a classifier on the probabilities of another model.

    TEACHER is the folder of a model, or module:attribute or file.py:attribute of a Python object with predict_proba
    or a callable. Without TEACHER, DATA has the probabilities: see --probability-columns.

    DATA contains labelled texts with the classes of the teacher; the targets are the mean of label and
    probability. With --unlabelled, further texts are labelled by the teacher; then DATA can be left out.
    """
    from fastlstm.training.settings import require_teacher

    settings = run_settings(options, **values)
    arguments = list(sources) if settings["teacher"] is None else [settings["teacher"], *sources]
    has_data = len(arguments) > 1 or (settings["unlabelled"] is None and settings["teacher"] is None)
    data = arguments.pop() if has_data and arguments else None
    if len(arguments) > 1:
        raise click.UsageError(f"expected one TEACHER and DATA, found the teachers {', '.join(arguments)}")
    settings["teacher"] = arguments[0] if arguments else None
    if data is None and settings["teacher"] is None:
        raise click.UsageError("missing arguments: TEACHER and DATA, or TEACHER and --unlabelled")
    require_teacher(settings["teacher"], data, settings)
    train_and_report(data, out, settings, as_json=as_json)
