"""`fastlstm pretrain`: from plain texts to a language model."""

from __future__ import annotations

import dataclasses
import functools
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from fastlstm.cli.options import common_options, config_options, parse_sizes, preset_option, split_source
from fastlstm.cli.output import json_object
from fastlstm.cli.progress import resuming, watch
from fastlstm.config import LANGUAGE_MODEL_PRESETS, LanguageModelConfig, LanguageModelTrainingConfig


@click.command("pretrain")
@click.argument("texts", metavar="TEXTS...", nargs=-1, required=True)
@functools.partial(preset_option, presets=LANGUAGE_MODEL_PRESETS)
@click.option("--out", "-o", type=click.Path(path_type=Path), default=Path("language-model"), show_default=True,
              help="The folder to save the model to.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace a model, or an unfinished run, in --out.")
@click.option("--resume", is_flag=True, help="Go on with the unfinished run in --out.")
@click.option("--validation", default="0.01", show_default=True, metavar="TEXTS|FRACTION",
              help="What perplexity is measured on: a share of the texts, or texts of their own.")  # fmt: skip
@click.option("--from", "begin", default=None, metavar="DIR",
              help="A language model whose weights and vocabulary to begin from.")  # fmt: skip
@click.option("--storage", type=click.Choice(["float32", "float16", "int8"]), default="float32", show_default=True,
              help="What weights are kept as.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda", help="Where to train.")
@click.option("--text-column", default="text", show_default=True, help="Where texts stand in tables.")
@click.option("--data-dir", type=click.Path(path_type=Path),
              help="The folder that holds IMDb, for TEXTS imdb. [env: FASTLSTM_DATA_DIR]")  # fmt: skip
@config_options(kinds=(LanguageModelTrainingConfig, LanguageModelConfig), presets=LANGUAGE_MODEL_PRESETS)
@common_options
def command(
    texts: tuple[str, ...],
    preset: str,
    out: Path,
    overwrite: bool,
    resume: bool,
    validation: str,
    begin: str | None,
    storage: str,
    device: str,
    text_column: str,
    data_dir: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a language model on TEXTS, measure its perplexity, and save it.

    Each of TEXTS is imdb (all but its test split); a .txt file with a text a line; a CSV, TSV, JSONL or Parquet
    file, of which the text column is read; all but Parquet also .gz; or a folder of .txt files. The epoch that
    foretells the held-out texts best is kept.
    """
    from fastlstm.cli.progress import Display
    from fastlstm.language_model.api import make_job
    from fastlstm.language_model.run import LanguageModelResult, run
    from fastlstm.nn.runs import checkpoint_path

    options["hidden_sizes"] = parse_sizes(options["hidden_sizes"])
    with Display(sys.stderr) as display:
        job = make_job(
            texts[0] if len(texts) == 1 else [Path(path) for path in texts],
            out,
            preset=preset,
            validation=split_source(validation),
            begin=begin,
            text_column=text_column,
            data_dir=data_dir,
            device=device,
            overwrite=overwrite,
            resume=resume,
            storage=storage,
            options=options,
            say=display.note,
            progress=display.download,
        )
        watch(run(job), display.show_pretraining, LanguageModelResult, lambda: _stopped(checkpoint_path(out)))
    result = display.pretrained
    if as_json:
        json_object(
            {
                "model": str(out),
                **result.perplexity.to_json(),
                "measured_on": job.held_out.source,
                "best_epoch": result.model.model.training["best_epoch"],
                "history": [dataclasses.asdict(epoch) for epoch in result.history],
                "validation_losses": list(result.validation),
            }
        )
        return
    print(f"{job.held_out.source}: {result.perplexity}")
    print(f"saved: {out}")
    print(f"use it: fastlstm train DATA --encoder {shlex.quote(str(out))}")


def _stopped(checkpoint: Path) -> str:
    """What a stopped run has left."""
    if checkpoint.is_file():
        return f"stopped and saved; go on with: {resuming(sys.argv[1:])}"
    return "stopped before training began; nothing was saved"
