"""What `fastlstm doctor` prints of an installation."""

from __future__ import annotations

from fastlstm.installation import VARIABLES, Extra, Installation, KernelState, PyTorch, SelfCheck

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


def _pytorch(pytorch: PyTorch) -> str:
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
