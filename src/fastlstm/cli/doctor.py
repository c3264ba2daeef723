"""`fastlstm doctor`: what this installation has and lacks; with DATA, what labelled texts hold."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from fastlstm.cli.options import common_options, config_options, preset_option, split_source, table_options
from fastlstm.cli.output import fact_table, json_object, note
from fastlstm.diagnostics import VARIABLES, Extra, Installation, KernelState, PyTorchInfo, SelfCheck, diagnose

INSTRUCTIONS = {"v2": "SSE4.2", "v3": "AVX2, FMA", "v4": "AVX-512", "neon": "NEON"}
"""What people call an instruction set."""


def installation_facts(installation: Installation) -> dict[str, str]:
    """Names and what there is or is missing, in the order of printing."""
    variables = [f"{name}={value}" for name, value in installation.environment.items()]
    facts = {
        "fastlstm": installation.fastlstm,
        "Python": installation.python,
        "system": installation.system,
        "processor": installation.processor,
        **_kernel(installation.kernel),
    }
    if installation.self_check is not None:
        facts["self-check"] = _self_check(installation.self_check)
    facts["environment"] = ", ".join(variables) or f"none of {', '.join(VARIABLES)} is set"
    if installation.pytorch is not None:
        facts["PyTorch"] = _pytorch(installation.pytorch)
    return {**facts, **{f"extra {extra.name}": _extra(extra) for extra in installation.extras}}


def _kernel(kernel: KernelState) -> dict[str, str]:
    if kernel.instruction_set is None:
        return {
            "kernel": f"none: {kernel.why_not}",
            "instead": "training runs PyTorch's nn.LSTM; inference runs NumPy, which is slower",
            "what to do": str(kernel.what_to_do),
        }
    return {
        "kernel": f"compiled, for {_named(kernel.instruction_set)}",
        "could run": ", ".join(map(_named, kernel.could_run)),
        "precisions": ", ".join(kernel.precisions),
        "threads": f"{kernel.threads} ({kernel.threads_from})",
        "library": str(kernel.library),
    }


def _named(isa: str) -> str:
    return f"{isa} ({INSTRUCTIONS[isa]})"


def _self_check(check: SelfCheck) -> str:
    if check.largest_difference is None:
        figure = "the kernel made numbers that are not finite"
    else:
        figure = f"largest relative difference {check.largest_difference:.1e}, allowed {check.tolerance:g}"
    if check.passed:
        return f"passed: the kernel agrees with NumPy; {figure}"
    return f"FAILED: {figure}; set FASTLSTM_ISA=reference to do without the kernel, and please report this"


def _pytorch(pytorch: PyTorchInfo) -> str:
    if pytorch.error is not None:
        return f"{pytorch.version}, which can't be imported: {pytorch.error}"
    if pytorch.gpu is None:
        return f"{pytorch.version}, no GPU: {pytorch.why_no_gpu}"
    return f"{pytorch.version}, GPU: {pytorch.gpu}, on which fastlstm train runs unless --device cpu"


def _extra(extra: Extra) -> str:
    there = ", ".join(f"{name} {version}" for name, version in extra.packages.items() if version is not None)
    if extra.install is None:
        return there
    missing = [name for name, version in extra.packages.items() if version is None]
    lacks = f"{there}; {', '.join(missing)} missing" if there else "missing"
    return f"{lacks}: {extra.install} ({extra.gives})"


MOST = 20


@click.command("doctor")
@click.argument("data", metavar="[DATA]", required=False)
@preset_option
@click.option("--validation", default="0.2", show_default=True, metavar="DATA|FRACTION",
              help="What would choose the best epoch: a share of the texts, or data of its own.")  # fmt: skip
@click.option("--test", default=None, metavar="DATA|FRACTION",
              help="What a model would be measured on. [imdb: its test split; else: none]")  # fmt: skip
@config_options("vocabulary_size", "max_tokens", "truncate", "seed")
@click.option("--label-noise/--no-label-noise", default=True,
              help="Look for wrong labels, which takes most of the time. [on]")  # fmt: skip
@click.option("--most", type=click.IntRange(1), default=MOST, show_default=True,
              help="Examples named of each kind.")  # fmt: skip
@click.option("--plots", type=click.Path(path_type=Path), metavar="DIR",
              help="Draw class balance, lengths and label noise into this folder.")  # fmt: skip
@table_options
@common_options
@click.pass_context
def command(context: click.Context, /, data: str | None, plots: Path | None, as_json: bool, **options: Any) -> int:
    """Say what this installation has and what is missing, and check that the kernel computes rightly.

    With DATA, examine labelled texts instead, read and split as fastlstm train with the same options would:
    duplicates, labels that look wrong, class balance, lengths, vocabulary, languages, and what to do about each.
    """
    if data is not None:
        _data(data, plots, as_json, options)
        return 0
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if given and parameter.name != "as_json" and parameter.expose_value:
            raise click.UsageError(
                f"{parameter.opts[0]} is about data; give DATA, as in fastlstm doctor reviews.csv."
            )
    return _installation(as_json)


def _installation(as_json: bool) -> int:
    """Prints it; returns the exit status."""
    installation = diagnose()
    if as_json:
        json_object(dataclasses.asdict(installation))
    else:
        fact_table(installation_facts(installation), sys.stdout)
    check = installation.self_check
    return 0 if check is None or check.passed else 1


def _data(data: str, plots: Path | None, as_json: bool, options: Mapping[str, Any]) -> None:
    from fastlstm import checks
    from fastlstm.cli.check import report
    from fastlstm.cli.progress import Display
    from fastlstm.serialization import atomic

    if plots is not None:
        _check_drawing(plots)
    parts = {name: split_source(options[name]) for name in ("validation", "test") if options[name] is not None}
    with Display(sys.stderr) as display:
        found = checks.check(data, **{**options, **parts}, say=display.note, progress=display.download)
    if as_json:
        json_object(found.to_json())
    else:
        report(found, sys.stdout)
    if plots is not None:
        plots.mkdir(parents=True, exist_ok=True)
        for name, content in found.plots().items():
            atomic.write_file(plots / name, content)
        note(f"drawn: {plots}")


def _check_drawing(folder: Path) -> None:
    """Raises what would end the command when all else is done."""
    from fastlstm.errors import OptionError
    from fastlstm.plots import require_matplotlib
    from fastlstm.serialization import atomic

    require_matplotlib()
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"plots is {str(folder)!r}, which is a file; expected the name of a folder to draw into")
    atomic.check_writable(folder / "classes.png")
