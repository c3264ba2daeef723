from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.kernel.calls import Calls

from fastlstm.kernel import abi, found, native


@pytest.fixture(scope="session")
def library_path() -> Path:
    """The compiled library of this process."""
    there = found.find()
    if there.kernel is None or there.path is None:
        pytest.skip(f"no compiled kernel: {there.why_not}")
    return there.path


@pytest.fixture(scope="session")
def library(library_path: Path) -> SimpleNamespace:
    return abi.load(library_path)


ARM = platform.machine().lower() in ("aarch64", "arm64")


@pytest.fixture(params=[isa for isa in found.ISAS if (isa == "neon") == ARM])
def kernel(request: pytest.FixtureRequest, library: SimpleNamespace) -> Iterator[native.Kernel]:
    """A kernel of every instruction set that this processor has, on two threads."""
    try:
        kernel = native.Kernel(library, request.param)
    except ValueError as error:
        pytest.skip(str(error))
    before, kernel.threads = kernel.threads, 2
    yield kernel
    kernel.threads = before


@pytest.fixture
def isa(kernel: native.Kernel) -> str:
    return kernel.isa


@pytest.fixture
def calls(kernel: native.Kernel) -> Calls:
    return Calls(kernel)
