"""`fastlstm stream`: read standard input as one text and print the prediction as it changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from fastlstm._typing import FloatArray
from fastlstm.cli.options import PanelCommand, common_options, model_option, option, precision_option
from fastlstm.cli.output import json_entries
from fastlstm.cli.standard_input import read_pieces, standard_input
from fastlstm.errors import OptionError
from fastlstm.inference import Classifier


@click.command("stream", cls=PanelCommand)
@model_option
@precision_option
@option(
    "--min-change",
    type=float,
    default=0.1,
    show_default=True,
    metavar="P",
    panel="Output",
    help="Change of a probability to report; 0: report all.",
)
@common_options
def command(model: Classifier, min_change: float, as_json: bool) -> None:
    """Read standard input as one text and print the prediction when it changes, and at the end.

    Each line has the number of tokens, the label and its probability. Memory does not grow with the text.
    """
    if not 0 <= min_change <= 1:
        raise OptionError(
            f"min_change is {min_change}; expected a number from 0 to 1",
            code="bad-option-value",
            option="min_change",
            value=min_change,
        )
    changes = find_changes(model, read_pieces(standard_input()), min_change)
    if as_json:
        json_entries("changes", changes)
    else:
        _print_lines(changes)


def find_changes(model: Classifier, pieces: Iterator[str], min_change: float) -> Iterator[dict[str, Any]]:
    """Yield the prediction whenever the label or a probability changes, and at the end of the text.

    `min_change` is the change of a probability since the last prediction yielded.
    """
    stream = model.stream()
    token_count, reported_label, reported = 0, "", None
    for piece in pieces:
        stream.feed(piece)
        if stream.token_count == token_count:
            continue
        token_count, probabilities = stream.token_count, stream.probabilities
        label = model.labels[int(model.choose(probabilities[None])[0])]
        if reported is None or label != reported_label or abs(probabilities - reported).max() >= min_change:
            reported_label, reported = label, probabilities
            yield _prediction(model, token_count, probabilities, is_end=False)
    stream.end()
    yield _prediction(model, stream.token_count, stream.probabilities, is_end=True)


def _prediction(model: Classifier, token_count: int, probabilities: FloatArray, *, is_end: bool) -> dict[str, Any]:
    k = int(model.choose(probabilities[None])[0])
    return {
        "tokens": token_count,
        "label": model.labels[k],
        "probability": float(probabilities[k]),
        "probabilities": {name: float(p) for name, p in zip(model.labels, probabilities, strict=True)},
        "over": is_end,
    }


def _print_lines(changes: Iterator[dict[str, Any]]) -> None:
    for change in changes:
        end = "\tend" if change["over"] else ""
        print(f"{change['tokens']}\t{change['label']}\t{change['probability']:.4f}{end}", flush=True)
