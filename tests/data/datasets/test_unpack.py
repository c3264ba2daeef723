"""Unpacking of hostile and damaged archives."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from tests.helpers.imdb_archive import IMDB_ARCHIVE, Server, pack

from fastlstm.data.datasets.download import unpack
from fastlstm.data.datasets.imdb import load_imdb
from fastlstm.errors import DownloadError


def special_member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize("has_filters", [True, False])
@pytest.mark.parametrize(
    "member",
    [
        special_member("../evil.txt", tarfile.REGTYPE),
        special_member("aclImdb/../../evil.txt", tarfile.REGTYPE),
        special_member("..\\evil.txt", tarfile.REGTYPE),
        special_member("C:evil.txt", tarfile.REGTYPE),
        special_member("../evil", tarfile.DIRTYPE),
        special_member("aclImdb/link", tarfile.SYMTYPE, "../../evil.txt"),
        special_member("aclImdb/link", tarfile.SYMTYPE, "a.txt"),
        special_member("aclImdb/link", tarfile.LNKTYPE, "../evil.txt"),
        special_member("aclImdb/device", tarfile.CHRTYPE),
        special_member("aclImdb/device", tarfile.BLKTYPE),
        special_member("aclImdb/pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda member: f"{member.name}-{member.type.decode()}-{member.linkname}",
)
def test_hostile_archive_raises_download_error_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: tarfile.TarInfo, has_filters: bool
) -> None:
    if not has_filters:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    (tmp_path / "a.tar.gz").write_bytes(pack({}, member))
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(DownloadError) as raised:
        unpack(tmp_path / "a.tar.gz", folder)
    assert raised.value.code == "unsafe-archive"
    assert (raised.value.source, raised.value.member) == ("a.tar.gz", member.name)
    assert list(folder.rglob("*")) == []
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar.gz", "folder"}


def test_absolute_path_in_an_archive_raises_download_error(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(pack({str(tmp_path / "evil.txt"): "evil"}))
    with pytest.raises(DownloadError) as raised:
        unpack(tmp_path / "a.tar.gz", tmp_path)
    assert raised.value.code == "unsafe-archive"
    assert not (tmp_path / "evil.txt").exists()


def test_hostile_archive_leaves_nothing_in_the_cache(server: Server, tmp_path: Path) -> None:
    server.content = pack({"aclImdb/train/pos/a.txt": "a", "../../evil.txt": "evil"})
    with pytest.raises(DownloadError) as raised:
        load_imdb(archive=server.archive(), cache_dir=tmp_path / "cache")
    assert raised.value.code == "unsafe-archive"
    assert [path.name for path in (tmp_path / "cache" / "imdb").iterdir()] == ["aclImdb_v1.tar.gz"]
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


@pytest.mark.parametrize(
    "content", [b"not packed", IMDB_ARCHIVE[: len(IMDB_ARCHIVE) // 2], b""], ids=["not packed", "half", "empty"]
)
def test_damaged_archive_raises_download_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(DownloadError) as raised:
        unpack(tmp_path / "a.tar.gz", tmp_path)
    assert (raised.value.code, raised.value.source) == ("bad-archive", "a.tar.gz")


def test_unpacked_files_have_plain_permissions(tmp_path: Path) -> None:
    member = special_member("a.txt", tarfile.REGTYPE)
    member.mode = 0o6777
    (tmp_path / "a.tar.gz").write_bytes(pack({}, member))
    unpack(tmp_path / "a.tar.gz", tmp_path)
    assert (tmp_path / "a.txt").stat().st_mode & 0o7111 == 0
