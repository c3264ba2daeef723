"""A small IMDb in each of its forms, and a real HTTP server on this machine that its archive comes from."""

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


def assert_is_small_imdb(dataset: IMDbSplits) -> None:
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
