"""`fastlstm evaluate`: evaluate a classifier on labelled texts."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import click

from fastlstm import pretrained
from fastlstm.cli import output
from fastlstm.cli.options import (
    PanelCommand,
    common_options,
    model_option,
    precision_option,
    table_options,
    threshold_option,
)
from fastlstm.data import Dataset
from fastlstm.data.options import ReadOptions
from fastlstm.data.readers.labelled import read_labelled
from fastlstm.errors import DataError
from fastlstm.inference import Classifier


@click.command("evaluate", cls=PanelCommand)
@click.argument("data", metavar="DATA")
@table_options
@model_option
@precision_option
@threshold_option
@common_options
def command(
    data: str,
    model: Classifier,
    threshold: float | None,
    data_dir: Path | None,
    as_json: bool,
    **reading: Any,
) -> None:
    """Evaluate a model on DATA: a file or folder of labelled texts, or imdb (its test split)."""
    if click.get_current_context().get_parameter_source("model") is click.core.ParameterSource.DEFAULT:
        output.note(f"no --model given: evaluating the bundled model {pretrained.DEFAULT_CLASSIFIER}")
    dataset, evaluated_on = _read(data, model, ReadOptions.create(reading), data_dir)
    report = model.evaluate(dataset, threshold=threshold)
    notes = report.notes()
    for note in notes:
        output.note(note.text)
    if as_json:
        entries = [note.to_json() for note in notes]
        output.json_object({**report.to_json(), "evaluated_on": evaluated_on, "notes": entries})
    else:
        output.report(report, evaluated_on, sys.stdout)


def _read(data: str, model: Classifier, reading: ReadOptions, data_dir: Path | None) -> tuple[Dataset, str]:
    if data != "imdb":
        dataset = read_labelled(data, dataclasses.replace(reading, class_names=model.labels))
        return dataset, dataset.source
    from fastlstm.data.datasets import IMDB_LABELS, load_imdb

    if not set(IMDB_LABELS) <= set(model.labels):
        raise DataError(
            f"imdb has the labels {', '.join(IMDB_LABELS)}, but the model has {', '.join(model.labels)}; use a model "
            "trained on IMDb, or data with the labels of the model",
            code="unknown-label",
            labels=IMDB_LABELS,
            expected=tuple(model.labels),
        )
    imdb = load_imdb(data_dir, log=output.note)
    output.note(f"imdb: {imdb.origin}")
    if imdb.test_note:
        output.note("a model trained on the whole training split has seen these texts")
    return imdb.test, imdb.evaluated_on
