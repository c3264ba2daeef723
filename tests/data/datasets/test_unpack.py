"""Archives that are hostile or damaged."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pytest
from tests.helpers.imdb_archive import IMDB_ARCHIVE, Server, packed

from fastlstm.data.datasets.download import unpack
from fastlstm.data.datasets.imdb import load_imdb
from fastlstm.errors import DownloadError


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize("has_filters", [True, False])
@pytest.mark.parametrize(
    ("member", "what"),
    [
        (special("../evil.txt", tarfile.REGTYPE), "outside its own folder"),
        (special("aclImdb/../../evil.txt", tarfile.REGTYPE), "outside its own folder"),
        (special("..\\evil.txt", tarfile.REGTYPE), "outside its own folder"),
        (special("C:evil.txt", tarfile.REGTYPE), "outside its own folder"),
        (special("../evil", tarfile.DIRTYPE), "outside its own folder"),
        (special("aclImdb/link", tarfile.SYMTYPE, "../../evil.txt"), "a link or device"),
        (special("aclImdb/link", tarfile.SYMTYPE, "a.txt"), "a link or device"),
        (special("aclImdb/link", tarfile.LNKTYPE, "../evil.txt"), "a link or device"),
        (special("aclImdb/device", tarfile.CHRTYPE), "a link or device"),
        (special("aclImdb/device", tarfile.BLKTYPE), "a link or device"),
        (special("aclImdb/pipe", tarfile.FIFOTYPE), "a link or device"),
    ],
)
def test_a_hostile_archive_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: tarfile.TarInfo, what: str, has_filters: bool
) -> None:
    if not has_filters:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    (tmp_path / "a.tar.gz").write_bytes(packed({}, member))
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(DownloadError, match=rf"a\.tar\.gz holds {re.escape(repr(member.name))}, {what}"):
        unpack(tmp_path / "a.tar.gz", folder)
    assert list(folder.rglob("*")) == []
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar.gz", "folder"}


def test_an_absolute_path_in_an_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(packed({str(tmp_path / "evil.txt"): "evil"}))
    with pytest.raises(DownloadError, match="outside its own folder"):
        unpack(tmp_path / "a.tar.gz", tmp_path)
    assert not (tmp_path / "evil.txt").exists()


def test_a_hostile_archive_leaves_nothing_in_the_cache(server: Server, tmp_path: Path) -> None:
    server.content = packed({"aclImdb/train/pos/a.txt": "a", "../../evil.txt": "evil"})
    with pytest.raises(DownloadError, match="outside its own folder"):
        load_imdb(archive=server.archive(), cache_dir=tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache" / "imdb").iterdir()] == ["aclImdb_v1.tar.gz"]
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


@pytest.mark.parametrize("content", [b"not packed", IMDB_ARCHIVE[: len(IMDB_ARCHIVE) // 2], b""])
def test_a_damaged_archive_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(DownloadError, match=r"a\.tar\.gz is not an intact \.tar\.gz \("):
        unpack(tmp_path / "a.tar.gz", tmp_path)


def test_unpacked_files_have_plain_permissions(tmp_path: Path) -> None:
    member = special("a.txt", tarfile.REGTYPE)
    member.mode = 0o6777
    (tmp_path / "a.tar.gz").write_bytes(packed({}, member))
    unpack(tmp_path / "a.tar.gz", tmp_path)
    assert (tmp_path / "a.txt").stat().st_mode & 0o7111 == 0
