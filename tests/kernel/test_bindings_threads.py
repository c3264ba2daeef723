"""Threads of Python that call at once, and processes that fork."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.kernel_exact import Results, Size, assert_same_bits, batch, computed

from fastlstm.kernel.bindings import Kernel

SIZES = [Size(13, 37, 5, 31), Size(7, 3, 5, 311), Size(9, 67, 13, 64), Size(5, 1, 3, 2)]


@pytest.mark.parametrize("callers", [2, 4])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_callers_at_once_each_get_their_bits(kernel: Kernel, callers: int, threads: int) -> None:
    kernel.threads = threads
    expected = {size: computed(kernel, batch(size)) for size in SIZES}
    came: list[tuple[Size, Results]] = []
    begin = threading.Barrier(callers)

    def call(k: int) -> None:
        begin.wait()
        for n in range(12):
            size = SIZES[(k + n) % len(SIZES)]
            came.append((size, computed(kernel, batch(size))))

    running = [threading.Thread(target=call, args=(k,)) for k in range(callers)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert len(came) == 12 * callers
    for size, results in came:
        assert_same_bits(results, expected[size])


def test_the_number_of_threads_is_what_was_set_and_at_least_one(kernel: Kernel) -> None:
    for threads, expected in ((1, 1), (7, 7), (0, 1), (-5, 1)):
        kernel.threads = threads
        assert kernel.threads == expected


def test_kernels_of_a_library_share_its_threads(kernel: Kernel) -> None:
    kernel.threads = 3
    assert kernel.allocating(lambda *shape: np.empty(shape, np.float32)).threads == 3


PRELUDE = """
import multiprocessing, os, sys, threading, warnings
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.helpers.kernel_exact import Size, batch, computed
from fastlstm.kernel import abi, bindings
warnings.simplefilter("ignore")  # that this process has threads is the point
kernel = bindings.Kernel(abi.load_library(Path({library!r})), {isa!r})
kernel.threads = 3
batches = [batch(Size(13, 37, 5, 31)), batch(Size(7, 3, 5, 311))]
def bits(_=None):
    return [b"".join(array.tobytes() for array in computed(kernel, b).values()) for b in batches]
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
    good = bits() == expected
    grandchild = os.fork()
    if not grandchild:
        os._exit(0 if bits() == expected else 1)
    os._exit(0 if good and os.waitpid(grandchild, 0)[1] == 0 else 1)
assert os.waitpid(child, 0)[1] == 0
""",
    "a pool": """
expected = bits()
with multiprocessing.get_context("fork").Pool(3) as pool:
    assert all(came == expected for came in pool.map(bits, range(9)))
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
@pytest.mark.parametrize("what", FORKS)
def test_a_forked_process_has_threads_of_its_own_and_the_same_bits(
    kernel: Kernel, library_path: Path, what: str
) -> None:
    root = str(Path(__file__).resolve().parents[2])
    script = PRELUDE.format(root=root, library=str(library_path), isa=kernel.isa) + FORKS[what]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
