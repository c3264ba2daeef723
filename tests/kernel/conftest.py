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
    """The compiled library of this process."""
    there = find_kernel()
    if there.kernel is None or there.path is None:
        pytest.skip(f"no compiled kernel: {there.why_not}")
    return there.path


@pytest.fixture(scope="session")
def library(library_path: Path) -> SimpleNamespace:
    return load_library(library_path)


ARM = platform.machine().lower() in ("aarch64", "arm64")


@pytest.fixture(params=[isa for isa in ISAS if (isa == "neon") == ARM])
def kernel(request: pytest.FixtureRequest, library: SimpleNamespace) -> Iterator[Kernel]:
    """A kernel of every instruction set that this processor has, on two threads."""
    try:
        kernel = Kernel(library, request.param)
    except ValueError as error:
        pytest.skip(str(error))
    before, kernel.threads = kernel.threads, 2
    yield kernel
    kernel.threads = before


@pytest.fixture
def isa(kernel: Kernel) -> str:
    return kernel.isa


@pytest.fixture
def calls(kernel: Kernel) -> Calls:
    return Calls(kernel)
