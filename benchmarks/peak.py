"""The measured fp32 FMA peak of a core, with which the kernel is compared: python benchmarks/peak.py"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".cpp")


class Peak:
    """A compiled loop of fused multiply-adds. Each call measures it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._program = Path(self._folder.name) / "peak"
        flags = ["-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-pthread"]
        subprocess.run([os.environ.get("CXX", "c++"), *flags, str(SOURCE), "-o", str(self._program)], check=True)

    def gigaflops(self, threads: int, repeats: int = 5) -> float:
        """Return the median GFLOP/s per core with `threads` busy cores."""
        command = [str(self._program), str(threads)]
        runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(repeats)]
        return statistics.median(float(run.stdout) for run in runs)


if __name__ == "__main__":
    peak = Peak()
    for cores in range(1, (os.cpu_count() or 1) + 1):
        print(f"{cores} busy cores: {peak.gigaflops(cores):.1f} GFLOP/s each")
