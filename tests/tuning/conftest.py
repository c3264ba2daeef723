"""Searches small enough to be a matter of a second."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastlstm.data import Dataset
from fastlstm.data.splits import DataSplits, load_splits
from fastlstm.tuning.events import TuningEvent, TuningResult
from fastlstm.tuning.search import search
from fastlstm.tuning.settings import TuningJob

SIZES: dict[str, Any] = {"hidden_sizes": (5,), "embedding_size": 4}
"""Options that make a trial a matter of a tenth of a second."""

NEUTRAL = ["the", "film", "was", "a", "story", "with", "actors"]

MakeJob = Callable[..., TuningJob]


def texts(count: int, seed: int = 0) -> Dataset:
    """Texts of 4 to 9 words, one of which tells the class."""
    generator = random.Random(seed)
    words = [generator.choices(NEUTRAL, k=generator.randint(3, 8)) for _ in range(count)]
    for k, text in enumerate(words):
        text.insert(generator.randrange(len(text)), ("awful", "great")[k % 2])
    return Dataset([" ".join(text) for text in words], [("bad", "good")[k % 2] for k in range(count)], "texts")


@pytest.fixture(scope="session")
def data() -> DataSplits:
    """60 texts to train on, 10 that choose, 10 to test on."""
    return load_splits(texts(60), validation=texts(10, seed=1), test=texts(10, seed=2))


def job_of(data: DataSplits, out: Path, **changes: Any) -> TuningJob:
    """A small search, of four trials if nothing else is said."""
    values: dict[str, Any] = {
        "data": data,
        "preset": "tutorial",
        "out": out,
        "given": SIZES,
        "budget": None,
        "trials": 4,
        "baseline": False,
    }
    return TuningJob(**values | changes)


@pytest.fixture
def make_job(data: DataSplits, tmp_path: Path) -> MakeJob:
    """Makes the job of a small search in `tmp_path`/model."""

    def make(**changes: Any) -> TuningJob:
        return job_of(**{"data": data, "out": tmp_path / "model", **changes})

    return make


def finished(job: TuningJob) -> tuple[list[TuningEvent], TuningResult]:
    """Every event of a search, and its result."""
    events = list(search(job))
    result = events[-1]
    assert isinstance(result, TuningResult)
    return events, result


@pytest.fixture(scope="session")
def whole(data: DataSplits, tmp_path_factory: pytest.TempPathFactory) -> TuningResult:
    """The small search, gone through at once. Not to be changed."""
    return finished(job_of(data, tmp_path_factory.mktemp("whole") / "model"))[1]


def files(folder: Path, *names: str) -> list[bytes]:
    """The contents of these files."""
    return [(folder / name).read_bytes() for name in names]
