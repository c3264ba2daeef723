"""Machines whose processors support chosen precisions, and whose speeds are given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from fastlstm.kernel import KernelInfo
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.speed import Workload
from fastlstm.precision import known_times


@dataclass
class FakeKernel:
    """What the choice of a precision reads of a kernel."""

    precisions: tuple[str, ...] = ("float32", "bfloat16", "int8")
    isa: str = "v4"
    threads: int = 2

    def supports(self, precision: str) -> bool:
        return precision in self.precisions

    def info(self, path: Path | None = None) -> KernelInfo:
        return KernelInfo(cast(Kernel, self), "", path)


@dataclass
class FakeSpeeds:
    """Stands for `measure_seconds`.

    Attributes:
        seconds: Precision -> seconds of every workload; replaced by tests.
        measured: The workloads that were measured.
    """

    seconds: Mapping[str, float]
    measured: list[Workload] = field(default_factory=list)

    def __call__(self, kernel: Any, workload: Workload, precisions: Sequence[str]) -> dict[str, float]:
        del kernel
        self.measured.append(workload)
        return {precision: self.seconds[precision] for precision in precisions}


@contextmanager
def machine_speeds(cache_folder: Path, **seconds: float) -> Iterator[FakeSpeeds]:
    """Let precisions take these seconds, with an empty cache folder."""
    speeds = FakeSpeeds(seconds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastlstm.precision.measure_seconds", speeds)
        patch.setattr("platformdirs.user_cache_dir", lambda name: str(cache_folder / name))
        known_times.cache_clear()
        yield speeds
    known_times.cache_clear()
