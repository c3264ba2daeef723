"""`fastlstm predict`: print the label and probability of each text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from fastlstm.cli.options import (
    PanelCommand,
    common_options,
    model_option,
    option,
    precision_option,
    threshold_option,
)
from fastlstm.cli.output import json_entries, note
from fastlstm.cli.standard_input import read_lines, standard_input
from fastlstm.errors import OptionError
from fastlstm.inference import Classifier
from fastlstm.text.tokenizer import UNKNOWN_ID, TokenizedTexts


@click.command("predict", cls=PanelCommand)
@click.argument("texts", nargs=-1, required=True, metavar="TEXT... | -")
@model_option
@precision_option
@threshold_option
@option(
    "--min-agreement",
    type=float,
    metavar="P",
    panel="Model",
    help="Early exit: agreement with whole texts, such as 0.99.",
)
@common_options
def command(
    texts: Sequence[str], model: Classifier, threshold: float | None, min_agreement: float | None, as_json: bool
) -> None:
    """Print the label and probability of each TEXT.

    With -, each line of standard input is a text; its prediction is printed as soon as it arrives.
    """
    if "-" not in texts:
        tokenized = model.tokenize(texts)
        _warn(texts, tokenized)
        predictions = _predict(model, texts, tokenized, threshold, min_agreement)
    else:
        if len(texts) > 1:
            raise OptionError("- (standard input) excludes other texts; pass - alone", code="conflicting-options")
        predictions = (
            prediction
            for lines in read_lines(standard_input())
            for prediction in _predict(model, lines, lines, threshold, min_agreement)
        )
    if as_json:
        json_entries("predictions", predictions)
    else:
        _print_lines(predictions)


def _warn(texts: Sequence[str], tokenized: TokenizedTexts) -> None:
    """Warn about texts that are file names, and about texts without known words."""
    for text in texts:
        if _is_file(text):
            note(f"{text} is a file name, used as a text here; to predict its lines: fastlstm predict - < {text}")
    unknown = sum(bool((ids == UNKNOWN_ID).all()) for ids in tokenized.ids)
    if unknown:
        note(f"{unknown} of {len(texts)} texts contain no known words; their predictions are unreliable")


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a path, or with invalid characters
        return False


def _predict(
    model: Classifier,
    texts: Sequence[str],
    inputs: Sequence[str] | TokenizedTexts,
    threshold: float | None,
    min_agreement: float | None,
) -> Iterator[dict[str, Any]]:
    """Yield the prediction of each text; `inputs` are the same texts, tokenized or not."""
    if min_agreement is None:
        probabilities = model.predict_proba(inputs)
    else:
        early = model.predict_early(inputs, min_agreement)
        probabilities = early.probabilities
        note(f"early exit skipped {early.saved_fraction:.0%} of {int(early.token_counts.sum()):,} tokens")
    classes = model.choose(probabilities, threshold=threshold)
    for text, row, k in zip(texts, probabilities, classes, strict=True):
        yield {
            "text": text,
            "label": model.labels[k],
            "probability": float(row[k]),
            "probabilities": {label: float(p) for label, p in zip(model.labels, row, strict=True)},
        }


def _print_lines(predictions: Iterator[dict[str, Any]]) -> None:
    for prediction in predictions:
        label, text = (" ".join(prediction[name].split()) for name in ("label", "text"))
        print(f"{label}\t{prediction['probability']:.4f}\t{text}", flush=True)
