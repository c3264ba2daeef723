"""Compare random calls of the compiled kernel with float64, in arrays between canaries: python scripts/fuzz_kernel.py

A mismatch prints the seed, the case and its arguments, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.helpers.kernel_fuzz import MismatchError, run_cases

from fastlstm.kernel import find_kernel
from fastlstm.kernel.abi import load_library

CASES_PER_JOB = 1000
Job = tuple[str, str, int, range, float]


def run_job(job: Job) -> tuple[dict[str, float], str]:
    """Run some cases. Return their largest errors, and the message of a mismatch or an empty string."""
    path, isa, seed, numbers, compared = job
    try:
        return run_cases(load_library(Path(path)), isa, seed, numbers, compared), ""
    except MismatchError as mismatch:
        return {}, str(mismatch)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--isa", help="instruction set; default: the best supported")
    parser.add_argument("--share", type=float, default=0.25, help="fraction of the cases compared with float64")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    arguments = parser.parse_args()

    info = find_kernel()
    if info.path is None or info.kernel is None:
        print(f"no compiled kernel: {info.reason}", file=sys.stderr)
        return 2
    isa = arguments.isa or info.kernel.isa
    last = arguments.first + arguments.cases
    jobs: list[Job] = [
        (str(info.path), isa, arguments.seed, range(first, min(first + CASES_PER_JOB, last)), arguments.share)
        for first in range(arguments.first, last, CASES_PER_JOB)
    ]
    started, worst = time.monotonic(), dict[str, float]()
    with multiprocessing.get_context("spawn").Pool(arguments.jobs) as pool:
        for errors, mismatch in pool.imap(run_job, jobs):
            if mismatch:
                print(mismatch, file=sys.stderr)
                return 1
            for name, error in errors.items():
                worst[name] = max(error, worst.get(name, 0.0))
    seconds = time.monotonic() - started
    print(f"{arguments.cases} cases on {isa} in {seconds:.0f} s without a mismatch; largest relative errors:")
    for name, error in sorted(worst.items()):
        print(f"  {name:15} {error:.1e}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
