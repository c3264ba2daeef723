"""`fastlstm predict`: print the label and probability of each text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import click

from fastlstm.cli.escaping import cell
from fastlstm.cli.options import (
    PanelCommand,
    common_options,
    model_option,
    option,
    precision_option,
    threshold_option,
)
from fastlstm.cli.output import NO_LABEL, json_entries, note
from fastlstm.cli.standard_input import read_lines, standard_input
from fastlstm.cli.text_arguments import ReadingProblem, find_problem, note_names
from fastlstm.errors import OptionError
from fastlstm.inference import Classifier
from fastlstm.inference.classifier import check_early_exit_threshold
from fastlstm.text.validation import validate_text

MAX_NOTED = 5
"""Texts with the same problem that have a note of their own; the others are counted at the end."""


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
@option("--label-unknown", is_flag=True, panel="Output", help="Also label texts without any known word.")
@common_options
def command(
    texts: Sequence[str],
    model: Classifier,
    threshold: float | None,
    min_agreement: float | None,
    label_unknown: bool,
    as_json: bool,
) -> None:
    """Print the label and probability of each TEXT.

    With -, each line of standard input is a text; its prediction is printed as soon as it arrives. A text without any
    known word has the label - (JSON: null).
    """
    check_early_exit_threshold(threshold, min_agreement)
    if "-" not in texts:
        for number, text in enumerate(texts, 1):
            validate_text(text, f"text {number}")
        note_names(texts, "fastlstm predict", "its lines")
        unit, batches = "text", iter([texts])
    else:
        if len(texts) > 1:
            raise OptionError("- (standard input) excludes other texts; pass - alone", code="conflicting-options")
        unit, batches = "line", read_lines(standard_input())
    predictions = (
        prediction
        for batch in batches
        for prediction in _predict(model, batch, threshold, min_agreement, label_unknown=label_unknown)
    )
    noted = _with_notes(predictions, unit)
    if as_json:
        json_entries("predictions", noted)
    else:
        _print_lines(noted)


def _predict(
    model: Classifier,
    texts: Sequence[str],
    threshold: float | None,
    min_agreement: float | None,
    *,
    label_unknown: bool,
) -> Iterator[dict[str, Any]]:
    """Yield the prediction of each text."""
    tokenized = model.tokenize(texts)
    if min_agreement is None:
        probabilities = model.predict_proba(tokenized)
    else:
        early = model.predict_early(tokenized, min_agreement)
        probabilities = early.probabilities
        note(f"early exit skipped {early.saved_fraction:.0%} of {int(early.token_counts.sum()):,} tokens")
    classes = model.choose(probabilities, threshold=threshold)
    for text, row, k, known in zip(texts, probabilities, classes, tokenized.known, strict=True):
        has_label = label_unknown or known > 0
        yield {
            "text": text,
            "label": model.labels[k] if has_label else None,
            "probability": float(row[k]) if has_label else None,
            "known": float(known),
            "probabilities": {label: float(p) for label, p in zip(model.labels, row, strict=True)},
        }


def _with_notes(predictions: Iterator[dict[str, Any]], unit: str) -> Iterator[dict[str, Any]]:
    """Yield the predictions. Print a note before those of texts that the model cannot read, and their number."""
    counts = Counter[ReadingProblem]()
    for number, prediction in enumerate(predictions, 1):
        if problem := find_problem(prediction["text"], prediction["known"]):
            counts[problem] += 1
            if counts[problem] <= MAX_NOTED:
                problem.note_text(f"{unit} {number}", has_label=prediction["label"] is not None)
        yield prediction
    for problem, count in counts.items():
        if count > MAX_NOTED:
            problem.note_count(count, f"{number:,} {unit}s")


def _print_lines(predictions: Iterator[dict[str, Any]]) -> None:
    for prediction in predictions:
        label = NO_LABEL if prediction["label"] is None else cell(prediction["label"])
        probability = NO_LABEL if prediction["probability"] is None else f"{prediction['probability']:.4f}"
        print(f"{label}\t{probability}\t{cell(prediction['text'])}", flush=True)
