"""Diagnostics of the kernel, the extras and PyTorch, present or missing."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.helpers.machines import machine_speeds

import fastlstm
from fastlstm.diagnostics import (
    COMPARED_UNITS,
    EXTRAS,
    ExtraStatus,
    KernelStatus,
    PyTorchStatus,
    SelfCheck,
    diagnose,
)
from fastlstm.errors import CPU_PYTORCH, OptionError
from fastlstm.kernel.abi import FILE_NAME, PRECISIONS, load_library
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.loader import ISAS, find_kernel, usable_cores

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.usefixtures("clean_environment")


@pytest.fixture
def library(clean_environment: None) -> Path:
    """The library that was built with this installation."""
    del clean_environment
    info = find_kernel.__wrapped__()
    if info.kernel is None or info.path is None:
        pytest.skip(f"no compiled kernel: {info.reason}")
    return info.path


def test_kernel_status_has_the_best_instruction_set_threads_and_library(library: Path) -> None:
    diagnostics = diagnose()
    best = Kernel(load_library(library)).isa
    assert diagnostics.kernel == KernelStatus(
        instruction_set=best,
        supported=diagnostics.kernel.supported,
        precisions=diagnostics.kernel.precisions,
        threads=usable_cores(),
        threads_source=diagnostics.kernel.threads_source,
        library=str(library),
        reason=None,
        remedy=None,
    )
    assert diagnostics.kernel.threads_source not in (None, "FASTLSTM_THREADS")
    assert best in diagnostics.kernel.supported
    assert diagnostics.kernel.precisions[0] == "float32"
    assert set(diagnostics.kernel.precisions) <= set(PRECISIONS)
    assert set(diagnostics.kernel.supported) <= set(ISAS)
    assert diagnostics.self_check is not None
    assert diagnostics.self_check.passed
    assert diagnostics.environment == {}


def test_auto_precision_has_the_choice_and_speeds_of_every_task_and_size(tmp_path: Path) -> None:
    with machine_speeds(tmp_path, float32=1.0, bfloat16=2.0, int8=0.5):
        choices = diagnose().auto_precision
    assert [(choice.task, choice.units) for choice in choices] == [
        (task, (units,)) for task in ("inference", "training") for units in COMPARED_UNITS
    ]
    kernel = find_kernel.__wrapped__().kernel
    for choice in choices:
        has_int8 = choice.task == "inference" and kernel is not None and kernel.supports("int8")
        assert choice.precision == ("int8" if has_int8 else "float32")
        assert choice.speeds.get("bfloat16", 0.5) == 0.5


@pytest.mark.parametrize("isa", ISAS)
def test_environment_variables_are_applied_and_reported(
    isa: str, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isa not in diagnose().kernel.supported:
        pytest.skip(f"this processor does not support {isa}")
    variables = {"FASTLSTM_ISA": isa, "FASTLSTM_THREADS": "3", "FASTLSTM_LIBRARY": str(library)}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FASTLSTM_DATA_DIR", "")  # the same as unset
    diagnostics = diagnose()
    assert diagnostics.environment == variables
    assert diagnostics.kernel.instruction_set == isa
    assert (diagnostics.kernel.threads, diagnostics.kernel.threads_source) == (3, "FASTLSTM_THREADS")
    assert diagnostics.self_check is not None
    assert diagnostics.self_check.passed


def missing_kernel() -> tuple[str, str]:
    """Check that there is no kernel, and return the reason and the remedy."""
    diagnostics = diagnose()
    kernel = diagnostics.kernel
    assert diagnostics.self_check is None
    assert (kernel.instruction_set, kernel.supported, kernel.precisions) == (None, (), ("float32",))
    assert (kernel.threads, kernel.threads_source) == (None, None)
    assert kernel.reason
    assert kernel.remedy
    return kernel.reason, kernel.remedy


def test_kernel_disabled_by_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTLSTM_ISA", "reference")
    reason, remedy = missing_kernel()
    assert "FASTLSTM_ISA=reference" in reason
    assert remedy == "unset FASTLSTM_ISA"


@pytest.mark.parametrize("machine", ["x86_64", "AMD64", "aarch64", "arm64"])
def test_missing_library_on_a_supported_machine_needs_a_compiler(
    machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastlstm.kernel.__path__", [str(tmp_path)])
    monkeypatch.setattr("platform.machine", lambda: machine)
    _, remedy = missing_kernel()
    assert "g++" in remedy
    assert "pip install --no-deps --force-reinstall --no-cache-dir ." in remedy


def test_missing_library_on_an_unsupported_machine_has_no_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastlstm.kernel.__path__", [str(tmp_path)])
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    _, remedy = missing_kernel()
    assert remedy.startswith("none: riscv64 ")


def test_broken_library_is_reinstalled_or_its_variable_unset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / FILE_NAME
    broken.write_bytes(b"no library")
    monkeypatch.setattr("fastlstm.kernel.__path__", [str(tmp_path)])
    reason, remedy = missing_kernel()
    assert str(broken) in reason
    assert "pip install --force-reinstall fastlstm" in remedy
    monkeypatch.setenv("FASTLSTM_LIBRARY", str(broken))
    reason, remedy = missing_kernel()
    assert str(broken) in reason
    assert remedy.startswith("unset FASTLSTM_LIBRARY")
    assert diagnose().kernel.library == str(broken)


@pytest.mark.usefixtures("library")
def test_unsupported_processor_has_no_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise ValueError("unsupported instruction set")

    monkeypatch.setattr("fastlstm.kernel.loader.Kernel", unsupported)
    _, remedy = missing_kernel()
    assert remedy.startswith("none: this processor ")


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("name", "value"), [("FASTLSTM_ISA", "v9"), ("FASTLSTM_THREADS", "0"), ("FASTLSTM_LIBRARY", "gone.so")]
)
def test_invalid_environment_variables_raise_option_error(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
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
def test_self_check_fails_above_its_tolerance(
    difference: float, expected: SelfCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastlstm.diagnostics.largest_difference", lambda _: difference)
    assert diagnose().self_check == expected


def test_versions_are_reported() -> None:
    diagnostics = diagnose()
    assert diagnostics.fastlstm == fastlstm.__version__
    assert diagnostics.python == ".".join(map(str, sys.version_info[:3]))
    assert diagnostics.system
    assert diagnostics.processor


@pytest.mark.parametrize(
    ("cpuinfo", "processor", "expected"),
    [
        (
            "processor\t: 0\nmodel name\t: Fast: 3 GHz\n\nprocessor\t: 1\nmodel name\t: Other\n",
            "x86_64",
            "Fast: 3 GHz",
        ),
        ("processor\t: 0\n", "", "arm64"),
        (None, "", "arm64"),
        (None, "arm", "arm"),
    ],
)
def test_processor_is_named_by_cpuinfo_or_else_by_python(
    cpuinfo: str | None, processor: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        path.write_text(cpuinfo)
    monkeypatch.setattr("fastlstm.serialization.speeds.CPUINFO", path)
    monkeypatch.setattr("platform.processor", lambda: processor)
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert diagnose().processor == expected


def test_extras_are_those_of_pyproject_toml() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    packages = {
        extra: {
            match[0] for requirement in requirements if (match := re.match(r"[\w.-]+", requirement)) is not None
        }
        for extra, requirements in project["optional-dependencies"].items()
    }
    assert {extra: names - {"fastlstm"} for extra, names in packages.items()} == {
        extra: set(names) for extra, (_, names) in EXTRAS.items()
    }


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Versions of the packages that appear to be installed; tests may change them."""
    versions = {"torch": "2.9", "pyarrow": "15.0"}

    def version(name: str) -> str:
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    return versions


