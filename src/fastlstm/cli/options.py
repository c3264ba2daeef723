"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from fastlstm.inference import Classifier
from fastlstm.inference.classifier import load
from fastlstm.kernel.native import PRECISIONS

PRECISION = "fastlstm.precision"
"""Where the context keeps what --precision says."""

Function = TypeVar("Function", bound=Callable[..., Any])


def common(function: Function) -> Function:
    """--json and --debug. `main` looks for --debug itself, since errors come from parsing too."""
    function = click.option("--debug", is_flag=True, expose_value=False, help="Print the traceback of an error.")(
        function
    )
    return click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")(function)


def model_option(function: Function) -> Function:
    """--model, read into a `Classifier`."""
    return click.option(
        "--model",
        "-m",
        "model",
        type=str,
        callback=_load,
        metavar="DIR",
        help="The folder that fastlstm train wrote.",
    )(function)


def precision_option(function: Function) -> Function:
    """--precision, in which `model_option`'s model then computes."""
    return click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        default=PRECISIONS[0],
        show_default=True,
        is_eager=True,  # known before the model is loaded
        expose_value=False,
        callback=_remember,
        help="What the LSTM's products are taken of; less than float32 is faster where the processor has it.",
    )(function)


def threshold_option(function: Function) -> Function:
    """--threshold, for `Classifier.choose` and `Classifier.evaluate`."""
    return click.option(
        "--threshold",
        type=float,
        metavar="P",
        help="Of two classes, predict the second one from this probability on. [the model's own]",
    )(function)


def table_options(function: Function) -> Function:
    """--text-column, --label-column and --data-dir."""
    for name, what in (("label", "labels"), ("text", "texts")):
        function = click.option(
            f"--{name}-column", default=name, show_default=True, help=f"Where {what} stand in tables."
        )(function)
    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        help="The folder that holds IMDb, for DATA imdb. [env: FASTLSTM_DATA_DIR]",
    )(function)


def _load(context: click.Context, parameter: click.Parameter, value: str | None) -> Classifier | None:
    del parameter
    return None if context.resilient_parsing else load(value, precision=context.meta.get(PRECISION, PRECISIONS[0]))


def _remember(context: click.Context, parameter: click.Parameter, value: str) -> None:
    del parameter
    context.meta[PRECISION] = value
