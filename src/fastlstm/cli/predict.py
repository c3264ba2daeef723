"""`fastlstm predict`: the class and its probability, for texts given or streamed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import click

from fastlstm.cli.options import common, model_option
from fastlstm.errors import DataError
from fastlstm.inference import Classifier

READ_BYTES = 1 << 16


@click.command("predict", context_settings={"ignore_unknown_options": False})
@click.argument("texts", nargs=-1, required=True, metavar="TEXT... | -")
@model_option
@common
def command(texts: Sequence[str], model: Classifier, as_json: bool) -> None:
    """Tell the class of each TEXT, with its probability.

    With - instead, every line of standard input is a text, answered as it comes.
    """
    batches = _lines(sys.stdin.buffer) if list(texts) == ["-"] else iter([list(texts)])
    write = _write_json if as_json else _write_lines
    write(prediction for batch in batches for prediction in _predict(model, batch))


def _predict(model: Classifier, texts: list[str]) -> Iterator[dict[str, Any]]:
    for text, row in zip(texts, model.predict_proba(texts), strict=True):
        best = int(row.argmax())
        yield {
            "text": text,
            "label": model.labels[best],
            "probability": float(row[best]),
            "probabilities": {label: float(p) for label, p in zip(model.labels, row, strict=True)},
        }


def _write_lines(predictions: Iterator[dict[str, Any]]) -> None:
    for prediction in predictions:
        text = " ".join(prediction["text"].split())
        print(f"{prediction['label']}\t{prediction['probability']:.4f}\t{text}", flush=True)


def _write_json(predictions: Iterator[dict[str, Any]]) -> None:
    """One JSON object, its predictions a line each and written as they come."""
    print('{"predictions": [', end="", flush=True)
    separator = "\n"
    for prediction in predictions:
        print(separator + json.dumps(prediction, ensure_ascii=False), end="", flush=True)
        separator = ",\n"
    print("\n]}", flush=True)


def _lines(stream: BinaryIO) -> Iterator[list[str]]:
    """The stream's lines, as many at a time as have arrived. Raises `DataError` for one that is not UTF-8."""
    rest, done = b"", 0
    read = getattr(stream, "read1", stream.read)
    while block := read(READ_BYTES):
        *lines, rest = (rest + block).split(b"\n")
        if lines:
            yield [_decoded(line, done + i) for i, line in enumerate(lines, 1)]
            done += len(lines)
    if rest:
        yield [_decoded(rest, done + 1)]


def _decoded(line: bytes, number: int) -> str:
    try:
        return line.removesuffix(b"\r").decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise DataError(f"line {number} of standard input is not UTF-8; convert it first") from None
