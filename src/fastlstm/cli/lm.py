"""`fastlstm lm`: train, evaluate, describe and sample language models."""

from __future__ import annotations

import dataclasses
import functools
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastlstm.cli import output
from fastlstm.cli.escaping import print_line, printable
from fastlstm.cli.options import (
    Function,
    PanelCommand,
    column_option,
    common_options,
    config_options,
    option,
    preset_option,
    split_source,
    text_file_options,
)
from fastlstm.cli.train import device_option, require_sources, workers_option
from fastlstm.config import LANGUAGE_MODEL_PRESETS, LanguageModelConfig, LanguageModelTrainingConfig
from fastlstm.language_model.inference import LanguageModel, load_language_model
from fastlstm.pretrained import ENGLISH_ENCODER

if TYPE_CHECKING:
    from fastlstm.language_model.run import LanguageModelResult

VISIBLE_FIELDS = ("tokens", "epochs", "seed")
"""Configuration fields that have a command-line option; --set sets the others."""


@click.group("lm")
def command() -> None:
    """Train and use language models."""


def model_option(function: Function) -> Function:
    """Add --model, which the command receives as a `LanguageModel`."""
    return option(
        "--model",
        "-m",
        "model",
        metavar="DIR",
        panel="Model",
        callback=lambda context, _, folder: None if context.resilient_parsing else load_language_model(folder),
        help="Model folder or bundled name. [default: bundled model]",
    )(function)


def text_options(function: Function) -> Function:
    """Add the options of reading texts, and --data-dir."""
    function = text_file_options(function)
    function = option("--data-dir", type=click.Path(path_type=Path), metavar="DIR", panel="Data",
                      help="Folder of IMDb. [env: FASTLSTM_DATA_DIR]")(function)  # fmt: skip
    return column_option("text")(function)


@command.command("train", cls=PanelCommand)
@click.argument("texts", metavar="TEXTS...", nargs=-1, required=True)
@option("--validation", default="0.01", show_default=True, metavar="TEXTS|FRACTION", panel="Data",
        help="Texts that measure perplexity.")  # fmt: skip
@text_options
@functools.partial(preset_option, presets=LANGUAGE_MODEL_PRESETS)
@option("--encoder", metavar="DIR", panel="Model", help="Language model to start from.")
@config_options(
    *VISIBLE_FIELDS, kinds=(LanguageModelConfig, LanguageModelTrainingConfig), presets=LANGUAGE_MODEL_PRESETS
)
@device_option
@workers_option
@option("--out", "-o", type=click.Path(path_type=Path), default=Path("language-model"), show_default=True,
        metavar="DIR", panel="Output", help="Folder to save the model to.")  # fmt: skip
@option("--overwrite", is_flag=True, panel="Output", help="Replace what --out contains.")
@option("--resume", is_flag=True, panel="Output", help="Continue the unfinished run in --out.")
@option("--storage", type=click.Choice(("float32", "float16", "int8")), default="float32", show_default=True,
        panel="Output", help="Stored type of the weights.")  # fmt: skip
@common_options
def train(
    texts: tuple[str, ...],
    validation: str,
    out: Path,
    options: Mapping[str, Any],
    as_json: bool,
    **values: Any,
) -> None:
    """Train a language model on TEXTS and save it.

    Each of TEXTS is imdb (all but its test split); a .txt file with one text per line; a CSV, TSV, JSONL or Parquet
    file; or a folder of .txt files. All but Parquet may be gzipped. The epoch with the lowest perplexity on the
    validation texts is kept.
    """
    from fastlstm.language_model.settings import LanguageModelSettings

    settings = LanguageModelSettings.create(
        texts[0] if len(texts) == 1 else [Path(path) for path in texts],
        out,
        {**options, **values, "validation": split_source(validation)},
    )
    require_sources(*texts, settings.validation)  # before the slow import of PyTorch

    from fastlstm.cli.progress import Display, interrupted_message, watch
    from fastlstm.language_model.run import LanguageModelResult, run

    with Display(sys.stderr) as display:
        events = run(settings, log=display.note, progress=display.download)
        watch(events, display.show_language_model, LanguageModelResult, lambda: interrupted_message(out))
    _print_result(display.language_model, as_json)


