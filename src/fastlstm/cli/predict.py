"""`fastlstm predict`: the class and its probability, for texts given or streamed."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import click

from fastlstm.cli.options import common_options, model_option, precision_option, threshold_option
from fastlstm.cli.output import json_entries, note
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier
from fastlstm.inference.classifier import validate_texts
from fastlstm.text.tokenizer import UNKNOWN_ID

READ_BYTES = 1 << 16


@click.command("predict")
@click.argument("texts", nargs=-1, required=True, metavar="TEXT... | -")
@model_option
@precision_option
@threshold_option
@click.option(
    "--early-exit",
    type=float,
    metavar="P",
    help="Read texts no further than so large a share of answers needs to be those of the whole texts; 0.99, say.",
)
@common_options
def command(
    texts: Sequence[str], model: Classifier, threshold: float | None, early_exit: float | None, as_json: bool
) -> None:
    """Tell the class of each TEXT, with its probability.

    With - instead, every line of standard input is a text, answered as it comes.
    """
    if "-" in texts and len(texts) > 1:
        raise OptionError("- stands for the lines of standard input, and came with other texts; pass - alone")
    if "-" in texts and sys.stdin is None:
        raise OptionError("- stands for the lines of standard input, and there is none; pipe a file in")
    if "-" not in texts:
        _doubt(validate_texts(texts), model)
    batches = _lines(sys.stdin.buffer) if "-" in texts else iter([list(texts)])
    predictions = (found for batch in batches for found in _predict(model, batch, threshold, early_exit))
    if as_json:
        json_entries("predictions", predictions)
    else:
        _write_lines(predictions)


def _doubt(texts: Sequence[str], model: Classifier) -> None:
    """Says what of these texts was perhaps not meant so."""
    for text in texts:
        if _names_a_file(text):
            note(f"{text} is read as a text; for the lines of the file of that name: predict - < {text}")
    unknown = sum(bool((ids == UNKNOWN_ID).all()) for ids in model.encode(texts).ids)
    if unknown:
        note(f"of {unknown} of {len(texts)} texts the model knows no word; its answer to these means nothing")


def _names_a_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # no name: too long, or with characters that names have not
        return False


def _predict(
    model: Classifier, texts: list[str], threshold: float | None, early_exit: float | None
) -> Iterator[dict[str, Any]]:
    if early_exit is None:
        probabilities = model.predict_proba(texts)
    else:
        answers = model.read_early(texts, early_exit)
        probabilities = answers.probabilities
        note(f"{answers.saved:.0%} of {int(answers.tokens.sum()):,} tokens were not read")
    chosen = model.choose(probabilities, threshold=threshold)
    for text, row, k in zip(texts, probabilities, chosen, strict=True):
        yield {
            "text": text,
            "label": model.labels[k],
            "probability": float(row[k]),
            "probabilities": {label: float(p) for label, p in zip(model.labels, row, strict=True)},
        }


def _write_lines(predictions: Iterator[dict[str, Any]]) -> None:
    for prediction in predictions:
        label, text = (" ".join(prediction[name].split()) for name in ("label", "text"))
        print(f"{label}\t{prediction['probability']:.4f}\t{text}", flush=True)


def _lines(stream: BinaryIO) -> Iterator[list[str]]:
    """The stream's lines, as many at a time as have arrived. Raises `DataError` for one that is not UTF-8."""
    done, unfinished = 0, io.BytesIO()
    read = getattr(stream, "read1", stream.read)
    while block := read(READ_BYTES):
        end = block.rfind(b"\n") + 1
        unfinished.write(block[:end])
        if end:
            lines = unfinished.getvalue().split(b"\n")[:-1]
            yield from _decoded(lines, done)
            done, unfinished = done + len(lines), io.BytesIO()
        unfinished.write(block[end:])
    if rest := unfinished.getvalue():
        yield from _decoded([rest], done)


def _decoded(lines: list[bytes], done: int) -> Iterator[list[str]]:
    """The lines as one batch; those before one that is not UTF-8 are still given, so that they are answered."""
    batch: list[str] = []
    for number, line in enumerate(lines, done + 1):
        try:
            batch.append(line.removesuffix(b"\r").decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError:
            yield batch
            raise DataError(f"line {number} of standard input is not UTF-8; convert it first") from None
    yield batch
