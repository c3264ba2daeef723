"""Build time and size of the kernel: python benchmarks/build.py"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def build() -> dict[str, float]:
    """Build the kernel in an empty folder on all cores. Return the seconds and the library's size in MB."""
    with tempfile.TemporaryDirectory() as folder:
        commands = (
            ["cmake", "-S", str(ROOT), "-B", folder, "-DCMAKE_BUILD_TYPE=Release"],
            ["cmake", "--build", folder, "--parallel", str(os.cpu_count())],
        )
        started = time.perf_counter()
        for command in commands:
            subprocess.run(command, check=True, capture_output=True)
        seconds = time.perf_counter() - started
        library = next(Path(folder).rglob("*fastlstm_kernel*.so"))
        subprocess.run(["strip", str(library)], check=True)
        return {"seconds": seconds, "megabytes": library.stat().st_size / 1e6}


if __name__ == "__main__":
    print(build())
