"""Output of the commands: results as tables or JSON on standard output, notes on standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from fastlstm.cli.escaping import one_line, print_line, printable
from fastlstm.cli.option_names import current_command, with_options
from fastlstm.config import ModelConfig
from fastlstm.metrics import MIN_TEXTS_WITHOUT_INTERVAL, Report
from fastlstm.serialization import weights

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

NO_LABEL = "-"
"""Printed in place of the label of a text without any known token."""
PLAIN_WIDTH = 100
"""Width of output that does not go to a terminal, in characters."""
MAX_CLASSES_SHOWN = 30
"""Maximum number of classes in a report: those with the lowest F1."""


def note(text: str) -> None:
    """Print one line on standard error, with Python arguments as options of the command."""
    print_line(one_line(with_options(text, current_command())), sys.stderr)


def note_missing_fonts(*, labels: Sequence[str] = (), tokens: Sequence[str] = ()) -> None:
    """Print a note if no installed font has some characters of the class names or tokens in plots."""
    from fastlstm import plots

    drawn_labels = labels if len(labels) <= plots.MAX_LABELLED_CLASSES else ()
    missing = plots.missing_font_note([*drawn_labels, *tokens])
    if missing is not None:
        note(missing)


def json_object(value: Mapping[str, Any]) -> None:
    """Print one JSON object on standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def json_entries(name: str, entries: Iterable[Mapping[str, Any]]) -> None:
    """Print one JSON object with one list, one entry per line, each as soon as it is available.

    If reading the entries fails, the object is closed after those that were printed.
    """
    before = f'{{"{name}": [\n'
    try:
        for entry in entries:
            print(before + json.dumps(entry, ensure_ascii=False), end="", flush=True)
            before = ",\n"
    finally:
        print(f'{{"{name}": []}}' if before[0] == "{" else "\n]}", flush=True)


def console(file: TextIO) -> Console:
    """Return a console on `file` without markup and highlighting, which escapes control characters."""
    return _console_class()(
        file=file, highlight=False, markup=False, emoji=False, width=None if file.isatty() else PLAIN_WIDTH
    )


def weights_table(config: ModelConfig, classes: int, file: TextIO) -> None:
    """Print the layers of a model with shapes and numbers of weights."""
    table = make_table("layer", "shape", "weights")
    table.show_footer = True
    table.columns[0].footer = "total"
    table.columns[2].footer = f"{weights.parameter_count(config, classes):,}"
    for name, shape in weights.shapes(config, classes).items():
        table.add_row(name, " x ".join(str(size) for size in shape), f"{math.prod(shape):,}")
    console(file).print(table)


def report(value: Report, evaluated_on: str, file: TextIO, *, baseline: Report | None = None) -> None:
    """Print loss and accuracy of the model and the baseline, and precision, recall and F1 of each class."""
    source = with_options(evaluated_on, current_command())
    print_line(one_line(f"On {value.texts:,} {'text' if value.texts == 1 else 'texts'} ({source}):"), file)
    has_interval = value.texts < MIN_TEXTS_WITHOUT_INTERVAL
    interval = ["95% interval"] if has_interval else []
    summary = make_table("", "accuracy", *interval, "macro F1", "loss", "calibration error")
    for name, metrics in (("model", value), ("n-gram baseline", baseline)):
        if metrics is not None:
            low, high = metrics.accuracy_interval
            summary.add_row(
                name,
                f"{metrics.accuracy:.2%}",
                *([f"{100 * low:.1f} to {high:.1%}"] if has_interval else []),
                f"{metrics.macro_f1:.4f}",
                f"{metrics.loss:.4f}",
                f"{metrics.calibration_error:.2%}",
            )
    console(file).print(summary)
    shown = value.classes
    if len(shown) > MAX_CLASSES_SHOWN:
        shown = tuple(sorted(shown, key=lambda c: c.f1)[:MAX_CLASSES_SHOWN])
        print(f"The {MAX_CLASSES_SHOWN} classes with the lowest F1, of {len(value.classes)}:", file=file)
    classes = make_table("class", "precision", "recall", "F1", "texts")
    for c in shown:
        classes.add_row(c.label, f"{c.precision:.4f}", f"{c.recall:.4f}", f"{c.f1:.4f}", f"{c.texts:,}")
    console(file).print(classes)


def make_table(first: str, *others: str) -> Table:
    """Return a table with a column of names and right-aligned columns of numbers."""
    from rich import box

    table = _table_class()(box=box.SIMPLE)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def fact_table(values: Mapping[str, str], file: TextIO) -> None:
    """Print names and values, one per line."""
    width = max(len(name) for name in values)
    for name, value in values.items():
        print_line(f"{name:{width}}  {one_line(value)}", file)


def _console_class() -> type[Console]:
    """Return a class of consoles that print strings as `printable` returns them."""
    from rich.console import Console

    class EscapingConsole(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            super().print(*(printable(o) if isinstance(o, str) else o for o in objects), **options)

    return EscapingConsole


def _table_class() -> type[Table]:
    """Return a class of tables whose headers and cells are each one line, as `one_line` returns it."""
    from rich.table import Table

    class EscapingTable(Table):
        def add_column(self, header: Any = "", *arguments: Any, **options: Any) -> None:
            super().add_column(_escape_string(header), *arguments, **options)

        def add_row(self, *cells: Any, **options: Any) -> None:
            super().add_row(*map(_escape_string, cells), **options)

    return EscapingTable


def _escape_string(value: Any) -> Any:
    return one_line(value) if isinstance(value, str) else value
