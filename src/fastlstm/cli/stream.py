"""`fastlstm stream`: standard input as one text, answered as it comes."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

import click

from fastlstm.cli.options import common_options, model_option, precision_option
from fastlstm.cli.output import json_entries
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier

READ_BYTES = 1 << 16


@click.command("stream")
@model_option
@precision_option
@click.option(
    "--change",
    type=float,
    default=0.1,
    show_default=True,
    metavar="P",
    help="Tell when a probability has moved by this since it was last told, or the label is another; 0: always.",
)
@common_options
def command(model: Classifier, change: float, as_json: bool) -> None:
    """Read standard input as one text and tell changes of the answer as they come, and at the end the answer.

    The text is read as far as its words are complete, in memory that does not grow with it.
    """
    if not 0 <= change <= 1:
        raise OptionError(f"change is {change}; expected a number from 0 to 1")
    if sys.stdin is None:
        raise OptionError("the text is read from standard input, and there is none; pipe it in")
    told = changes(model, _pieces(sys.stdin.buffer), change)
    if as_json:
        json_entries("changes", told)
    else:
        _write_lines(told)


def changes(model: Classifier, pieces: Iterator[str], change: float) -> Iterator[dict[str, Any]]:
    """What there is to tell, the last of it when the text is over."""
    stream = model.stream()
    told, tokens = None, 0
    for piece in pieces:
        stream.feed(piece)
        if stream.tokens == tokens:
            continue
        tokens, now = stream.tokens, stream.probabilities
        label = model.labels[int(model.choose(now[None])[0])]
        if told is None or label != told[0] or abs(now - told[1]).max() >= change:
            told = label, now
            yield _told(model, stream.tokens, label, now, over=False)
    now = stream.end().probabilities
    yield _told(model, stream.tokens, model.labels[int(model.choose(now[None])[0])], now, over=True)


def _told(model: Classifier, tokens: int, label: str, probabilities: Any, *, over: bool) -> dict[str, Any]:
    return {
        "tokens": tokens,
        "label": label,
        "probability": float(probabilities[model.labels.index(label)]),
        "probabilities": {name: float(p) for name, p in zip(model.labels, probabilities, strict=True)},
        "over": over,
    }


def _pieces(stream: BinaryIO) -> Iterator[str]:
    """The text as it arrives. Raises `DataError` for what is not UTF-8."""
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    read, done = getattr(stream, "read1", stream.read), 0
    while block := read(READ_BYTES):
        yield _decoded(decode, block, done)
        done += len(block)
    yield _decoded(decode, b"", done, final=True)


def _decoded(decode: Any, block: bytes, done: int, *, final: bool = False) -> str:
    try:
        text: str = decode(block, final)
    except UnicodeDecodeError as error:
        raise DataError(f"standard input is not UTF-8 (near byte {done + error.start}); convert it first") from None
    return text


def _write_lines(told: Iterator[dict[str, Any]]) -> None:
    for of in told:
        end = "\tend" if of["over"] else ""
        print(f"{of['tokens']}\t{of['label']}\t{of['probability']:.4f}{end}", flush=True)
