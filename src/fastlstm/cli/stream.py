"""`fastlstm stream`: read standard input as one text and print the prediction as it changes."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

import click

from fastlstm._typing import FloatArray
from fastlstm.cli.options import PanelCommand, common_options, model_option, option, precision_option
from fastlstm.cli.output import json_entries
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier

READ_BYTES = 1 << 16


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
    if sys.stdin is None:
        raise OptionError("there is no standard input; pipe a text in", code="no-standard-input")
    changes = find_changes(model, _read_pieces(sys.stdin.buffer), min_change)
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
            yield _prediction(model, token_count, probabilities, over=False)
    stream.end()
    yield _prediction(model, stream.token_count, stream.probabilities, over=True)


def _prediction(model: Classifier, token_count: int, probabilities: FloatArray, *, over: bool) -> dict[str, Any]:
    k = int(model.choose(probabilities[None])[0])
    return {
        "tokens": token_count,
        "label": model.labels[k],
        "probability": float(probabilities[k]),
        "probabilities": {name: float(p) for name, p in zip(model.labels, probabilities, strict=True)},
        "over": over,
    }


def _read_pieces(stream: BinaryIO) -> Iterator[str]:
    """Yield the text as it arrives. Raises `DataError` if it is not UTF-8."""
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    read, position = getattr(stream, "read1", stream.read), 0
    while block := read(READ_BYTES):
        yield _decode(decode, block, position)
        position += len(block)
    yield _decode(decode, b"", position, final=True)


def _decode(decode: Any, block: bytes, position: int, *, final: bool = False) -> str:
    try:
        text: str = decode(block, final)
    except UnicodeDecodeError as error:
        byte = position + error.start
        raise DataError(
            f"standard input is not UTF-8 (near byte {byte}); convert it to UTF-8", code="not-utf8", byte=byte
        ) from None
    return text


def _print_lines(changes: Iterator[dict[str, Any]]) -> None:
    for change in changes:
        end = "\tend" if change["over"] else ""
        print(f"{change['tokens']}\t{change['label']}\t{change['probability']:.4f}{end}", flush=True)
