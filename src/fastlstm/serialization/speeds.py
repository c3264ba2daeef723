"""Measured speeds of a machine, in the user's cache folder: one JSON file per processor and library.

A file that cannot be read counts as absent, and one that cannot be written is no error: the speeds are measured again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastlstm.errors import WriteError
from fastlstm.kernel import KernelInfo
from fastlstm.kernel.abi import ABI, PRECISIONS
from fastlstm.kernel.bindings import Kernel
from fastlstm.serialization import atomic

MEASUREMENT_VERSION = 2
"""Increased when the measurement changes, so that older times are not used."""
CPUINFO = Path("/proc/cpuinfo")
MIN_SECONDS, MAX_SECONDS = 1e-9, 1e6
"""Times outside of these limits are damaged. Quotients of times within them have logarithms."""

Times = dict[str, dict[str, float]]
"""Name of a workload -> precision -> seconds."""


@dataclass(frozen=True)
class Machine:
    """Everything that the times depend on. `library` identifies the file of the kernel."""

    processor: str
    isa: str
    precisions: tuple[str, ...]
    library: str
    abi: int = ABI
    measurement: int = MEASUREMENT_VERSION

    @classmethod
    def of_kernel(cls, info: KernelInfo, kernel: Kernel) -> Machine:
        """Return this machine with a kernel. `info` has the file of its library."""
        library = ""
        if info.path is not None:
            with contextlib.suppress(OSError):
                status = info.path.stat()
                library = f"{status.st_size}-{status.st_mtime_ns}"
        precisions = tuple(filter(kernel.supports, PRECISIONS))
        return cls(processor_name(), kernel.isa, precisions, library)

    @property
    def path(self) -> Path:
        """The file of this machine."""
        from platformdirs import user_cache_dir

        digest = hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()
        return Path(user_cache_dir("fastlstm"), "speed", f"{digest[:16]}.json")

    def to_json(self) -> dict[str, Any]:
        """Return the attributes as a JSON object."""
        return {**asdict(self), "precisions": list(self.precisions)}


def processor_name() -> str:
    """Return the name of the processor."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def read_times(machine: Machine) -> Times:
    """Return the times of a machine; none if its file does not exist or is damaged."""
    try:
        content = json.loads(machine.path.read_bytes())
        if content["machine"] != machine.to_json():
            return {}
        times = {
            name: {precision: float(seconds) for precision, seconds in by_precision.items()}
            for name, by_precision in content["seconds"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}
    return {name: seconds for name, seconds in times.items() if all(map(_is_plausible, seconds.values()))}


def _is_plausible(seconds: float) -> bool:
    return MIN_SECONDS <= seconds <= MAX_SECONDS


def write_times(machine: Machine, times: Times) -> None:
    """Write the times of a machine, and keep those that other processes have added."""
    content = {"machine": machine.to_json(), "seconds": {**read_times(machine), **times}}
    with contextlib.suppress(OSError, WriteError):
        machine.path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_file(machine.path, json.dumps(content, indent=1).encode())
