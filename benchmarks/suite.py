"""How long the test suite takes: python benchmarks/suite.py"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import machine

NEEDS_THIS_RESULT = "tests/test_docs.py::test_the_readme_s_figures_are_those_of_the_committed_results"


def main() -> None:
    """Runs pytest, prints its last line and keeps the result."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--deselect", NEEDS_THIS_RESULT],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - started
    found = re.search(r"(\d+) passed", done.stdout)
    if done.returncode or found is None:
        raise SystemExit(done.stdout)
    print(done.stdout.splitlines()[-1])
    print(
        machine.save(
            "suite", machine.describe(["fastlstm", "pytest"]), {"tests": int(found[1]), "seconds": seconds}
        )
    )


if __name__ == "__main__":
    main()
