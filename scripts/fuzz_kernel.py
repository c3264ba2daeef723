"""Random calls of the compiled kernel against float64, in arrays between canaries: python scripts/fuzz_kernel.py.

A mismatch prints the seed, the case and its arguments, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from pathlib import Path

from tests.helpers.kernel_fuzz import MismatchError, run

from fastlstm.kernel import find_kernel
from fastlstm.kernel.abi import load_library

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


Share = tuple[str, str, int, range, float]


def fuzz_share(share: Share) -> tuple[dict[str, float], str]:
    """The largest errors of some cases, or the mismatch found."""
    path, isa, seed, numbers, compared = share
    try:
        return run(load_library(Path(path)), isa, seed, numbers, compared), ""
    except MismatchError as mismatch:
        return {}, str(mismatch)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--isa", help="an instruction set; the best there is by default")
    parser.add_argument("--share", type=float, default=0.25, help="share of the cases that float64 is held against")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    asked = parser.parse_args()

    there = find_kernel()
    if there.path is None or there.kernel is None:
        print(f"there is no kernel: {there.why_not}", file=sys.stderr)
        return 2
    isa = asked.isa or there.kernel.isa
    last = asked.first + asked.cases
    shares: list[Share] = [
        (str(there.path), isa, asked.seed, range(at, min(at + 1000, last)), asked.share)
        for at in range(asked.first, last, 1000)
    ]
    started, worst = time.monotonic(), dict[str, float]()
    with multiprocessing.get_context("spawn").Pool(asked.jobs) as pool:
        for found, mismatch in pool.imap(fuzz_share, shares):
            if mismatch:
                print(mismatch, file=sys.stderr)
                return 1
            for name, error in found.items():
                worst[name] = max(error, worst.get(name, 0.0))
    print(f"{asked.cases} cases on {isa} in {time.monotonic() - started:.0f} s, none wrong; largest errors:")
    for name, error in sorted(worst.items()):
        print(f"  {name:15} {error:.1e}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
