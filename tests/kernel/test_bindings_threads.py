"""Concurrent calls from Python threads, and calls in forked processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.kernel_exact import Results, Size, assert_same_bits, random_batch, run_kernel

from fastlstm.kernel.bindings import Kernel

SIZES = [Size(13, 37, 5, 31), Size(7, 3, 5, 311), Size(9, 67, 13, 64), Size(5, 1, 3, 2)]


@pytest.mark.parametrize("callers", [2, 4])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_concurrent_callers_get_their_own_results(kernel: Kernel, callers: int, threads: int) -> None:
    kernel.threads = threads
    expected = {size: run_kernel(kernel, random_batch(size)) for size in SIZES}
    collected: list[tuple[Size, Results]] = []
    start = threading.Barrier(callers)

    def call(k: int) -> None:
        start.wait()
        for n in range(12):
            size = SIZES[(k + n) % len(SIZES)]
            collected.append((size, run_kernel(kernel, random_batch(size))))

    running = [threading.Thread(target=call, args=(k,)) for k in range(callers)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert len(collected) == 12 * callers
    for size, results in collected:
        assert_same_bits(results, expected[size])


def test_number_of_threads_is_the_value_set_and_at_least_one(kernel: Kernel) -> None:
    for threads, expected in ((1, 1), (7, 7), (0, 1), (-5, 1)):
        kernel.threads = threads
        assert kernel.threads == expected


def test_kernels_of_one_library_share_the_number_of_threads(kernel: Kernel) -> None:
    kernel.threads = 3
    assert kernel.with_allocator(lambda *shape: np.empty(shape, np.float32)).threads == 3


PRELUDE = """
import multiprocessing, os, sys, threading, warnings
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.helpers.kernel_exact import Size, random_batch, run_kernel
from fastlstm.kernel import abi, bindings
warnings.simplefilter("ignore")  # Python warns about forking with threads, which is what this test does
kernel = bindings.Kernel(abi.load_library(Path({library!r})), {isa!r})
kernel.threads = 3
batches = [random_batch(Size(13, 37, 5, 31)), random_batch(Size(7, 3, 5, 311))]
def bits(_=None):
    return [b"".join(array.tobytes() for array in run_kernel(kernel, b).values()) for b in batches]
"""

FORKS = {
    "a child": """
expected = bits()
for _ in range(5):
    child = os.fork()
    if not child:
        os._exit(0 if bits() == expected and bits() == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert bits() == expected
""",
    "a child before any call": """
child = os.fork()
if not child:
    os._exit(0 if len(bits()) == 2 else 1)
assert os.waitpid(child, 0)[1] == 0
bits()
""",
    "a child's child": """
expected = bits()
child = os.fork()
if not child:
    correct = bits() == expected
    grandchild = os.fork()
    if not grandchild:
        os._exit(0 if bits() == expected else 1)
    os._exit(0 if correct and os.waitpid(grandchild, 0)[1] == 0 else 1)
assert os.waitpid(child, 0)[1] == 0
""",
    "a pool": """
expected = bits()
with multiprocessing.get_context("fork").Pool(3) as pool:
    assert all(result == expected for result in pool.map(bits, range(9)))
assert bits() == expected
""",
    "a child while another thread calls": """
expected = bits()
stop, wrong = threading.Event(), []
def call():
    while not stop.is_set():
        if bits() != expected:
            wrong.append(1)
other = threading.Thread(target=call)
other.start()
children = []
for _ in range(10):
    child = os.fork()
    if not child:
        os._exit(0 if bits() == expected else 1)
    children.append(child)
codes = [os.waitpid(child, 0)[1] for child in children]
stop.set()
other.join()
assert not wrong and not any(codes), (wrong, codes)
""",
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.parametrize("case", FORKS)
def test_forked_process_computes_identical_results_with_its_own_threads(
    kernel: Kernel, library_path: Path, case: str
) -> None:
    root = str(Path(__file__).resolve().parents[2])
    script = PRELUDE.format(root=root, library=str(library_path), isa=kernel.isa) + FORKS[case]
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert process.returncode == 0, process.stderr
