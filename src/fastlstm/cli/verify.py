"""`fastlstm verify`: a model through every runtime that is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from fastlstm import models
from fastlstm.cli import show
from fastlstm.cli.options import common
from fastlstm.inference.classifier import load


@click.command("verify")
@click.option("--model", "-m", "model", metavar="DIR", help="A classifier; without it, the bundled one.")
@common
def command(model: str | None, as_json: bool) -> int:
    """Run a model's golden texts, and texts of many lengths in batches of many sizes, through every runtime.

    Each is compared with NumPy, the definition: the compiled kernel in every instruction set and precision,
    PyTorch, ONNX Runtime, and int8 there, as far as they are installed. Ends with status 1 where one is off.
    """
    from fastlstm import verification

    folder: Path = models.located(model)
    compared = list(verification.verify(load(model), folder))
    passes = all(one.passes for one in compared)
    if as_json:
        show.json_object({"runtimes": [verification.as_json(one) for one in compared], "passes": passes})
        return 0 if passes else 1
    table = show.table_of("runtime", "largest difference", "may be", "")
    for one in compared:
        if one.why_not:
            table.add_row(one.runtime, "", "", f"not tried: {one.why_not}")
        else:
            table.add_row(
                one.runtime, f"{one.difference:.1e}", f"{one.tolerance:g}", "" if one.passes else "too far off"
            )
    show.console(sys.stdout).print(table)
    return 0 if passes else 1
