"""What every alternative of benchmarks/alternatives.py takes and returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Task:
    """Training texts with their labels, and a folder for the model."""

    texts: Sequence[str]
    labels: Sequence[str]
    unspaced: bool
    """Whether the script has no spaces between words."""
    seed: int
    threads: int
    folder: Path


@dataclass(frozen=True)
class Fitted:
    """A trained model: a function from texts to class names, and the files that it needs."""

    predict: Callable[[Sequence[str]], list[str]]
    files: Sequence[Path]

    @property
    def megabytes(self) -> float:
        """Return the size of all files, and of the files in folders."""
        files = [file for path in self.files for file in ([path] if path.is_file() else path.rglob("*"))]
        return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


Fit = Callable[[Task], Fitted]
