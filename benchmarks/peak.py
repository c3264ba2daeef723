"""The fp32 FMA peak of a core, measured: what the kernel's arithmetic is held against."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".cpp")


class Peak:
    """Compiles the loop once; each call measures."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._program = Path(self._folder.name) / "peak"
        flags = ["-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-pthread"]
        subprocess.run([os.environ.get("CXX", "c++"), *flags, str(SOURCE), "-o", str(self._program)], check=True)

    def gigaflops(self, threads: int, repeats: int = 5) -> float:
        """GFLOP/s a core with `threads` cores at work, the median of several."""
        command = [str(self._program), str(threads)]
        runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(repeats)]
        return statistics.median(float(run.stdout) for run in runs)


if __name__ == "__main__":
    peak = Peak()
    for cores in range(1, (os.cpu_count() or 1) + 1):
        print(f"{cores} at work: {peak.gigaflops(cores):.1f} GFLOP/s each")
