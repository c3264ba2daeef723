"""What is found of the kernel, the extras and PyTorch, and what is said where something is missing."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import fastlstm
from fastlstm import diagnostics as installation
from fastlstm.diagnostics import EXTRAS, Extra, KernelState, PyTorchInfo, SelfCheck, diagnose
from fastlstm.errors import OptionError
from fastlstm.kernel import bindings as native
from fastlstm.kernel.abi import FILE_NAME, PRECISIONS, load_library
from fastlstm.kernel.loader import ISAS, find_kernel, usable_cores

pytestmark = pytest.mark.usefixtures("fresh")


@pytest.fixture
def library(fresh: None) -> Path:
    """The library that was built with this installation."""
    del fresh
    there = find_kernel.__wrapped__()
    if there.kernel is None or there.path is None:
        pytest.skip(f"no compiled kernel: {there.why_not}")
    return there.path


def test_the_kernel_is_told_with_its_threads_and_library(library: Path) -> None:
    came = diagnose()
    best = native.Kernel(load_library(library)).isa
    assert came.kernel == KernelState(
        instruction_set=best,
        could_run=came.kernel.could_run,
        precisions=came.kernel.precisions,
        threads=usable_cores(),
        threads_from="the cores this process may use",
        library=str(library),
        why_not=None,
        what_to_do=None,
    )
    assert best in came.kernel.could_run
    assert came.kernel.precisions[0] == "float32"
    assert set(came.kernel.precisions) <= set(PRECISIONS)
    assert set(came.kernel.could_run) <= set(ISAS)
    assert came.self_check is not None
    assert came.self_check.passed
    assert came.environment == {}


def test_what_the_environment_asks_for_is_told(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for isa in diagnose().kernel.could_run:
        asked = {"FASTLSTM_ISA": isa, "FASTLSTM_THREADS": "3", "FASTLSTM_LIBRARY": str(library)}
        for name, value in asked.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("FASTLSTM_DATA_DIR", "")  # asks for nothing
        came = diagnose()
        assert came.environment == asked
        assert came.kernel.instruction_set == isa
        assert (came.kernel.threads, came.kernel.threads_from) == (3, "FASTLSTM_THREADS")
        assert came.self_check is not None
        assert came.self_check.passed


def no_kernel(why_not: str, what_to_do: str) -> None:
    came = diagnose()
    assert came.self_check is None
    kernel = came.kernel
    assert (kernel.instruction_set, kernel.could_run, kernel.threads, kernel.threads_from) == (None, (), None, None)
    assert kernel.why_not is not None
    assert why_not in kernel.why_not
    assert kernel.what_to_do is not None
    assert what_to_do in kernel.what_to_do


def test_the_reference_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTLSTM_ISA", "reference")
    no_kernel("FASTLSTM_ISA=reference", "unset FASTLSTM_ISA")


@pytest.mark.parametrize("machine", ["x86_64", "AMD64", "aarch64", "arm64"])
def test_nothing_was_built_for_want_of_a_compiler(
    machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastlstm.kernel.__path__", [str(tmp_path)])
    monkeypatch.setattr("platform.machine", lambda: machine)
    no_kernel("not built", "install a C++ compiler, such as g++ or clang")


def test_nothing_can_be_built_for_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastlstm.kernel.__path__", [str(tmp_path)])
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    no_kernel("not built", "the kernel is for x86-64 and 64-bit ARM, not riscv64")


def test_a_broken_library_is_installed_again_or_no_longer_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / FILE_NAME
    broken.write_bytes(b"no library")
    monkeypatch.setattr("fastlstm.kernel.__path__", [str(tmp_path)])
    no_kernel(str(broken), "install fastlstm again")
    monkeypatch.setenv("FASTLSTM_LIBRARY", str(broken))
    no_kernel(str(broken), "unset FASTLSTM_LIBRARY")
    assert diagnose().kernel.library == str(broken)


@pytest.mark.usefixtures("library")
def test_a_processor_too_old_cannot_be_helped(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_old(*_: object) -> None:
        raise ValueError("this processor has not the instruction set None")

    monkeypatch.setattr("fastlstm.kernel.loader.Kernel", too_old)
    no_kernel("this processor has none of the instruction sets", "nothing helps on this processor")


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("name", "value"), [("FASTLSTM_ISA", "v9"), ("FASTLSTM_THREADS", "0"), ("FASTLSTM_LIBRARY", "gone.so")]
)
def test_an_impossible_wish_is_an_error(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(OptionError, match=name):
        diagnose()


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (0.0, SelfCheck(True, 0.0, 1e-5)),
        (1e-5, SelfCheck(True, 1e-5, 1e-5)),
        (1.1e-5, SelfCheck(False, 1.1e-5, 1e-5)),
        (float("inf"), SelfCheck(False, None, 1e-5)),
        (float("nan"), SelfCheck(False, None, 1e-5)),
    ],
)
def test_the_self_check_fails_above_its_tolerance(
    difference: float, expected: SelfCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "largest_difference", lambda _: difference)
    assert diagnose().self_check == expected


def test_versions_and_processor_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    came = diagnose()
    assert came.fastlstm == fastlstm.__version__
    assert came.python == ".".join(map(str, sys.version_info[:3]))
    assert came.system
    assert came.processor

    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Fast: 3 GHz\n\nprocessor\t: 1\nmodel name\t: Other\n")
    monkeypatch.setattr(installation, "_CPUINFO", cpuinfo)
    assert diagnose().processor == "Fast: 3 GHz"
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    cpuinfo.write_text("processor\t: 0\n")
    assert diagnose().processor == "arm64"
    cpuinfo.unlink()
    assert diagnose().processor == "arm64"
    monkeypatch.setattr("platform.processor", lambda: "arm")
    assert diagnose().processor == "arm"


def test_the_extras_are_those_of_the_package() -> None:
    requirements = importlib.metadata.requires("fastlstm") or []
    packages: dict[str, set[str]] = {}
    for requirement in requirements:
        found_extra = re.fullmatch(r"([\w.-]+).*; extra == ['\"](\w+)['\"]", requirement)
        if found_extra is not None and found_extra[1] != "fastlstm":
            packages.setdefault(found_extra[2], set()).add(found_extra[1])
    assert packages == {name: set(names) for name, (_, names) in EXTRAS.items()}


def test_missing_packages_come_with_what_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"torch": "2.9", "pyarrow": "15.0"}

    def version(name: str) -> str:
        if name not in there:
            raise importlib.metadata.PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    extras = {extra.name: extra for extra in diagnose().extras}
    assert list(extras) == list(EXTRAS)
    assert extras["train"] == Extra(
        "train", EXTRAS["train"][0], {"torch": "2.9", "scikit-learn": None}, "pip install 'fastlstm[train]'"
    )
    assert extras["parquet"] == Extra("parquet", EXTRAS["parquet"][0], {"pyarrow": "15.0"}, None)
    assert extras["plot"].install == "pip install 'fastlstm[plot]'"
    del there["torch"]
    assert diagnose().pytorch is None


def test_the_gpu_is_named_or_why_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version("torch")
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert diagnose().pytorch == PyTorchInfo(version, None, "this build of PyTorch is without CUDA", None)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert diagnose().pytorch == PyTorchInfo(version, None, "PyTorch finds no CUDA device", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A GPU")
    assert diagnose().pytorch == PyTorchInfo(version, "A GPU", None, None)

    def busy() -> str:
        raise RuntimeError("all devices are busy")

    monkeypatch.setattr(torch.cuda, "get_device_name", busy)
    assert diagnose().pytorch == PyTorchInfo(version, None, "all devices are busy", None)


def test_a_pytorch_that_cannot_be_imported_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    came = diagnose().pytorch
    assert came is not None
    assert (came.gpu, came.why_no_gpu) == (None, None)
    assert came.error is not None
    assert "torch" in came.error


def test_only_an_examination_imports_pytorch_and_it_no_other_extra() -> None:
    script = (
        "import sys; import fastlstm.cli.doctor, fastlstm.diagnostics as installation\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'pyarrow', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "installation._version = lambda package: None\n"
        "installation.diagnose()\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
