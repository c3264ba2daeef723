"""Downloads from a local server."""

from __future__ import annotations

import hashlib
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from tests.helpers.imdb_archive import Server

from fastlstm.data.datasets import download as download_module
from fastlstm.data.datasets.download import Archive, download
from fastlstm.errors import DownloadError

CONTENT = bytes(range(256)) * 4096  # 1 MiB: more than one chunk


@pytest.mark.parametrize(("cut_after", "mode"), [(100, "ranges"), (600_000, "ranges"), (None, "no length")])
def test_download_is_complete(server: Server, tmp_path: Path, cut_after: int | None, mode: str) -> None:
    server.content, server.cut_after, server.mode = CONTENT, cut_after, mode
    target = tmp_path / "new" / "a.bin"
    download(server.archive(), target)
    assert target.read_bytes() == CONTENT
    assert server.ranges == ([None] if cut_after is None else [None, f"bytes={cut_after}-"])
    assert [path.name for path in target.parent.iterdir()] == ["a.bin"]


def test_download_resumes_the_part_of_an_earlier_run(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:1000])
    progress: list[tuple[int, int | None]] = []
    download(server.archive(), tmp_path / "a.bin", lambda received, total: progress.append((received, total)))
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-"]
    assert progress[0][0] > 1000
    assert progress[-1] == (len(CONTENT), len(CONTENT))


def test_download_restarts_if_the_server_does_not_support_ranges(server: Server, tmp_path: Path) -> None:
    server.content, server.mode = CONTENT, "no ranges"
    (tmp_path / "a.bin.part").write_bytes(b"x" * 1000)
    download(server.archive(), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_complete_part_is_used(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    download(server.archive(), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(CONTENT)}-"]


def test_existing_file_is_not_downloaded_again(unreachable: Archive, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    download(replace(unreachable, md5=hashlib.md5(CONTENT).hexdigest()), tmp_path / "a.bin")


@pytest.mark.parametrize("part", [b"", b"x" * 1000, CONTENT + b"x"], ids=["empty", "wrong", "too long"])
def test_wrong_checksum_raises_download_error_and_deletes_the_part(
    server: Server, tmp_path: Path, part: bytes
) -> None:
    server.content = CONTENT
    archive = server.archive() if part else replace(server.archive(), md5="0" * 32)
    (tmp_path / "a.bin.part").write_bytes(part)
    with pytest.raises(DownloadError) as raised:
        download(archive, tmp_path / "a.bin")
    assert raised.value.code == "checksum-mismatch"
    assert raised.value.checksum == hashlib.md5(part + CONTENT[len(part) :]).hexdigest()
    assert (raised.value.source, raised.value.expected) == (archive.url, archive.md5)
    assert list(tmp_path.iterdir()) == []


def test_connection_that_always_breaks_raises_os_error_and_keeps_the_part(server: Server, tmp_path: Path) -> None:
    server.content, server.cut_after, server.always_cut = CONTENT, 10, True
    with pytest.raises(ConnectionError, match="50 of 1,048,576 bytes"):
        download(server.archive(), tmp_path / "a.bin")
    assert (tmp_path / "a.bin.part").read_bytes() == CONTENT[:50]


def test_download_without_progress_stops(server: Server, tmp_path: Path) -> None:
    server.content, server.cut_after, server.always_cut = CONTENT, 10, True
    server.mode = "no ranges"
    with pytest.raises(ConnectionError, match="10 of 1,048,576 bytes"):
        download(server.archive(), tmp_path / "a.bin")
    assert len(server.ranges) == 2


def test_wrong_range_raises_os_error_and_keeps_the_part(server: Server, tmp_path: Path) -> None:
    server.content, server.mode = CONTENT, "other range"
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:10])
    with pytest.raises(ConnectionError):
        download(server.archive(), tmp_path / "a.bin")
    assert (tmp_path / "a.bin.part").read_bytes() == CONTENT[:10]


def test_silent_server_raises_os_error_after_the_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_module, "TIMEOUT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.bin"
        with pytest.raises(OSError, match="timed out"):
            download(Archive(url, ""), tmp_path / "a.bin")
