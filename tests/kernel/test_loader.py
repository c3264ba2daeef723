"""Which kernel is found, and why none is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy.random.mtrand as another_library
import pytest

from fastlstm.errors import OptionError
from fastlstm.kernel import abi
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.loader import ISAS, KernelInfo, find_kernel, usable_cores

VARIABLES = ("FASTLSTM_LIBRARY", "FASTLSTM_ISA", "FASTLSTM_THREADS")


def find() -> KernelInfo:
    """What a fresh process would find."""
    return find_kernel.__wrapped__()


@pytest.fixture
def built(library_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """There is a library, and nothing else is asked for. Its threads are put back."""
    there = find_kernel().kernel
    assert there is not None
    before = there.threads
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FASTLSTM_LIBRARY", str(library_path))
    yield library_path
    there.threads = before


@pytest.fixture
def nothing_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_the_library_named_is_taken_with_its_best_instruction_set(built: Path) -> None:
    came = find()
    assert came.kernel is not None
    assert (came.path, came.why_not) == (built, "")
    assert came.kernel.isa == Kernel(abi.load_library(built)).isa
    assert came.kernel.threads == usable_cores()


@pytest.mark.parametrize("isa", ISAS)
def test_the_instruction_set_asked_for_is_taken_or_missed(
    built: Path, isa: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTLSTM_ISA", isa)
    try:
        Kernel(abi.load_library(built), isa)
    except ValueError:
        with pytest.raises(OptionError, match=f"FASTLSTM_ISA is {isa}, and this processor .* unset it"):
            find()
    else:
        kernel = find().kernel
        assert kernel is not None
        assert kernel.isa == isa


@pytest.mark.usefixtures("nothing_asked")
@pytest.mark.parametrize("isa", ["v1", "avx2", "V3", "Reference"])
def test_an_unknown_instruction_set_is_an_error(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTLSTM_ISA", isa)
    with pytest.raises(OptionError, match=f"FASTLSTM_ISA is '{isa}'; expected v2, v3, v4, neon or reference"):
        find()


def test_numpy_may_be_asked_for(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    monkeypatch.setenv("FASTLSTM_ISA", "reference")
    assert find() == KernelInfo(None, "FASTLSTM_ISA=reference asks for NumPy", None)


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("threads", [1, 2, 17, 4096])
def test_as_many_threads_as_asked_for(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTLSTM_THREADS", str(threads))
    kernel = find().kernel
    assert kernel is not None
    assert kernel.threads == threads


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("threads", ["0", "-1", "4097", "two", "1.5", " 2", "99999999999999999999"])
def test_an_impossible_number_of_threads_is_an_error(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTLSTM_THREADS", threads)
    with pytest.raises(OptionError, match=r"FASTLSTM_THREADS is .*; expected a number from 1 to 4096"):
        find()


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("name", ["FASTLSTM_ISA", "FASTLSTM_THREADS"])
def test_an_empty_variable_asks_for_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "")
    assert find().kernel is not None


@pytest.mark.usefixtures("nothing_asked")
@pytest.mark.parametrize("name", ["missing.so", ""])
def test_a_library_that_is_no_file_is_an_error(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTLSTM_LIBRARY", str(tmp_path / name))
    with pytest.raises(OptionError, match=rf"FASTLSTM_LIBRARY is .*no file; expected {abi.FILE_NAME}"):
        find()


@pytest.mark.usefixtures("nothing_asked")
@pytest.mark.parametrize("content", [b"", b"no library", b"\x7fELF" + bytes(100)])
def test_a_file_that_is_no_library_is_not_taken(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / abi.FILE_NAME
    path.write_bytes(content)
    monkeypatch.setenv("FASTLSTM_LIBRARY", str(path))
    came = find()
    assert (came.kernel, came.path) == (None, path)
    assert str(path) in came.why_not


@pytest.mark.usefixtures("nothing_asked")
def test_another_library_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(str(another_library.__file__))
    monkeypatch.setenv("FASTLSTM_LIBRARY", str(path))
    assert find() == KernelInfo(None, f"{path} has no function fastlstm_abi", path)


def test_a_library_of_another_version_is_not_taken(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = abi.ABI
    monkeypatch.setattr(abi, "ABI", ours + 1)
    why_not = f"{built} has version {ours} of the interface, expected {ours + 1}"
    assert find() == KernelInfo(None, why_not, built)


@pytest.mark.usefixtures("nothing_asked")
def test_without_a_library_it_says_that_none_was_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastlstm.kernel.__path__", [str(tmp_path)])
    came = find()
    assert (came.kernel, came.path) == (None, None)
    assert "not built" in came.why_not


def test_a_process_looks_once() -> None:
    assert find_kernel() is find_kernel()


def test_usable_cores_are_at_least_one() -> None:
    assert usable_cores() >= 1
