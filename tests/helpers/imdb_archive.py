"""A small IMDb as folder and archive, and a local HTTP server that serves the archive."""

from __future__ import annotations

import hashlib
import io
import tarfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from fastlstm.data.datasets.download import Archive
from fastlstm.data.datasets.imdb import Distribution, IMDbSplits

NOT_INSTALLED = Distribution("fastlstm-not-installed", "1.0", "x.csv", "")


class Server(HTTPServer):
    """A server that answers every path with `content`.

    Attributes:
        content: The response body.
        mode: "ranges", "no ranges", "other range", "no length", or an HTTP status to answer with.
        cut_after: Bytes of the first response after which its connection breaks.
        always_cut: Break every connection after `cut_after` bytes.
        ranges: The Range header of each request.
    """

    content = b""
    mode = "ranges"
    cut_after: int | None = None
    always_cut = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []

    def archive(self, name: str = "aclImdb_v1.tar.gz") -> Archive:
        """Return the URL and checksum of the content."""
        port = self.server_address[1]
        return Archive(f"http://127.0.0.1:{port}/{name}", hashlib.md5(self.content).hexdigest())


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, requested_range = self.server, self.headers["Range"]
        server.ranges.append(requested_range)
        if server.mode.isdecimal():
            self.send_error(int(server.mode))
            return
        start = 0
        if requested_range and server.mode != "no ranges":
            start = int(requested_range.removeprefix("bytes=").removesuffix("-"))
            if start >= len(server.content):
                self.send_error(416)
                return
            self.send_response(206)
            sent_start = start + 1 if server.mode == "other range" else start
            self.send_header("Content-Range", f"bytes {sent_start}-{len(server.content) - 1}/{len(server.content)}")
        else:
            self.send_response(200)
        body = server.content[start:]
        if server.mode != "no length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cut_after is not None and (server.always_cut or len(server.ranges) == 1):
            body = body[: server.cut_after]
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


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


def assert_is_small_imdb(splits: IMDbSplits) -> None:
    """Assert that the splits are `REVIEWS`."""
    assert splits.train.texts == ["dull, and long", "bad", "größer"]
    assert splits.train.labels == ["negative", "negative", "positive"]
    assert splits.test.texts == ["poor", "fine", "good"]
    assert splits.test.labels == ["negative", "positive", "positive"]
    assert splits.test_note is None
    assert "\n" not in splits.origin


def write_acl(folder: Path) -> Path:
    """Write `REVIEWS` as an unpacked archive into `folder`, and return it."""
    for name, text in REVIEWS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def pack(members: dict[str, str], *others: tarfile.TarInfo) -> bytes:
    """Return a .tar.gz file of text files, name -> text, and other members."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, text in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
        for member in others:
            archive.addfile(member)
    return file.getvalue()


IMDB_ARCHIVE = pack({f"aclImdb/{name}": text for name, text in REVIEWS.items()})