def _print_result(result: LanguageModelResult, as_json: bool) -> None:
    if as_json:
        output.json_object(
            {
                "model": str(result.folder),
                **result.perplexity.to_json(),
                "evaluated_on": result.evaluated_on,
                "best_epoch": result.model.saved.training["best_epoch"],
                "history": [dataclasses.asdict(epoch) for epoch in result.history],
                "validation_losses": list(result.validation_losses),
            }
        )
        return
    print_line(f"{result.evaluated_on}: {result.perplexity}")
    print_line(f"saved: {result.folder}")
    print_line(f"use it: fastlstm train DATA --encoder {shlex.quote(str(result.folder))}")


@command.command("generate", cls=PanelCommand)
@click.argument("prompt", default="")
@model_option
@option("--max-tokens", type=int, default=100, show_default=True, panel="Sampling",
        help="Maximum number of generated tokens.")  # fmt: skip
@option("--temperature", type=float, default=0.8, show_default=True, panel="Sampling",
        help="Divisor of the logits; 0: greedy decoding.")  # fmt: skip
@option("--top-p", type=float, default=0.95, show_default=True, panel="Sampling",
        help="Total probability of the candidate tokens.")  # fmt: skip
@option("--seed", type=int, default=0, show_default=True, panel="Sampling", help="Random seed.")
@common_options
def generate(prompt: str, model: LanguageModel, as_json: bool, **options: Any) -> None:
    """Continue PROMPT with generated text.

    A model with direction backward generates the text before PROMPT.
    """
    pieces = model.stream(prompt, **options)
    if as_json:
        output.json_object({"prompt": prompt, "text": "".join(pieces)})
        return
    for piece in pieces:
        print(printable(piece), end="", flush=True)
    print()


@command.command("evaluate", cls=PanelCommand)
@click.argument("texts", metavar="TEXTS")
@model_option
@text_options
@common_options
def evaluate(texts: str, model: LanguageModel, data_dir: Path | None, as_json: bool, **reading: Any) -> None:
    """Measure the perplexity of a language model on TEXTS.

    TEXTS is imdb (its test split), or a file or folder of texts with or without labels.
    """
    if click.get_current_context().get_parameter_source("model") is click.core.ParameterSource.DEFAULT:
        output.note(f"no --model given: evaluating the bundled model {ENGLISH_ENCODER}")
    if texts == "imdb":
        from fastlstm.data.datasets import load_imdb

        imdb = load_imdb(data_dir, log=output.note)
        output.note(f"imdb: {imdb.origin}")
        if imdb.test_note:
            output.note("a model that was trained on the whole training split has seen these texts")
        evaluated, source = imdb.test.texts, imdb.evaluated_on
    else:
        from fastlstm.data import read_texts
        from fastlstm.data.options import ReadOptions

        plain_texts = read_texts(texts, ReadOptions.create(reading))
        for note in plain_texts.notes:
            output.note(note.text)
        evaluated, source = plain_texts.texts, plain_texts.source
    perplexity = model.evaluate(evaluated)
    if as_json:
        output.json_object({**perplexity.to_json(), "evaluated_on": source})
    else:
        print(perplexity)


@command.command("info", cls=PanelCommand)
@model_option
@common_options
def info(model: LanguageModel, as_json: bool) -> None:
    """Describe a language model and its training."""
    config, record = model.saved.config, model.saved.training
    if as_json:
        output.json_object({"model": dataclasses.asdict(config), "training": dict(record)})
        return
    facts = {
        "language model": f"embedding {config.embedding_size}, LSTM {', '.join(map(str, config.hidden_sizes))}",
        "direction": config.direction,
        "vocabulary": f"{config.vocabulary_size:,} {'words' if config.tokens == 'words' else 'tokens'}",
        **({} if config.tokens == "words" else {"tokens": config.tokens}),
    }
    if {"data", "results"} <= set(record):
        data, results = record["data"], record["results"]
        facts["trained on"] = f"{data['count']:,} texts, {data['tokens']:,} tokens, {data['texts']}"
        if record.get("begin"):
            facts["encoder"] = record["begin"]
        if "best_epoch" in record:
            facts["best epoch"] = f"{record['best_epoch']} of {record['epochs']}"
        facts["perplexity"] = (
            f"{results['perplexity']:.1f} on {results['texts']:,} texts ({results['evaluated_on']}), "
            f"{results['unknown']:.2%} of tokens unknown"
        )
    output.fact_table(facts, sys.stdout)
