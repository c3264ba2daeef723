"""`fastlstm evaluate`: how good a model is on labelled texts."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from fastlstm.cli import output
from fastlstm.cli.options import common_options, model_option, precision_option, table_options, threshold_option
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier
from fastlstm.language_model.inference import LanguageModel


@click.command("evaluate")
@click.argument("data", metavar="DATA")
@model_option
@precision_option
@threshold_option
@table_options
@common_options
def command(
    data: str,
    model: Classifier | LanguageModel,
    threshold: float | None,
    text_column: str,
    label_column: str,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Measure a model on DATA: imdb (its test split), or a file or folder of labelled texts.

    A language model's perplexity is measured on any texts, with or without labels.
    """
    if isinstance(model, LanguageModel):
        if threshold is not None:
            raise OptionError(
                "--threshold is for classifiers, and a language model predicts no class; leave it out"
            )
        _perplexity(model, data, text_column, data_dir, as_json)
        return
    if data == "imdb":
        from fastlstm.data.datasets import IMDB_LABELS, load_imdb

        if not set(IMDB_LABELS) <= set(model.labels):
            raise DataError(
                f"imdb has the labels {', '.join(IMDB_LABELS)}, the model {', '.join(model.labels)}; "
                "give a model that was trained on IMDb, or data with the model's labels"
            )
        imdb = load_imdb(data_dir, say=output.note)
        output.note(f"imdb: {imdb.origin}")
        records, measured_on = imdb.test, imdb.measured_on
        if imdb.test_note:
            output.note("a model that was trained on the whole training split has seen these texts")
    else:
        from fastlstm.data import read_dataset

        records = read_dataset(data, text_column=text_column, label_column=label_column)
        measured_on = records.source
    report = model.evaluate(records, threshold=threshold)
    if as_json:
        output.json_object({**report.to_json(), "measured_on": measured_on})
    else:
        output.report(report, measured_on, sys.stdout)


def _perplexity(model: LanguageModel, data: str, text_column: str, data_dir: Path | None, as_json: bool) -> None:
    if data == "imdb":
        from fastlstm.data.datasets import load_imdb

        imdb = load_imdb(data_dir, say=output.note)
        output.note(f"imdb: {imdb.origin}")
        texts, measured_on = imdb.test.texts, imdb.measured_on
        if imdb.test_note:
            output.note("a model that has read the whole training split has seen these texts")
    else:
        from fastlstm.data import read_texts

        read = read_texts(data, text_column=text_column)
        texts, measured_on = read.texts, read.source
    measured = model.evaluate(texts)
    if as_json:
        output.json_object({**measured.to_json(), "measured_on": measured_on})
    else:
        print(measured)
