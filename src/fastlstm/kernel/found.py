"""Which kernel this process runs: the compiled one for the best instruction set there is, or NumPy's."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastlstm.errors import OptionError
from fastlstm.kernel import abi, native

ISAS = ("v2", "v3", "v4", "neon")
REFERENCE = "reference"


@dataclass(frozen=True)
class Found:
    """The compiled kernel, or None and why there is none; and the library's file, where there is one."""

    kernel: native.Kernel | None
    why_not: str
    path: Path | None


@cache
def find() -> Found:
    """Looks for the kernel once a process.

    Environment: FASTLSTM_LIBRARY names another library; FASTLSTM_ISA forces an instruction set, or with
    "reference" NumPy; FASTLSTM_THREADS is the number of threads, by default the cores this process may use.

    Raises `OptionError` where one of them asks for what can't be had.
    """
    isa = os.environ.get("FASTLSTM_ISA") or None
    if isa == REFERENCE:
        return Found(None, "FASTLSTM_ISA=reference asks for NumPy", None)
    if isa is not None and isa not in ISAS:
        raise OptionError(f"FASTLSTM_ISA is {isa!r}; expected {', '.join(ISAS)} or {REFERENCE}")
    path = _library_path()
    if path is None:
        return Found(None, "it was not built when fastlstm was installed, as without a C++ compiler", None)
    try:
        kernel = native.Kernel(abi.load(path), isa)
    except OSError as error:
        return Found(None, str(error), path)
    except ValueError as error:
        if isa is not None:
            raise OptionError(f"FASTLSTM_ISA is {isa}, and {error}; unset it to take the best there is") from None
        return Found(None, "this processor has none of the instruction sets it was built for", path)
    kernel.threads = _threads()
    return Found(kernel, "", path)


def _library_path() -> Path | None:
    named = os.environ.get("FASTLSTM_LIBRARY")
    if named:
        if not Path(named).is_file():
            raise OptionError(f"FASTLSTM_LIBRARY is {named}, which is no file; expected {abi.FILE_NAME}")
        return Path(named)
    # An editable install has two folders: the sources' and the one with what was built.
    package = sys.modules["fastlstm.kernel"]
    paths = (Path(folder) / abi.FILE_NAME for folder in package.__path__)
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
