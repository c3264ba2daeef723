"""`fastlstm train`: from labelled texts to a saved, measured model."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastlstm.cli.options import (
    Function,
    common_options,
    config_options,
    parse_sizes,
    preset_option,
    split_source,
    table_options,
)
from fastlstm.cli.output import json_object, report
from fastlstm.cli.progress import resuming, watch

if TYPE_CHECKING:
    from fastlstm.training.events import TrainingResult


_OPTIONS = (
    preset_option,
    click.option("--out", "-o", type=click.Path(path_type=Path), default=Path("model"), show_default=True,
                 help="The folder to save the model to."),
    click.option("--overwrite", is_flag=True, help="Replace a model, or an unfinished run, in --out."),
    click.option("--resume", is_flag=True, help="Go on with the unfinished run in --out."),
    click.option("--validation", default="0.2", show_default=True, metavar="DATA|FRACTION",
                 help="What chooses the best epoch: a share of the texts, or data of its own."),
    click.option("--test", default=None, metavar="DATA|FRACTION",
                 help="What the model is measured on. [imdb: its test split; else: the validation texts]"),
    click.option("--unlabelled", default=None, metavar="TEXTS",
                 help="Further texts without labels: imdb, or a file or folder of plain texts."),
    click.option("--encoder", default=None, metavar="DIR|NAME", help="A language model to begin from."),
    click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda", help="Where to train."),
    click.option("--baseline/--no-baseline", default=True, help="Measure a bag of words beside. [on]"),
    click.option("--plots", is_flag=True, help="Draw curves, confusion and reliability into OUT/plots."),
    click.option("--early-exit", is_flag=True, help="Learn where reading may stop; needs --no-bidirectional."),
    config_options(),
    table_options,
    common_options,
)  # fmt: skip


def training_options(function: Function) -> Function:
    """Everything that a run of either command can be told, for `train_and_show`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def train_and_show(
    data: str,
    *,
    teacher: str | None = None,
    budget: str | None = None,
    preset: str,
    out: Path,
    overwrite: bool,
    resume: bool,
    validation: str,
    test: str | None,
    unlabelled: str | None,
    encoder: str | None,
    device: str,
    baseline: bool,
    plots: bool,
    early_exit: bool,
    text_column: str,
    label_column: str,
    data_dir: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Trains on `data` as the options say, shows the run as it goes, and its result."""
    options["hidden_sizes"] = parse_sizes(options["hidden_sizes"])
    from fastlstm.training.settings import resolve_configs

    resolve_configs(  # what is wrong is told before PyTorch is loaded
        preset, options, encoder=encoder, teacher=teacher, unlabelled=unlabelled, budget=budget, resume=resume
    )
    from fastlstm.cli.progress import Display
    from fastlstm.nn.runs import checkpoint_path
    from fastlstm.training.api import make_job
    from fastlstm.training.events import TrainingResult
    from fastlstm.training.run import run

    with Display(sys.stderr) as display:
        job = make_job(
            data,
            out,
            preset=preset,
            validation=split_source(validation),
            test=None if test is None else split_source(test),
            unlabelled=unlabelled,
            encoder=encoder,
            teacher=teacher,
            budget=budget,
            text_column=text_column,
            label_column=label_column,
            data_dir=data_dir,
            device=device,
            overwrite=overwrite,
            resume=resume,
            baseline=baseline,
            plots=plots,
            early_exit=early_exit,
            options=options,
            say=display.note,
            progress=display.download,
        )
        display.note(f"data: {job.data.origin}")
        watch(run(job), display.show, TrainingResult, lambda: _stopped(out, checkpoint_path(out), job.budget))
    _show_result(display.result, as_json)


def _stopped(out: Path, checkpoint: Path, budget: float | None) -> str:
    """What a stopped run has left."""
    if budget is not None:
        return f"stopped; the best model so far, if there was one, is in {out}"
    if checkpoint.is_file():
        return f"stopped and saved; go on with: {resuming(sys.argv[1:])}"
    return "stopped before training began; nothing was saved"


def _show_result(result: TrainingResult, as_json: bool) -> None:
    if not as_json:
        report(result.report, result.measured_on, sys.stdout, baseline=result.baseline)
        print(f"saved: {result.folder}")
        print(f'use it: fastlstm predict --model {shlex.quote(str(result.folder))} "your text"')
        return
    json_object(
        {
            "model": str(result.folder),
            **result.report.to_json(),
            "measured_on": result.measured_on,
            "baseline": result.baseline.to_json() if result.baseline else None,
            "calibrated": result.classifier.model.training["calibration"],
            "history": [dataclasses.asdict(epoch) for epoch in result.history],
        }
    )


@click.command("train")
@click.argument("data", metavar="DATA")
@click.option(
    "--budget",
    default=None,
    metavar="TIME",
    help="The best model that can be had in 10m, 1h30m, ...: its sizes and training are chosen.",
)
@training_options
def command(data: str, budget: str | None, **options: Any) -> None:
    """Train a classifier on DATA, measure it beside a bag of words, and save it.

    DATA is imdb; a CSV, TSV, JSONL, Parquet or fastText file, also .gz; or a folder with one sub-folder a
    class. Options that are not given have the preset's values.
    """
    train_and_show(data, budget=budget, **options)
