"""What the commands print: results, as tables for people or as JSON; notes, on standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from fastlstm import weights
from fastlstm.config import ModelConfig
from fastlstm.metrics import Report

if TYPE_CHECKING:
    from rich.console import Console

NARROW = 100
"""Columns of output that goes to no terminal."""
MANY_CLASSES = 30
"""Of more classes than this, the report shows the worst ones."""


def note(text: str) -> None:
    """One line on standard error."""
    print(text, file=sys.stderr, flush=True)


def json_object(value: Mapping[str, Any]) -> None:
    """The result, as one JSON object on standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def console(file: TextIO) -> Console:
    """Rich's console on `file`, which prints numbers and paths as they are."""
    from rich.console import Console

    return Console(file=file, highlight=False, soft_wrap=False, width=None if file.isatty() else NARROW)


def weights_table(config: ModelConfig, classes: int, file: TextIO) -> None:
    """The model's layers with their shapes and numbers of weights, and the sum."""
    from rich.table import Table

    table = Table("layer", "shape", "weights", title="The model", title_justify="left", show_footer=True)
    table.columns[0].footer = "in all"
    table.columns[2].footer = f"{weights.count(config, classes):,}"
    table.columns[2].justify = "right"
    for name, shape in weights.shapes(config, classes).items():
        table.add_row(name, " x ".join(str(size) for size in shape), f"{math.prod(shape):,}")
    console(file).print(table)


def report(value: Report, measured_on: str, file: TextIO, *, baseline: Report | None = None) -> None:
    """Loss, accuracy, and each class's precision, recall and F1; the baseline's figures beside."""
    from rich.table import Table

    out = console(file)
    summary = Table(
        "", "accuracy", "macro F1", "loss", "calibration error",
        title=f"On {value.texts:,} texts: {measured_on}", title_justify="left",
    )  # fmt: skip
    for name, of in (("LSTM", value), ("bag of words", baseline)):
        if of is not None:
            row = (
                f"{of.accuracy:.2%}",
                f"{of.macro_f1:.4f}",
                f"{of.loss:.4f}",
                f"{of.calibration_error:.2%}",
            )
            summary.add_row(name, *row)
    out.print(summary)
    shown = sorted(value.classes, key=lambda c: c.f1)[:MANY_CLASSES]
    title = "The classes" if len(shown) == len(value.classes) else f"The {len(shown)} hardest classes"
    classes = Table("class", "precision", "recall", "F1", "texts", title=title, title_justify="left")
    for c in value.classes if len(shown) == len(value.classes) else shown:
        classes.add_row(c.label, f"{c.precision:.4f}", f"{c.recall:.4f}", f"{c.f1:.4f}", f"{c.texts:,}")
    out.print(classes)


def facts(values: Mapping[str, str], file: TextIO) -> None:
    """Names and what they are, a line each."""
    width = max(len(name) for name in values)
    for name, value in values.items():
        print(f"{name:{width}}  {value}", file=file)
