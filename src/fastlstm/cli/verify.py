"""`fastlstm verify`: a model through every runtime that is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from fastlstm.cli.options import common_options
from fastlstm.cli.output import console, json_object, make_table
from fastlstm.inference.classifier import load
from fastlstm.pretrained import find_model


@click.command("verify")
@click.option("--model", "-m", "model", metavar="DIR", help="A classifier; without it, the bundled one.")
@common_options
def command(model: str | None, as_json: bool) -> int:
    """Run a model's golden texts, and texts of many lengths in batches of many sizes, through every runtime.

    Each is compared with NumPy, the definition: the compiled kernel in every instruction set and precision,
    PyTorch, ONNX Runtime, and int8 there, as far as they are installed. Ends with status 1 where one is off.
    """
    from fastlstm.convert import parity

    folder: Path = find_model(model)
    compared = list(parity.compare_runtimes(load(model), folder))
    passes = all(one.passes for one in compared)
    if as_json:
        json_object({"runtimes": [parity.as_json(one) for one in compared], "passes": passes})
        return 0 if passes else 1
    table = make_table("runtime", "largest difference", "may be", "")
    for one in compared:
        if one.why_not:
            table.add_row(one.runtime, "", "", f"not tried: {one.why_not}")
        else:
            table.add_row(
                one.runtime, f"{one.difference:.1e}", f"{one.tolerance:g}", "" if one.passes else "too far off"
            )
    console(sys.stdout).print(table)
    return 0 if passes else 1
