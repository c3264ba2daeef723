"""`fastlstm predict`: print the label and probability of each text."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

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
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier
from fastlstm.text.tokenizer import UNKNOWN_ID, TokenizedTexts

READ_BYTES = 1 << 16


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
        if sys.stdin is None:
            raise OptionError("there is no standard input; pipe a file in", code="no-standard-input")
        predictions = (
            prediction
            for lines in _read_lines(sys.stdin.buffer)
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


def _read_lines(stream: BinaryIO) -> Iterator[list[str]]:
    """Yield batches of the lines that have arrived. Raises `DataError` for a line that is not UTF-8."""
    count, incomplete = 0, io.BytesIO()
    read = getattr(stream, "read1", stream.read)
    while block := read(READ_BYTES):
        end = block.rfind(b"\n") + 1
        incomplete.write(block[:end])
        if end:
            lines = incomplete.getvalue().split(b"\n")[:-1]
            yield from _decode_lines(lines, count)
            count, incomplete = count + len(lines), io.BytesIO()
        incomplete.write(block[end:])
    if last := incomplete.getvalue():
        yield from _decode_lines([last], count)


def _decode_lines(lines: list[bytes], count: int) -> Iterator[list[str]]:
    """Yield the lines as one batch; if one is not UTF-8, yield those before it, then raise `DataError`.

    `count` is the number of earlier lines.
    """
    batch: list[str] = []
    for number, line in enumerate(lines, count + 1):
        try:
            batch.append(line.removesuffix(b"\r").decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError:
            yield batch
            raise DataError(
                f"line {number} of standard input is not UTF-8; convert it to UTF-8", code="not-utf8", line=number
            ) from None
    yield batch
