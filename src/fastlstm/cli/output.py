"""What the commands print: results, as tables for people or as JSON; notes, on standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from fastlstm.config import ModelConfig
from fastlstm.metrics import Report
from fastlstm.serialization import weights

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MIN_WIDTH = 100
"""Columns of output that goes to no terminal."""
MAX_CLASSES_SHOWN = 30
"""Of more classes than this, the report shows the worst ones."""


def note(text: str) -> None:
    """One line on standard error."""
    print(text, file=sys.stderr, flush=True)


def json_object(value: Mapping[str, Any]) -> None:
    """The result, as one JSON object on standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def json_entries(name: str, entries: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object with a list of that name, its entries a line each and written as they come."""
    before = f'{{"{name}": [\n'
    for entry in entries:
        print(before + json.dumps(entry, ensure_ascii=False), end="", flush=True)
        before = ",\n"
    print(f'{{"{name}": []}}' if before[0] == "{" else "\n]}", flush=True)


def console(file: TextIO) -> Console:
    """Rich's console on `file`, which prints numbers and paths as they are."""
    from rich.console import Console

    return Console(
        file=file, highlight=False, markup=False, emoji=False, width=None if file.isatty() else MIN_WIDTH
    )


def weights_table(config: ModelConfig, classes: int, file: TextIO) -> None:
    """The model's layers with their shapes and numbers of weights, and the sum."""
    table = make_table("layer", "shape", "weights")
    table.show_footer = True
    table.columns[0].footer = "in all"
    table.columns[2].footer = f"{weights.parameter_count(config, classes):,}"
    for name, shape in weights.shapes(config, classes).items():
        table.add_row(name, " x ".join(str(size) for size in shape), f"{math.prod(shape):,}")
    console(file).print(table)


def report(value: Report, measured_on: str, file: TextIO, *, baseline: Report | None = None) -> None:
    """Loss, accuracy, and each class's precision, recall and F1; the baseline's figures beside."""
    print(f"On {value.texts:,} texts ({measured_on}):", file=file)
    summary = make_table("", "accuracy", "macro F1", "loss", "calibration error")
    for name, of in (("LSTM", value), ("bag of words", baseline)):
        if of is not None:
            summary.add_row(
                name,
                f"{of.accuracy:.2%}",
                f"{of.macro_f1:.4f}",
                f"{of.loss:.4f}",
                f"{of.calibration_error:.2%}",
            )
    console(file).print(summary)
    shown = value.classes
    if len(shown) > MAX_CLASSES_SHOWN:
        shown = tuple(sorted(shown, key=lambda c: c.f1)[:MAX_CLASSES_SHOWN])
        print(f"The {MAX_CLASSES_SHOWN} hardest of {len(value.classes)} classes:", file=file)
    classes = make_table("class", "precision", "recall", "F1", "texts")
    for c in shown:
        classes.add_row(c.label, f"{c.precision:.4f}", f"{c.recall:.4f}", f"{c.f1:.4f}", f"{c.texts:,}")
    console(file).print(classes)


def make_table(first: str, *others: str) -> Table:
    """A table whose first column holds names, shown as they are, and the others figures."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def fact_table(values: Mapping[str, str], file: TextIO) -> None:
    """Names and what they are, a line each."""
    width = max(len(name) for name in values)
    for name, value in values.items():
        print(f"{name:{width}}  {value}", file=file)
