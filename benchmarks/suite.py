"""Number of tests and time of the test suite: python benchmarks/suite.py"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import machine

NEEDS_THIS_RESULT = "tests/test_docs.py::test_figures_of_readme_and_benchmarks_match_the_committed_results"


def main() -> None:
    """Run pytest, print its last line and save the result."""
    arguments = machine.argument_parser(__doc__).parse_args()
    started = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--deselect", NEEDS_THIS_RESULT],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - started
    passed = re.search(r"(\d+) passed", process.stdout)
    if process.returncode or passed is None:
        raise SystemExit(process.stdout)
    print(process.stdout.splitlines()[-1])
    print(
        machine.save(
            "suite",
            ["fastlstm", "pytest"],
            {"tests": int(passed[1]), "seconds": seconds},
            publish=arguments.publish,
        )
    )


if __name__ == "__main__":
    main()
