"""`fastlstm doctor`: examine the installation, and compare the runtimes on a model."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING

import click

from fastlstm.cli.options import PanelCommand, common_options, option
from fastlstm.cli.output import console, fact_table, json_object, make_table
from fastlstm.diagnostics import (
    ENVIRONMENT_VARIABLES,
    Diagnostics,
    ExtraStatus,
    KernelStatus,
    PyTorchStatus,
    SelfCheck,
    diagnose,
)
from fastlstm.precision import PrecisionChoice

if TYPE_CHECKING:
    from fastlstm.convert.parity import RuntimeComparison

INSTRUCTION_SET_NAMES = {"v2": "SSE4.2", "v3": "AVX2, FMA", "v4": "AVX-512", "neon": "NEON"}


@click.command("doctor", cls=PanelCommand)
@option("--model", "-m", metavar="DIR", panel="Model", help="Also run this model in every runtime.")
@common_options
def command(model: str | None, as_json: bool) -> int:
    """Report what is installed and what is missing, and test the kernel against NumPy.

    With --model, also run the model's golden texts, and random texts of many lengths and batch sizes, in every
    runtime: the kernel in each instruction set and precision, PyTorch, and ONNX Runtime in float32 and int8. Runtimes
    that round are judged by most texts instead of all. The exit status is 1 if a runtime differs too much.
    """
    comparisons = None if model is None else _compare_runtimes(model)
    diagnostics = diagnose()
    if as_json:
        runtimes = None if comparisons is None else [comparison.to_json() for comparison in comparisons]
        json_object({**dataclasses.asdict(diagnostics), "runtimes": runtimes})
    else:
        fact_table(_facts(diagnostics), sys.stdout)
        if comparisons is not None:
            _print_comparisons(comparisons)
    kernel_passes = diagnostics.self_check is None or diagnostics.self_check.passed
    runtimes_pass = comparisons is None or all(comparison.passes for comparison in comparisons)
    return 0 if kernel_passes and runtimes_pass else 1


def _compare_runtimes(name: str) -> list[RuntimeComparison]:
    from fastlstm.convert.parity import compare_runtimes
    from fastlstm.inference.classifier import load
    from fastlstm.pretrained import find_model

    return list(compare_runtimes(load(name), find_model(name)))


def _print_comparisons(comparisons: list[RuntimeComparison]) -> None:
    table = make_table("runtime", "difference", "tolerance", "same labels", "")
    for comparison in comparisons:
        if comparison.skipped:
            table.add_row(comparison.runtime, "", "", "", f"skipped: {comparison.skipped}")
        else:
            result = "passed" if comparison.passes else "FAILED"
            labels = "" if comparison.agreement is None else f"{comparison.agreement:.1%}"
            table.add_row(
                comparison.runtime, f"{comparison.difference:.1e}", f"{comparison.tolerance:.2g}", labels, result
            )
    console(sys.stdout).print(table)


def _facts(diagnostics: Diagnostics) -> dict[str, str]:
    """Return the lines of the report, by name."""
    variables = [f"{name}={value}" for name, value in diagnostics.environment.items()]
    facts = {
        "fastlstm": diagnostics.fastlstm,
        "Python": diagnostics.python,
        "system": diagnostics.system,
        "processor": diagnostics.processor,
        **_kernel_facts(diagnostics.kernel),
    }
    if diagnostics.self_check is not None:
        facts["self-check"] = _self_check_fact(diagnostics.self_check)
    for task in dict.fromkeys(choice.task for choice in diagnostics.auto_precision):
        choices = [choice for choice in diagnostics.auto_precision if choice.task == task]
        facts[f"auto, {task}"] = _precision_fact(choices)
    facts["environment"] = ", ".join(variables) or f"none of {', '.join(ENVIRONMENT_VARIABLES)} is set"
    if diagnostics.pytorch is not None:
        facts["PyTorch"] = _pytorch_fact(diagnostics.pytorch)
    return {**facts, **{f"extra {extra.name}": _extra_fact(extra) for extra in diagnostics.extras}}


def _kernel_facts(kernel: KernelStatus) -> dict[str, str]:
    if kernel.instruction_set is None:
        return {
            "kernel": f"none: {kernel.reason}",
            "fallback": "training uses PyTorch's nn.LSTM, inference uses NumPy; both are slower",
            "remedy": str(kernel.remedy),
        }
    return {
        "kernel": f"compiled, for {_instruction_set(kernel.instruction_set)}",
        "supported": ", ".join(map(_instruction_set, kernel.supported)),
        "precisions": ", ".join(kernel.precisions),
        "threads": f"{kernel.threads} ({kernel.threads_source})",
        "library": str(kernel.library),
    }


def _instruction_set(isa: str) -> str:
    return f"{isa} ({INSTRUCTION_SET_NAMES[isa]})"


def _self_check_fact(check: SelfCheck) -> str:
    if check.largest_difference is None:
        result = "the kernel returned NaN or infinity"
    else:
        result = f"largest relative difference {check.largest_difference:.1e}, tolerance {check.tolerance:g}"
    if check.passed:
        return f"passed: the kernel agrees with NumPy; {result}"
    return f"FAILED: {result}; set FASTLSTM_ISA=reference to use NumPy instead, and please report this"


def _precision_fact(choices: list[PrecisionChoice]) -> str:
    """Return what the precision "auto" chooses for each size of layers, and the speeds that it compared."""
    if all(len(choice.speeds) == 1 for choice in choices):
        return f"{choices[0].precision}, the only precision here"
    parts = []
    for choice in choices:
        others = ", ".join(f"{name} {speed:.2f} ×" for name, speed in choice.speeds.items() if name != "float32")
        parts.append(f"{', '.join(map(str, choice.units))} units: {choice.precision} ({others})")
    return f"{'; '.join(parts)}; × float32's speed"


def _pytorch_fact(pytorch: PyTorchStatus) -> str:
    if pytorch.import_error is not None:
        return f"{pytorch.version}, import failed: {pytorch.import_error}"
    if pytorch.gpu is None:
        return f"{pytorch.version}, no GPU: {pytorch.no_gpu_reason}"
    return f"{pytorch.version}, GPU: {pytorch.gpu}; training uses it unless --device cpu is given"


def _extra_fact(extra: ExtraStatus) -> str:
    installed = ", ".join(f"{name} {version}" for name, version in extra.packages.items() if version is not None)
    if extra.install is None:
        return installed
    missing = [name for name, version in extra.packages.items() if version is None]
    status = f"{installed}; {', '.join(missing)} missing" if installed else "missing"
    return f"{status}: {extra.install} ({extra.purpose})"
