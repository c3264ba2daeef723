"""Downloads from a real server."""

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


@pytest.mark.parametrize(("cut_after", "manner"), [(100, "ranges"), (600_000, "ranges"), (None, "no length")])
def test_a_download_arrives_whole(server: Server, tmp_path: Path, cut_after: int | None, manner: str) -> None:
    server.content, server.cut_after, server.manner = CONTENT, cut_after, manner
    target = tmp_path / "new" / "a.bin"
    download(server.archive(), target)
    assert target.read_bytes() == CONTENT
    assert server.ranges == ([None] if cut_after is None else [None, f"bytes={cut_after}-"])
    assert [path.name for path in target.parent.iterdir()] == ["a.bin"]


def test_a_download_goes_on_from_the_part_of_an_earlier_run(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:1000])
    progress: list[tuple[int, int | None]] = []
    download(server.archive(), tmp_path / "a.bin", lambda done, total: progress.append((done, total)))
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-"]
    assert progress[0][0] > 1000
    assert progress[-1] == (len(CONTENT), len(CONTENT))


def test_a_download_starts_over_where_the_server_has_no_ranges(server: Server, tmp_path: Path) -> None:
    server.content, server.manner = CONTENT, "no ranges"
    (tmp_path / "a.bin.part").write_bytes(b"x" * 1000)
    download(server.archive(), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_taken(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    download(server.archive(), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(CONTENT)}-"]


def test_a_file_that_is_there_is_not_downloaded_again(refusing: Archive, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    download(replace(refusing, md5=hashlib.md5(CONTENT).hexdigest()), tmp_path / "a.bin")


@pytest.mark.parametrize("part", [b"", b"x" * 1000, CONTENT + b"x"])
def test_a_wrong_checksum_deletes_the_part_and_names_both_sums(server: Server, tmp_path: Path, part: bytes) -> None:
    server.content = CONTENT
    archive = server.archive() if part else replace(server.archive(), md5="0" * 32)
    (tmp_path / "a.bin.part").write_bytes(part)
    came = hashlib.md5(part + CONTENT[len(part) :]).hexdigest()
    with pytest.raises(DownloadError, match=rf"MD5 sum {came}; expected {archive.md5}; what came was deleted"):
        download(archive, tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_is_cut_off_again_and_again_keeps_its_part(server: Server, tmp_path: Path) -> None:
    server.content, server.cut_after, server.always_cut = CONTENT, 10, True
    with pytest.raises(OSError, match="the connection was cut off after 50 of 1,048,576 bytes"):
        download(server.archive(), tmp_path / "a.bin")
    assert (tmp_path / "a.bin.part").read_bytes() == CONTENT[:50]


def test_a_download_that_does_not_get_on_ends(server: Server, tmp_path: Path) -> None:
    server.content, server.cut_after, server.always_cut = CONTENT, 10, True
    server.manner = "no ranges"
    with pytest.raises(OSError, match="the connection was cut off after 10 of"):
        download(server.archive(), tmp_path / "a.bin")
    assert len(server.ranges) == 2


def test_another_range_than_the_one_asked_for_is_not_taken(server: Server, tmp_path: Path) -> None:
    server.content, server.manner = CONTENT, "other range"
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:10])
    with pytest.raises(OSError, match="another range than the one asked for"):
        download(server.archive(), tmp_path / "a.bin")
    assert (tmp_path / "a.bin.part").read_bytes() == CONTENT[:10]


def test_a_server_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_module, "_TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.bin"
        with pytest.raises(OSError, match="timed out"):
            download(Archive(url, ""), tmp_path / "a.bin")
