"""`fastlstm train`: from labelled texts to a saved, measured model."""

from __future__ import annotations

from typing import Any

import click

from fastlstm.cli.training import train_and_show, training_options


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
