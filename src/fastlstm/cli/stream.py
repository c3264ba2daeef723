"""`fastlstm stream`: read standard input as one text and print the prediction as it changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from fastlstm.cli.escaping import cell
from fastlstm.cli.options import PanelCommand, common_options, model_option, option, precision_option
from fastlstm.cli.output import NO_LABEL, json_entries
from fastlstm.cli.standard_input import read_pieces, standard_input
from fastlstm.cli.text_arguments import find_problem
from fastlstm.errors import OptionError
from fastlstm.inference import Classifier
from fastlstm.text.segmentation import CHINESE

if TYPE_CHECKING:
    from fastlstm.inference.streaming import Stream

_CHINESE = CHINESE.pattern.strip("([])")
STEP = re.compile(rf"(?:[^\S\n]*(?:[{_CHINESE}]|[^\s{_CHINESE}]+)){{1,8}}[^\S\n]*\n?|\s+")
"""The text between two predictions: at most 8 words or Chinese characters, or the rest of a line."""
BEGINNING = 1000
"""Characters of the text, or a few more, that show whether it is Chinese."""


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
@option("--label-unknown", is_flag=True, panel="Output", help="Also print a label before the first known word.")
@common_options
def command(model: Classifier, min_change: float, label_unknown: bool, as_json: bool) -> None:
    """Read standard input as one text and print the prediction when it changes, and at the end.

    It is compared at the end of each line and after 8 words or Chinese characters. Each line of output has the number
    of tokens, the label and its probability; the label is - (JSON: null) before the first known word. Memory does not
    grow with the text.
    """
    if not 0 <= min_change <= 1:
        raise OptionError(
            f"`min_change` is {min_change}; expected a number from 0 to 1",
            code="bad-option-value",
            option="min_change",
            value=min_change,
        )
    changes = find_changes(model, read_pieces(standard_input()), min_change, label_unknown=label_unknown)
    if as_json:
        json_entries("changes", changes)
    else:
        _print_lines(changes)


def find_changes(
    model: Classifier, pieces: Iterator[str], min_change: float, *, label_unknown: bool = False
) -> Iterator[dict[str, Any]]:
    """Yield the prediction whenever the label or a probability changes, and at the end of the text.

    Args:
        model: A model that can read streams.
        pieces: The text, in pieces of any length.
        min_change: The change of a probability since the last prediction yielded.
        label_unknown: Whether a text without any known token has a label.
    """
    stream = model.stream()
    token_count = 0
    beginning = ""
    reported: dict[str, Any] | None = None
    for step in (step for piece in pieces for step in STEP.findall(piece)):
        stream.feed(step)
        if len(beginning) < BEGINNING:
            beginning += step
        if stream.token_count == token_count:
            continue
        token_count = stream.token_count
        prediction = _prediction(model, stream, label_unknown=label_unknown, is_end=False)
        if reported is None or _differs(prediction, reported, min_change):
            reported = prediction
            yield prediction
    stream.end()
    last = _prediction(model, stream, label_unknown=label_unknown, is_end=True)
    if problem := find_problem(beginning, stream.known):
        problem.note_text("the text", has_label=last["label"] is not None)
    yield last


def _differs(prediction: dict[str, Any], reported: dict[str, Any], min_change: float) -> bool:
    probabilities, others = prediction["probabilities"], reported["probabilities"]
    change = max(abs(probabilities[label] - others[label]) for label in probabilities)
    return bool(prediction["label"] != reported["label"] or change >= min_change)


def _prediction(model: Classifier, stream: Stream, *, label_unknown: bool, is_end: bool) -> dict[str, Any]:
    probabilities = stream.probabilities
    k = int(model.choose(probabilities[None])[0])
    has_label = label_unknown or stream.known > 0
    return {
        "tokens": stream.token_count,
        "label": model.labels[k] if has_label else None,
        "probability": float(probabilities[k]) if has_label else None,
        "known": stream.known,
        "probabilities": {name: float(p) for name, p in zip(model.labels, probabilities, strict=True)},
        "end": is_end,
    }


def _print_lines(changes: Iterator[dict[str, Any]]) -> None:
    for change in changes:
        end = "\tend" if change["end"] else ""
        label = NO_LABEL if change["label"] is None else cell(change["label"])
        probability = NO_LABEL if change["probability"] is None else f"{change['probability']:.4f}"
        print(f"{change['tokens']}\t{label}\t{probability}{end}", flush=True)
