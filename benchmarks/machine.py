"""The machine of a measurement, the options that all benchmarks share, and the file of the raw result."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import processors
from results import RESULTS

LOCAL_RESULTS = Path(__file__).parent / "local-results"
"""Results of users, ignored by git."""
_CPUINFO = Path("/proc/cpuinfo")
_INSTRUCTION_SETS = (
    *("sse4_2", "avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16"),
    *("amx_tile", "amx_bf16", "amx_int8", "asimd", "asimddp", "bf16", "i8mm"),
)


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--publish",
        action="store_true",
        help="write the result to benchmarks/results/PROCESSOR, not to benchmarks/local-results",
    )
    return parser


def describe(packages: Iterable[str]) -> dict[str, Any]:
    """Return the processor, its instruction sets, cores, memory, and the versions of Python and `packages`.

    Family, model and stepping are None if the system does not report them.
    """
    cpuinfo = _CPUINFO.read_text(encoding="utf-8") if _CPUINFO.exists() else ""
    fields = dict(re.findall(r"^([^\t:]+?)\s*:[ ]*(.*)$", cpuinfo, flags=re.MULTILINE))
    flags = set(cpuinfo.split())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    numbers = {"family": "cpu family", "model": "model", "stepping": "stepping"}
    return {
        "processor": fields.get("model name") or platform.processor() or platform.machine(),
        "vendor": fields.get("vendor_id") or fields.get("CPU implementer"),
        **{key: int(fields[field]) if field in fields else None for key, field in numbers.items()},
        "instruction_sets": [name for name in _INSTRUCTION_SETS if name in flags],
        "kernel_limited_to": os.environ.get("FASTLSTM_ISA"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
    }


def commit() -> str:
    """Return the measured commit, with "-dirty" if the package or the benchmarks have uncommitted changes."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(RESULTS.parents[1]), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    changes = git("status", "--porcelain", "--", "src", "benchmarks", "CMakeLists.txt", ":!benchmarks/results")
    return git("rev-parse", "--short=12", "HEAD") + ("-dirty" if changes else "")


def result_path(name: str, *, publish: bool) -> Path:
    """Return the file of a result of this machine: in the folder of its processor if published, else a local one."""
    return (RESULTS / processors.slug(describe(())) if publish else LOCAL_RESULTS) / f"{name}.json"


def save(name: str, packages: Iterable[str], result: Mapping[str, Any], *, publish: bool) -> Path:
    """Write the raw result, with the machine, the versions of `packages`, the date and the commit. Return the file."""
    content = {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "commit": commit(),
        "machine": describe(packages),
        **result,
    }
    path = result_path(name, publish=publish)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path
