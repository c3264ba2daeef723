"""The precisions that are measured on this processor."""

from __future__ import annotations

from fastlstm.kernel import find_kernel
from fastlstm.kernel.abi import PRECISIONS
from fastlstm.precision import AUTO


def explicit_precisions() -> list[str]:
    """Return the precisions that this processor supports, float32 first."""
    kernel = find_kernel().kernel
    return [name for name in PRECISIONS if name == "float32" or (kernel is not None and kernel.supports(name))]


def inference_precisions() -> list[str]:
    """Return the explicit precisions and "auto"."""
    return [*explicit_precisions(), AUTO]


def training_precisions() -> list[str]:
    """Return the same without int8, in which nothing is trained."""
    return [name for name in inference_precisions() if name != "int8"]


def runtime_name(precision: str) -> str:
    """Return the name of fastlstm in results: without a precision, it is float32."""
    return "fastlstm" if precision == "float32" else f"fastlstm {precision}"
