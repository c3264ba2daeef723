"""`fastlstm calibrate`: fit the probabilities, threshold and early exit of a saved model to new data."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import click

from fastlstm.cli import output
from fastlstm.cli.options import PanelCommand, common_options, field_options, model_option, option, table_options
from fastlstm.config import TrainingConfig, configure
from fastlstm.data.options import ReadOptions
from fastlstm.data.readers.labelled import read_labelled
from fastlstm.errors import DataError
from fastlstm.inference import Classifier
from fastlstm.metrics import format_accuracy
from fastlstm.serialization.folder import CLASSIFIER_FORMAT, check_target

METHODS = {
    "none": "nothing: the probabilities stay as they are",
    "temperature": "a temperature, which divides all logits",
    "vector scaling": "a scale and a bias of each class, folded into the output layer",
}
"""What is fitted, by the method of a calibration."""


@click.command("calibrate", cls=PanelCommand)
@click.argument("data", metavar="DATA")
@table_options
@model_option
@field_options("calibration", "threshold_metric", kinds=(TrainingConfig,))
@option("--early-exit", is_flag=True, panel="Training", help="Fit early-exit thresholds.")
@option("--out", "-o", type=click.Path(path_type=Path), default=Path("model"), show_default=True, metavar="DIR",
        panel="Output", help="Folder to save the calibrated model to.")  # fmt: skip
@option("--overwrite", is_flag=True, panel="Output", help="Replace the model in --out.")
@common_options
def command(
    data: str,
    model: Classifier,
    out: Path,
    overwrite: bool,
    calibration: str | None,
    threshold_metric: str | None,
    early_exit: bool,
    data_dir: Path | None,
    as_json: bool,
    **reading: Any,
) -> None:
    """Fit the probabilities of a saved model to DATA, labelled texts that it was not trained on.

    Predictions stay the same, unless the decision threshold changes, or vector scaling is better for more than two
    classes.
    """
    del data_dir
    _, training = configure("small", {"calibration": calibration, "threshold_metric": threshold_metric})
    check_target(out, CLASSIFIER_FORMAT, overwrite=overwrite)
    if data == "imdb":
        raise DataError(
            "imdb cannot be used for calibration: models are trained on its training split and evaluated on its test "
            "split; use other labelled texts",
            code="imdb-not-allowed",
        )
    options = dataclasses.replace(ReadOptions.create(reading), class_names=model.labels)
    dataset = read_labelled(data, options)
    for read_note in dataset.notes:
        output.note(read_note.text)
    from fastlstm.training.recalibration import recalibrate  # after reading: it imports PyTorch

    result = recalibrate(
        model,
        dataset,
        calibration=training.calibration,
        threshold_metric=training.threshold_metric,
        early_exit=early_exit,
    )
    result.classifier.save(out, overwrite=overwrite)
    for note in result.notes:
        output.note(note.text)
    before, after, saved = result.before, result.after, result.classifier.saved
    if as_json:
        output.json_object(
            {
                "folder": str(out),
                "texts": after.texts,
                "method": result.calibration.method,
                "temperature": saved.temperature,
                "threshold": saved.threshold,
                "early_exit": None if saved.early_exit is None else saved.early_exit.to_json(),
                "before": before.to_json(),
                "after": after.to_json(),
                "notes": [note.to_json() for note in (*dataset.notes, *result.notes)],
            }
        )
        return
    facts = {
        "texts": f"{after.texts:,}, {dataset.source}",
        "fitted": METHODS[result.calibration.method],
        "temperature": f"{model.saved.temperature:.4g} -> {saved.temperature:.4g}",
        "calibration error": f"{before.calibration_error:.2%} -> {after.calibration_error:.2%} on these texts",
        "loss": f"{before.loss:.4f} -> {after.loss:.4f}",
        "accuracy": f"{before.accuracy:.2%} -> {format_accuracy(after.accuracy, after.texts)}",
        "saved": str(out),
    }
    if saved.threshold != model.saved.threshold:
        facts["threshold"] = f"{model.saved.threshold:.4g} -> {saved.threshold:.4g}"
    output.fact_table(facts, sys.stdout)
