"""Find the kernel of this process: the compiled one for the best instruction set, or the NumPy reference."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastlstm.errors import OptionError
from fastlstm.kernel.abi import FILE_NAME, KernelLibraryError, load_library
from fastlstm.kernel.bindings import Kernel

ISAS = ("v2", "v3", "v4", "neon")
"""Instruction sets: x86-64-v2, v3 and v4, and 64-bit ARM."""
REFERENCE = "reference"
"""Value of FASTLSTM_ISA that disables the kernel."""
MAX_THREADS = 4096


@dataclass(frozen=True)
class KernelInfo:
    """The compiled kernel, or the reason why there is none.

    Attributes:
        kernel: None if there is none.
        reason: Why there is no kernel; empty if there is one.
        path: File of the library; None if there is none.
        code: Stable identifier of the reason, such as "kernel-not-built"; empty if there is a kernel.
    """

    kernel: Kernel | None
    reason: str
    path: Path | None
    code: str = ""


@cache
def find_kernel() -> KernelInfo:
    """Find the kernel, once per process.

    Environment variables: FASTLSTM_LIBRARY names another library; FASTLSTM_ISA selects an instruction set, or NumPy
    if it is "reference"; FASTLSTM_THREADS is the number of threads, by default the cores available to this process.

    Raises:
        OptionError: An environment variable is invalid, or the processor does not support FASTLSTM_ISA.
    """
    isa = os.environ.get("FASTLSTM_ISA") or None
    if isa == REFERENCE:
        return KernelInfo(None, "FASTLSTM_ISA=reference selects NumPy", None, "kernel-disabled")
    if isa is not None and isa not in ISAS:
        raise OptionError(
            f"FASTLSTM_ISA is {isa!r}; expected {', '.join(ISAS)} or {REFERENCE}", code="unknown-isa", isa=isa
        )
    path = _library_path()
    if path is None:
        reason = "it was not built when fastlstm was installed, for example because there was no C++ compiler"
        return KernelInfo(None, reason, None, "kernel-not-built")
    try:
        kernel = Kernel(load_library(path), isa)
    except KernelLibraryError as error:
        return KernelInfo(None, str(error), path, error.code)
    except OSError as error:
        return KernelInfo(None, str(error), path, KernelLibraryError.default_code)
    except ValueError as error:
        if isa is not None:
            raise OptionError(
                f"FASTLSTM_ISA is {isa}, but {error}; unset it to use the best instruction set",
                code="unsupported-isa",
                isa=isa,
            ) from None
        reason = "this processor supports none of the instruction sets of the library"
        return KernelInfo(None, reason, path, "unsupported-processor")
    kernel.threads = _thread_count()
    return KernelInfo(kernel, "", path)


def limit_threads(threads: int) -> None:
    """Set the number of threads of this process, unless FASTLSTM_THREADS sets it.

    For processes that share a machine, such as the workers of an engine: each gets its cores from the engine.

    Raises:
        OptionError: As `find_kernel`.
    """
    kernel = find_kernel().kernel
    if kernel is not None and not os.environ.get("FASTLSTM_THREADS"):
        kernel.threads = threads


def supported_kernels(path: Path) -> Iterator[Kernel]:
    """Yield a kernel of the library for each instruction set that this processor supports."""
    library = load_library(path)
    for isa in ISAS:
        with contextlib.suppress(ValueError):
            yield Kernel(library, isa)


def _library_path() -> Path | None:
    variable = os.environ.get("FASTLSTM_LIBRARY")
    if variable:
        if not Path(variable).is_file():
            raise OptionError(
                f"FASTLSTM_LIBRARY is {variable}, which is not a file; expected {FILE_NAME}",
                code="kernel-library-not-found",
                path=variable,
            )
        return Path(variable)
    # An editable installation has two folders: the sources and the build results.
    package = sys.modules["fastlstm.kernel"]
    paths = (Path(folder) / FILE_NAME for folder in package.__path__)
    return next((path for path in paths if path.is_file()), None)


def _thread_count() -> int:
    variable = os.environ.get("FASTLSTM_THREADS")
    if variable:
        if not variable.isdecimal() or not 1 <= int(variable) <= MAX_THREADS:
            raise OptionError(
                f"FASTLSTM_THREADS is {variable!r}; expected a number from 1 to {MAX_THREADS}",
                code="bad-thread-count",
                threads=variable,
            )
        return int(variable)
    return usable_cores()


def usable_cores() -> int:
    """Return the number of cores that the affinity and the control group of this process allow."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no control group, or no limit ("max")
        return cores
