"""`fastlstm export`: convert a classifier to ONNX or plain PyTorch."""

from __future__ import annotations

from pathlib import Path

import click

from fastlstm.cli.options import PanelCommand, common_options, model_option, option
from fastlstm.cli.output import json_object, note
from fastlstm.convert.to_pytorch import FILE_NAMES, write_pytorch
from fastlstm.errors import InputError, OptionError
from fastlstm.inference import Classifier
from fastlstm.serialization import atomic

FORMATS = ("onnx", "int8", "torch")


@click.command("export", cls=PanelCommand)
@model_option
@option("--states", is_flag=True, panel="Model", help="Add LSTM states as ONNX inputs and outputs.")
@option("--format", "output_format", type=click.Choice(FORMATS), default=FORMATS[0], show_default=True,
        panel="Output", help="ONNX, ONNX with int8 weights, or PyTorch.")  # fmt: skip
@option("--out", "-o", type=click.Path(path_type=Path), metavar="PATH", panel="Output",
        help="Where to write. [default: model.onnx or model-torch]")  # fmt: skip
@option("--overwrite", is_flag=True, panel="Output", help="Replace an existing export.")
@common_options
def command(
    model: Classifier, output_format: str, out: Path | None, overwrite: bool, states: bool, as_json: bool
) -> None:
    """Convert a classifier to another runtime: an ONNX file, or a folder of plain PyTorch.

    The tokenizer is included, in ONNX's metadata or as tokenizer.json, for Hugging Face's tokenizers library.
    """
    if states and output_format == "torch":
        raise OptionError(
            "--states applies to ONNX; omit it, or pass --format onnx",
            code="conflicting-options",
            options=("states", "format"),
        )
    out = out or Path("model-torch" if output_format == "torch" else "model.onnx")
    _check_output(out, is_folder=output_format == "torch", overwrite=overwrite)
    config = model.saved.config
    if output_format == "torch":
        write_pytorch(model.saved, out)
    else:
        from fastlstm.convert.onnx import to_onnx

        exported = to_onnx(model.saved, "int8" if output_format == "int8" else "float32", states=states)
        atomic.write_file(out, exported.SerializeToString())
    size = sum(file.stat().st_size for file in ([out] if out.is_file() else out.iterdir()))
    if as_json:
        json_object({"out": str(out), "format": output_format, "bytes": size, "ngrams": config.ngrams})
        return
    print(f"{out}: {size / 1e6:.1f} MB")
    if config.padding != "none":
        note(
            f"the model reads padding: pad ids with 0 at the {config.padding} to {config.max_tokens} tokens, and "
            f"pass {config.max_tokens} as their length"
        )
    if config.ngrams:
        note("the model has n-grams: pass their logits as the input 'ngram_logits'; see docs/export.md")


def _check_output(out: Path, *, is_folder: bool, overwrite: bool) -> None:
    """Raise `InputError` unless `out` is free, or an earlier export of the same kind and `overwrite` is true."""
    if not out.exists():
        return
    if not overwrite:
        raise InputError(
            f"{out} exists; pass --overwrite to replace it, or choose another --out", code="output-exists", path=out
        )
    is_export = out.is_file() or {file.name for file in out.iterdir()} <= set(FILE_NAMES)
    if out.is_dir() != is_folder or not is_export:
        raise InputError(
            f"{out} exists and is not an export of this format, so it is never overwritten; choose another --out",
            code="output-not-an-export",
            path=out,
        )