@pytest.mark.usefixtures("installed")
def test_extras_with_missing_packages_have_a_pip_command() -> None:
    extras = {extra.name: extra for extra in diagnose().extras}
    assert list(extras) == list(EXTRAS)
    assert extras["train"] == ExtraStatus(
        "train",
        EXTRAS["train"][0],
        {"torch": "2.9", "scikit-learn": None, "threadpoolctl": None},
        "pip install 'fastlstm[train]'",
    )
    assert extras["parquet"] == ExtraStatus("parquet", EXTRAS["parquet"][0], {"pyarrow": "15.0"}, None)
    assert extras["plot"].install == "pip install 'fastlstm[plot]'"


def test_missing_pytorch_has_no_status_and_is_installed_for_cpus_first(installed: dict[str, str]) -> None:
    del installed["torch"]
    diagnostics = diagnose()
    assert diagnostics.pytorch is None
    extras = {extra.name: extra.install for extra in diagnostics.extras}
    assert extras["train"] == f"{CPU_PYTORCH} && pip install 'fastlstm[train]'"
    assert extras["plot"] == "pip install 'fastlstm[plot]'"


@pytest.mark.parametrize("cuda", [None, "12.8"])
def test_pytorch_without_a_gpu_has_a_reason(cuda: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    status = diagnose().pytorch
    assert status is not None
    assert status.no_gpu_reason
    version = importlib.metadata.version("torch")
    assert status == PyTorchStatus(version, None, status.no_gpu_reason, None)


def test_pytorch_with_a_gpu_has_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A GPU")
    assert diagnose().pytorch == PyTorchStatus(importlib.metadata.version("torch"), "A GPU", None, None)


def test_pytorch_with_a_busy_gpu_has_the_error_as_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy() -> str:
        raise RuntimeError("all devices are busy")

    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", busy)
    version = importlib.metadata.version("torch")
    assert diagnose().pytorch == PyTorchStatus(version, None, "all devices are busy", None)


def test_pytorch_that_cannot_be_imported_has_an_import_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    status = diagnose().pytorch
    assert status is not None
    assert (status.gpu, status.no_gpu_reason) == (None, None)
    assert status.import_error is not None
    assert "torch" in status.import_error


def test_diagnose_imports_no_extra_but_pytorch() -> None:
    script = (
        "import importlib.metadata, sys\n"
        "import fastlstm.cli.doctor, fastlstm.diagnostics\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'pyarrow', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "def version(name):\n"
        "    raise importlib.metadata.PackageNotFoundError(name)\n"
        "importlib.metadata.version = version\n"
        "fastlstm.diagnostics.diagnose()\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
