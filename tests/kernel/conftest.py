from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.helpers.kernel_calls import Calls

from fastlstm.kernel.abi import load_library
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.loader import ISAS, find_kernel


@pytest.fixture(scope="session")
def library_path() -> Path:
    """The path of the compiled kernel library."""
    info = find_kernel()
    if info.kernel is None or info.path is None:
        pytest.skip(f"no compiled kernel: {info.reason}")
    return info.path


@pytest.fixture(scope="session")
def library(library_path: Path) -> SimpleNamespace:
    return load_library(library_path)


ARM = platform.machine().lower() in ("aarch64", "arm64")


@pytest.fixture(params=[isa for isa in ISAS if (isa == "neon") == ARM])
def kernel(request: pytest.FixtureRequest, library: SimpleNamespace) -> Iterator[Kernel]:
    """A kernel for each instruction set that the processor supports, with two threads."""
    try:
        kernel = Kernel(library, request.param)
    except ValueError as error:
        pytest.skip(str(error))
    threads, kernel.threads = kernel.threads, 2
    yield kernel
    kernel.threads = threads


@pytest.fixture
def isa(kernel: Kernel) -> str:
    return kernel.isa


@pytest.fixture
def calls(kernel: Kernel) -> Calls:
    return Calls(kernel)
