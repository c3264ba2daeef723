"""`fastlstm export`: convert a classifier to ONNX or plain PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fastlstm.cli.escaping import print_line
from fastlstm.cli.options import PanelCommand, column_option, common_options, model_option, option
from fastlstm.cli.output import json_object, note
from fastlstm.convert.export import agreement, without_ngrams
from fastlstm.convert.to_pytorch import FILE_NAMES, write_pytorch
from fastlstm.data import Dataset
from fastlstm.data.options import ReadOptions
from fastlstm.data.readers.labelled import read_labelled
from fastlstm.errors import InputError, OptionError
from fastlstm.inference import Classifier
from fastlstm.inference.golden import GOLDEN_TEXTS
from fastlstm.serialization import atomic

TOLERANCE = 1e-5
"""Differences of a probability up to this are not reported."""
FORMATS = ("onnx", "int8", "torch")


@click.command("export", cls=PanelCommand)
@option("--data", metavar="DATA", panel="Data", help="Labelled texts: report the accuracy of the export on them.")
@column_option("text")
@column_option("label")
@model_option
@option("--no-ngrams", is_flag=True, panel="Model", help="Leave the n-grams out: a smaller, less accurate model.")
@option("--states", is_flag=True, panel="Model", help="Add LSTM states as ONNX inputs and outputs.")
@option("--format", "output_format", type=click.Choice(FORMATS), default=FORMATS[0], show_default=True,
        panel="Output", help="ONNX, ONNX with int8 weights, or PyTorch.")  # fmt: skip
@option("--out", "-o", type=click.Path(path_type=Path), metavar="PATH", panel="Output",
        help="Where to write. [default: model.onnx or model-torch]")  # fmt: skip
@option("--overwrite", is_flag=True, panel="Output", help="Replace an existing export.")
@common_options
def command(
    model: Classifier,
    output_format: str,
    out: Path | None,
    overwrite: bool,
    states: bool,
    no_ngrams: bool,
    data: str | None,
    text_column: str,
    label_column: str,
    as_json: bool,
) -> None:
    """Convert a classifier to another runtime: an ONNX file, or a folder of plain PyTorch.

    The export reads token ids. It includes the tokenizer, for Hugging Face's tokenizers library, and golden texts with
    their ids and probabilities.
    """
    if states and output_format == "torch":
        raise OptionError(
            "--states applies to ONNX; omit it, or pass --format onnx",
            code="conflicting-options",
            options=("states", "format"),
        )
    out = out or Path("model-torch" if output_format == "torch" else "model.onnx")
    _check_output(out, is_folder=output_format == "torch", overwrite=overwrite)
    reading = ReadOptions.create({"text_column": text_column, "label_column": label_column})
    dataset = None if data is None else read_labelled(data, reading)
    ngrams = not no_ngrams
    if output_format == "torch":
        write_pytorch(model.saved, out, ngrams=ngrams)
    else:
        from fastlstm.convert.onnx import to_onnx

        exported = to_onnx(
            model.saved, "int8" if output_format == "int8" else "float32", states=states, ngrams=ngrams
        )
        atomic.write_file(out, exported.SerializeToString())
    size = sum(file.stat().st_size for file in ([out] if out.is_file() else out.iterdir()))
    result: dict[str, Any] = {
        "out": str(out),
        "format": output_format,
        "bytes": size,
        "ngrams": model.saved.config.ngrams if ngrams else 0,
        **_compare(model, output_format, ngrams, dataset),
    }
    if as_json:
        json_object(result)
        return
    print_line(f"{out}: {size / 1e6:.1f} MB")
    golden, evaluation = result["golden"], result["evaluation"]
    if golden["difference"] > TOLERANCE:
        note(
            f"{_description(output_format, ngrams)}: {golden['agreement']:.0%} of {golden['texts']} golden texts keep "
            f"their label; probabilities differ by up to {golden['difference']:.2g}"
        )
    if evaluation is not None:
        note(
            f"accuracy on {evaluation['texts']:,} texts of {data}: {evaluation['accuracy']:.2%}; of the model: "
            f"{evaluation['model_accuracy']:.2%}"
        )


def _compare(model: Classifier, output_format: str, ngrams: bool, dataset: Dataset | None) -> dict[str, Any]:
    """Return how the exported model differs from the model on the golden texts, and on `dataset` if it is given.

    The exported model runs in fastlstm, which `fastlstm doctor --model` compares with the other runtimes.
    """
    saved = model.saved if ngrams else without_ngrams(model.saved)
    if output_format == "int8":
        from fastlstm.convert.onnx import rounded_model

        saved = rounded_model(saved, "int8")
    exported = model if saved is model.saved else Classifier(saved)
    same, difference = agreement(model, exported.predict_proba(GOLDEN_TEXTS), model.predict_proba(GOLDEN_TEXTS))
    golden = {"texts": len(GOLDEN_TEXTS), "agreement": same, "difference": difference}
    if dataset is None:
        return {"golden": golden, "evaluation": None}
    evaluation = {
        "texts": len(dataset),
        "accuracy": exported.evaluate(dataset).accuracy,
        "model_accuracy": model.evaluate(dataset).accuracy,
    }
    return {"golden": golden, "evaluation": evaluation}


def _description(output_format: str, ngrams: bool) -> str:
    changes = [*(["int8 weights"] if output_format == "int8" else []), *([] if ngrams else ["without n-grams"])]
    return ", ".join(changes)


def _check_output(out: Path, *, is_folder: bool, overwrite: bool) -> None:
    """Raise `InputError` unless `out` is free, or an earlier export of the same kind and `overwrite` is true."""
    if not out.exists():
        return
    if not overwrite:
        raise InputError(
            f"{out} exists; pass --overwrite to replace it, or choose another --out", code="output-exists", path=out
        )
    is_export = out.is_file() or (out.is_dir() and {file.name for file in out.iterdir()} <= set(FILE_NAMES))
    if out.is_dir() != is_folder or not is_export:
        raise InputError(
            f"{out} exists and is not an export of this format, so it is never overwritten; choose another --out",
            code="output-not-an-export",
            path=out,
        )
