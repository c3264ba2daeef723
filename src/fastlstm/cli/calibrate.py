"""`fastlstm calibrate`: probabilities, threshold and early exit of a saved model, fitted anew."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from fastlstm.cli import output
from fastlstm.cli.options import common_options, config_options, model_option, table_options
from fastlstm.config import TrainingConfig, configure
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import check_classifier_target


@click.command("calibrate")
@click.argument("data", metavar="DATA")
@model_option
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("model"),
    show_default=True,
    help="The folder to save the calibrated model to.",
)
@click.option("--overwrite", is_flag=True, help="Replace a model in --out.")
@config_options("calibration", "threshold_metric", kinds=(TrainingConfig,))
@click.option("--early-exit", is_flag=True, help="Learn when a text need not be read on.")
@table_options
@common_options
def command(
    data: str,
    model: Classifier,
    out: Path,
    overwrite: bool,
    calibration: str | None,
    threshold_metric: str | None,
    early_exit: bool,
    text_column: str,
    label_column: str,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Fit the probabilities of a saved model to DATA, labelled texts that it was not trained on.

    Its answers stay what they were, but for the threshold of two classes, and for more than two classes where
    scaling each by itself is better.
    """
    del data_dir  # IMDb's test texts are none to fit to, and its training texts were trained on
    _, asked = configure("small", {"calibration": calibration, "threshold_metric": threshold_metric})
    check_classifier_target(out, overwrite=overwrite)
    from fastlstm.data import read_dataset
    from fastlstm.errors import DataError
    from fastlstm.training.recalibration import recalibrate

    if data == "imdb":
        raise DataError(
            "imdb is no data to fit to: its training split was trained on, and its test split is for measuring; "
            "give other labelled texts"
        )
    records = read_dataset(data, text_column=text_column, label_column=label_column)
    done = recalibrate(
        model,
        records,
        calibration=asked.calibration,
        threshold_metric=asked.threshold_metric,
        early_exit=early_exit,
    )
    done.classifier.save(out, overwrite=overwrite)
    for note in done.notes:
        output.note(note.text)
    before, after = done.before, done.after
    if as_json:
        learned = done.classifier.model.early_exit
        output.json_object(
            {
                "folder": str(out),
                "texts": after.texts,
                "temperature": done.classifier.model.temperature,
                "threshold": done.classifier.model.threshold,
                "early_exit": None if learned is None else learned.to_json(),
                "before": before.to_json(),
                "after": after.to_json(),
            }
        )
        return
    output.fact_table(
        {
            "texts": f"{after.texts:,}, {records.source}",
            "temperature": f"{model.model.temperature:.4g} -> {done.classifier.model.temperature:.4g}",
            "calibration error": f"{before.calibration_error:.2%} -> {after.calibration_error:.2%}, on these texts",
            "loss": f"{before.loss:.4f} -> {after.loss:.4f}",
            "accuracy": f"{before.accuracy:.2%} -> {after.accuracy:.2%}",
            "saved": str(out),
        },
        sys.stdout,
    )
