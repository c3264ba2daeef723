"""Which kernel this process runs: the compiled one for the best instruction set there is, or NumPy's."""

from __future__ import annotations

import math
import os
import sys
from ctypes import c_char_p, c_int32, c_int64, c_void_p
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fastlstm.errors import OptionError
from fastlstm.kernel.abi import FILE_NAME, load_library
from fastlstm.kernel.bindings import Kernel

_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "abi": (c_int32, []),
    "open": (c_void_p, [c_char_p]),
    "isa_name": (c_char_p, [c_void_p]),
    "lanes": (c_int32, [c_void_p]),
    "set_threads": (None, [c_int32]),
    "threads": (c_int32, []),
    "has": (c_int32, [c_void_p, c_int64]),
    "packed_size": (c_int64, [c_void_p, *[c_int64] * 3]),
    "pack": (c_int32, [c_void_p, *[c_int64] * 3, *[c_void_p] * 4]),
    "project": (c_int32, [c_void_p, c_int64, c_int64, c_int64, *[c_void_p] * 3]),
    "forward": (c_int32, [c_void_p, c_void_p]),
    "texts": (c_int32, [c_void_p, c_void_p]),
    "backward": (c_int32, [c_void_p, c_void_p]),
    "project_backward": (c_int32, [c_void_p, *[c_int64] * 4, *[c_void_p] * 7]),
    "adam": (c_int32, [c_void_p, c_void_p]),
}


ISAS = ("v2", "v3", "v4", "neon")
REFERENCE = "reference"


@dataclass(frozen=True)
class KernelInfo:
    """The compiled kernel, or None and why there is none; and the library's file, where there is one."""

    kernel: Kernel | None
    why_not: str
    path: Path | None


@cache
def find_kernel() -> KernelInfo:
    """Looks for the kernel once a process.

    Environment: FASTLSTM_LIBRARY names another library; FASTLSTM_ISA forces an instruction set, or with
    "reference" NumPy; FASTLSTM_THREADS is the number of threads, by default the cores this process may use.

    Raises `OptionError` where one of them asks for what can't be had.
    """
    isa = os.environ.get("FASTLSTM_ISA") or None
    if isa == REFERENCE:
        return KernelInfo(None, "FASTLSTM_ISA=reference asks for NumPy", None)
    if isa is not None and isa not in ISAS:
        raise OptionError(f"FASTLSTM_ISA is {isa!r}; expected {', '.join(ISAS)} or {REFERENCE}")
    path = _library_path()
    if path is None:
        return KernelInfo(None, "it was not built when fastlstm was installed, as without a C++ compiler", None)
    try:
        kernel = Kernel(load_library(path), isa)
    except OSError as error:
        return KernelInfo(None, str(error), path)
    except ValueError as error:
        if isa is not None:
            raise OptionError(f"FASTLSTM_ISA is {isa}, and {error}; unset it to take the best there is") from None
        return KernelInfo(None, "this processor has none of the instruction sets it was built for", path)
    kernel.threads = _threads()
    return KernelInfo(kernel, "", path)


def _library_path() -> Path | None:
    named = os.environ.get("FASTLSTM_LIBRARY")
    if named:
        if not Path(named).is_file():
            raise OptionError(f"FASTLSTM_LIBRARY is {named}, which is no file; expected {FILE_NAME}")
        return Path(named)
    # An editable install has two folders: the sources' and the one with what was built.
    package = sys.modules["fastlstm.kernel"]
    paths = (Path(folder) / FILE_NAME for folder in package.__path__)
    return next((path for path in paths if path.is_file()), None)


def _threads() -> int:
    asked = os.environ.get("FASTLSTM_THREADS")
    if asked:
        if not asked.isdecimal() or not 1 <= int(asked) <= 4096:
            raise OptionError(f"FASTLSTM_THREADS is {asked!r}; expected a number from 1 to 4096")
        return int(asked)
    return usable_cores()


def usable_cores() -> int:
    """The cores this process may run on: its affinity, and its control group's share of the processor."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no such group, or no limit: "max"
        return cores
