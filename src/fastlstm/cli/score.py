"""`fastlstm score`: score a table or a dataset of any size."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import click

from fastlstm.cli import output
from fastlstm.cli.interrupts import stop_on_interrupt
from fastlstm.cli.options import (
    PanelCommand,
    common_options,
    model_option,
    option,
    precision_option,
    threshold_option,
)
from fastlstm.cli.score_progress import ScoreDisplay
from fastlstm.data.options import OnBadRows, Quoting
from fastlstm.errors import Interrupted
from fastlstm.inference import Classifier
from fastlstm.scoring.api import events
from fastlstm.scoring.columns import DEFAULT_PREFIX
from fastlstm.scoring.encode import OUTPUT_FORMATS
from fastlstm.scoring.events import ScoreProgress, ScoreStarted
from fastlstm.scoring.settings import ENGINES, ROWS_PER_COMMIT, ScoreSettings


@click.command("score", cls=PanelCommand)
@click.argument("source", metavar="SOURCE")
@click.argument("sink", metavar="SINK")
@option(
    "--text-column",
    multiple=True,
    default=["text"],
    show_default=True,
    metavar="NAME",
    panel="Data",
    help="Column that holds the texts; several are joined.",
)
@option(
    "--column",
    "columns",
    multiple=True,
    metavar="NAME",
    panel="Data",
    help="Column to copy; repeatable. [default: all]",
)
@option("--key", multiple=True, metavar="NAME", panel="Data", help="Column that identifies a row of a database.")
@option("--delimiter", metavar="CHAR", panel="Data", help="Delimiter of CSV and TSV. [default: detected]")
@option(
    "--quoting",
    type=click.Choice(get_args(Quoting)),
    panel="Data",
    help="Quoting of CSV and TSV. [default: detected]",
)
@option("--encoding", metavar="NAME", panel="Data", help="Encoding, such as gb18030. [default: UTF-8]")
@option(
    "--on-bad-rows",
    "--on-error",
    "on_bad_rows",
    type=click.Choice(get_args(OnBadRows)),
    default="skip",
    show_default=True,
    panel="Data",
    help="What to do with rows that cannot be read.",
)
@option(
    "--bad-rows",
    "--rejects",
    "bad_rows",
    type=click.Path(path_type=Path),
    metavar="FILE",
    panel="Data",
    help="CSV file to list rejected rows in.",
)
@model_option
@precision_option
@threshold_option
@option("--processes", type=int, metavar="N", panel="Limits", help="Worker processes. [default: the cores]")
@option(
    "--engine",
    type=click.Choice(ENGINES),
    default="local",
    show_default=True,
    panel="Limits",
    help="Where the workers run.",
)
@option(
    "--rows-per-commit",
    type=int,
    default=ROWS_PER_COMMIT,
    show_default=True,
    metavar="N",
    panel="Limits",
    help="Rows per part file or transaction.",
)
@option("--probabilities", is_flag=True, panel="Output", help="Write the probability of each class.")
@option(
    "--prefix",
    default=DEFAULT_PREFIX,
    show_default=True,
    metavar="TEXT",
    panel="Output",
    help="Beginning of the names of new columns.",
)
@option(
    "--format",
    type=click.Choice(OUTPUT_FORMATS),
    panel="Output",
    help="Format of the files of a folder. [default: parquet]",
)
@option(
    "--partition-by",
    multiple=True,
    metavar="NAME",
    panel="Output",
    help="Column whose values become folders; repeatable.",
)
@option("--resume", is_flag=True, panel="Output", help="Continue an interrupted run.")
@option("--overwrite", is_flag=True, panel="Output", help="Replace the result of an earlier run.")
@common_options
def command(
    source: str, sink: str, model: Classifier, as_json: bool, columns: tuple[str, ...], **options: Any
) -> None:  # fmt: skip
    """Predict the texts of SOURCE and write its rows with the predictions to SINK.

    SOURCE is a Parquet, CSV, TSV or JSON Lines file, a folder of them, or a URL: s3://bucket/folder,
    gs://bucket/folder, postgresql://host/database?table=reviews, elasticsearch://host:9200/index. SINK is a file, a
    folder or a URL. Interrupted runs continue with --resume, without losing or repeating a row.
    """
    settings = ScoreSettings.create({**options, "columns": list(columns) or None})
    with (
        closing(events(source, sink, model, settings)) as run,
        ScoreDisplay(sys.stderr) as display,
        stop_on_interrupt() as stop_requested,
    ):
        for event in run:
            display.show(event)
            if stop_requested() and isinstance(event, ScoreStarted | ScoreProgress):
                run.close()
                raise Interrupted("stopped; pass `resume` to continue")
    result = display.result
    assert result is not None, "the last event of a run is its result"
    if as_json:
        output.json_object(result.to_json())
    else:
        facts = {
            "rows": f"{result.rows:,}",
            **{f"  {label}": f"{count:,}" for label, count in result.labels.items()},
        }
        facts["time"] = f"{result.seconds:.1f} s, {result.rows_per_second:,.0f} rows/s"
        facts["result"] = result.sink
        output.fact_table(facts, sys.stdout)
