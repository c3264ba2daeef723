"""IMDb from its archive and from the cache."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.imdb_archive import IMDB_ARCHIVE, NOT_INSTALLED, Server, assert_is_small_imdb, pack, write_acl

from fastlstm.data.datasets.download import Archive
from fastlstm.data.datasets.imdb import load_imdb, load_imdb_unlabelled
from fastlstm.errors import DownloadError


def test_unlabelled_reviews_come_from_the_same_download(server: Server, tmp_path: Path) -> None:
    server.content = IMDB_ARCHIVE
    load_imdb(archive=server.archive(), cache_dir=tmp_path)
    assert load_imdb_unlabelled(archive=server.archive(), cache_dir=tmp_path).texts == ["who knows"]
    assert server.ranges == [None]


def test_unlabelled_reviews_without_the_archive_raise_download_error(unreachable: Archive, tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as raised:
        load_imdb_unlabelled(archive=unreachable, cache_dir=tmp_path)
    assert (raised.value.code, raised.value.source) == ("download-failed", unreachable.url)
    assert raised.value.reason == "Connection refused"


def test_archive_is_downloaded_once_and_kept_unpacked(server: Server, tmp_path: Path) -> None:
    server.content = IMDB_ARCHIVE
    lines: list[str] = []
    progress: list[tuple[int, int | None]] = []
    for _ in range(2):
        splits = load_imdb(
            log=lines.append,
            progress=lambda received, total: progress.append((received, total)),
            archive=server.archive(),
            cache_dir=tmp_path,
            distribution=NOT_INSTALLED,
        )
        assert_is_small_imdb(splits)
        assert str(tmp_path / "imdb" / "aclImdb") in splits.origin
    assert server.ranges == [None]
    assert progress[-1] == (len(IMDB_ARCHIVE), len(IMDB_ARCHIVE))
    assert [line.split()[0] for line in lines] == ["downloading", "unpacking"]
    assert [path.name for path in (tmp_path / "imdb").iterdir()] == ["aclImdb"]


def test_default_cache_is_the_cache_folder_of_the_platform(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content = IMDB_ARCHIVE
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / name))
    assert_is_small_imdb(load_imdb(archive=server.archive()))
    assert (tmp_path / "fastlstm" / "imdb" / "aclImdb" / "train").is_dir()


@pytest.mark.parametrize("marker", [None, "another sum", "\udcff"])
def test_incomplete_cache_is_replaced(server: Server, tmp_path: Path, marker: str | None) -> None:
    server.content = IMDB_ARCHIVE
    stale = write_acl(tmp_path / "imdb" / "aclImdb")
    (stale / "train" / "neg" / "9_9.txt").write_text("left over", encoding="utf-8")
    if marker is not None:
        (stale / ".complete").write_text(marker, encoding="utf-8", errors="surrogateescape")
    assert_is_small_imdb(load_imdb(archive=server.archive(), cache_dir=tmp_path))


def test_archive_without_the_folder_raises_download_error(server: Server, tmp_path: Path) -> None:
    server.content = pack({"other/a.txt": "a"})
    with pytest.raises(DownloadError) as raised:
        load_imdb(archive=server.archive(), cache_dir=tmp_path)
    assert (raised.value.code, raised.value.source) == ("bad-archive", server.archive().url)
    assert not (tmp_path / "imdb" / "aclImdb").exists()
