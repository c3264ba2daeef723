"""`fastlstm export`: a classifier for other runtimes."""

from __future__ import annotations

from pathlib import Path

import click

from fastlstm.cli.options import common_options, model_option
from fastlstm.cli.output import json_object, note
from fastlstm.errors import InputError, OptionError
from fastlstm.inference import Classifier
from fastlstm.serialization import atomic

FORMATS = ("onnx", "int8", "torch")


PLAIN = {"weights.pt", "model.py", "tokenizer.json"}
"""What a folder of plain PyTorch holds."""


def _is_exported(out: Path) -> bool:
    """Whether it may be written over: a file, or a folder that holds what is exported and nothing else."""
    return out.is_file() or {file.name for file in out.iterdir()} <= PLAIN


@click.command("export")
@model_option
@click.option(
    "--format", "kind", type=click.Choice(FORMATS), default=FORMATS[0], show_default=True,
    help="onnx: for ONNX runtimes; int8: the same, weights as whole numbers; torch: a folder of plain PyTorch.",
)  # fmt: skip
@click.option("--out", "-o", type=click.Path(path_type=Path), help="What to write. [model.onnx, model-torch]")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@click.option("--states", is_flag=True, help="Of ONNX: take and give the layers' states, to read texts in pieces.")
@common_options
def command(model: Classifier, kind: str, out: Path | None, overwrite: bool, states: bool, as_json: bool) -> None:
    """Write a classifier for other runtimes.

    Its tokenizer goes with it, in ONNX's metadata or as tokenizer.json: Hugging Face's tokenizers reads it, after
    the cleaning that docs/saved-model.md describes.
    """
    if states and kind == "torch":
        raise OptionError("--states is for ONNX; a PyTorch module can be changed to give any of its states")
    out = out or Path("model-torch" if kind == "torch" else "model.onnx")
    if out.exists() and not overwrite:
        raise InputError(f"{out} is there already; pass --overwrite to replace it, or choose another --out")
    if out.exists() and (out.is_dir() != (kind == "torch") or not _is_exported(out)):
        raise InputError(f"{out} is no model that was exported so, and is never written over; choose another --out")
    if kind == "torch":
        from fastlstm.convert.to_pytorch import write_pytorch

        write_pytorch(model.model, out)
    else:
        from fastlstm.convert.onnx import onnx_model

        made = onnx_model(model.model, "int8" if kind == "int8" else "float32", states=states)
        atomic.write_file(out, made.SerializeToString())
    size = sum(file.stat().st_size for file in ([out] if out.is_file() else out.iterdir()))
    if as_json:
        json_object({"out": str(out), "format": kind, "bytes": size, "ngrams": model.model.config.ngrams})
        return
    print(f"{out}: {size / 1e6:.1f} MB")
    if model.model.config.padding != "none":
        note(
            f"the model reads padding: fill ids with 0 at the {model.model.config.padding} up to "
            f"{model.model.config.max_tokens}, and give that as their length"
        )
    if model.model.config.ngrams:
        note("the model has n-grams, whose evidence the exported one takes as an input; see docs/export.md")
