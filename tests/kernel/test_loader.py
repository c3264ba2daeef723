"""Finding the kernel, and the reason if there is none."""

from __future__ import annotations

import ctypes
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
    """Return what a new process would find."""
    return find_kernel.__wrapped__()


@pytest.fixture
def library_file(library_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The compiled library, named by FASTLSTM_LIBRARY; no other variable is set. Restores the number of threads."""
    kernel = find_kernel().kernel
    assert kernel is not None
    threads = kernel.threads
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FASTLSTM_LIBRARY", str(library_path))
    yield library_path
    kernel.threads = threads


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_named_library_is_loaded_with_the_best_instruction_set(library_file: Path) -> None:
    info = find()
    assert info.kernel is not None
    assert (info.path, info.reason, info.code) == (library_file, "", "")
    assert info.kernel.isa == Kernel(abi.load_library(library_file)).isa
    assert info.kernel.threads == usable_cores()


@pytest.mark.parametrize("isa", ISAS)
def test_requested_instruction_set_is_used_or_raises_option_error(
    library_file: Path, isa: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTLSTM_ISA", isa)
    try:
        Kernel(abi.load_library(library_file), isa)
    except ValueError:
        with pytest.raises(OptionError) as raised:
            find()
        assert (raised.value.code, raised.value.isa) == ("unsupported-isa", isa)
    else:
        kernel = find().kernel
        assert kernel is not None
        assert kernel.isa == isa


@pytest.mark.usefixtures("no_variables")
@pytest.mark.parametrize("isa", ["v1", "avx2", "V3", "Reference"])
def test_unknown_instruction_set_raises_option_error(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTLSTM_ISA", isa)
    with pytest.raises(OptionError) as raised:
        find()
    assert (raised.value.code, raised.value.isa) == ("unknown-isa", isa)


def test_reference_disables_the_kernel(library_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    monkeypatch.setenv("FASTLSTM_ISA", "reference")
    info = find()
    assert (info.kernel, info.path, info.code) == (None, None, "kernel-disabled")


@pytest.mark.usefixtures("library_file")
@pytest.mark.parametrize("threads", [1, 2, 17, 4096])
def test_number_of_threads_is_set_by_the_variable(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTLSTM_THREADS", str(threads))
    kernel = find().kernel
    assert kernel is not None
    assert kernel.threads == threads


@pytest.mark.usefixtures("library_file")
@pytest.mark.parametrize("threads", ["0", "-1", "4097", "two", "1.5", " 2", "99999999999999999999"])
def test_invalid_number_of_threads_raises_option_error(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTLSTM_THREADS", threads)
    with pytest.raises(OptionError) as raised:
        find()
    assert (raised.value.code, raised.value.threads) == ("bad-thread-count", threads)


@pytest.mark.usefixtures("library_file")
@pytest.mark.parametrize("name", ["FASTLSTM_ISA", "FASTLSTM_THREADS"])
def test_empty_variable_is_ignored(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "")
    assert find().kernel is not None


@pytest.mark.usefixtures("no_variables")
@pytest.mark.parametrize("name", ["missing.so", ""])
def test_missing_library_file_raises_option_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTLSTM_LIBRARY", str(tmp_path / name))
    with pytest.raises(OptionError) as raised:
        find()
    assert (raised.value.code, raised.value.path) == ("kernel-library-not-found", str(tmp_path / name))


@pytest.mark.usefixtures("no_variables")
@pytest.mark.parametrize("content", [b"", b"no library", b"\x7fELF" + bytes(100)])
def test_file_that_is_not_a_library_is_not_loaded(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / abi.FILE_NAME
    path.write_bytes(content)
    monkeypatch.setenv("FASTLSTM_LIBRARY", str(path))
    info = find()
    assert (info.kernel, info.path, info.code) == (None, path, "bad-kernel-library")
    assert str(path) in info.reason


@pytest.mark.usefixtures("no_variables")
def test_library_without_the_kernel_functions_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(str(another_library.__file__))
    monkeypatch.setenv("FASTLSTM_LIBRARY", str(path))
    info = find()
    assert (info.kernel, info.path, info.code) == (None, path, "bad-kernel-library")
    with pytest.raises(abi.KernelLibraryError) as raised:
        abi.load_library(path)
    assert (raised.value.path, raised.value.function) == (path, "fastlstm_abi")


def test_library_of_another_abi_version_is_not_loaded(library_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = abi.ABI
    monkeypatch.setattr(abi, "ABI", version + 1)
    info = find()
    assert (info.kernel, info.path, info.code) == (None, library_file, "kernel-version-mismatch")
    with pytest.raises(abi.KernelLibraryError) as raised:
        abi.load_library(library_file)
    error = raised.value
    assert (error.code, error.path, error.found, error.expected) == (
        "kernel-version-mismatch", library_file, version, version + 1,
    )  # fmt: skip


@pytest.mark.parametrize("name", abi.STRUCTS)
def test_library_with_a_struct_of_another_size_is_not_loaded(
    library_file: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    struct = abi.STRUCTS[name]
    larger = type("Larger", (struct,), {"_fields_": (("added", ctypes.c_int64),)})
    monkeypatch.setitem(abi.STRUCTS, name, larger)
    info = find()
    assert (info.kernel, info.path, info.code) == (None, library_file, "kernel-version-mismatch")
    with pytest.raises(abi.KernelLibraryError) as raised:
        abi.load_library(library_file)
    error, size = raised.value, ctypes.sizeof(struct)
    assert (error.code, error.found, error.expected) == ("kernel-version-mismatch", size, size + 8)


def test_library_reports_no_size_for_an_unknown_struct(library_file: Path) -> None:
    assert abi.load_library(library_file).struct_size(b"fastlstm_other") == 0


@pytest.mark.usefixtures("no_variables")
def test_missing_library_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastlstm.kernel.__path__", [str(tmp_path)])
    info = find()
    assert (info.kernel, info.path, info.code) == (None, None, "kernel-not-built")


def test_find_kernel_is_cached() -> None:
    assert find_kernel() is find_kernel()


def test_usable_cores_are_at_least_one() -> None:
    assert usable_cores() >= 1
