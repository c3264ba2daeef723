"""Downloading a file that is known by its checksum: resumed where it was cut off, and verified."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from gzip import BadGzipFile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastlstm.errors import DownloadError

if TYPE_CHECKING:
    from tarfile import TarInfo


def unpack(archive: Path, folder: Path) -> None:
    """Writes the members of a .tar.gz below `folder`, which exists, with plain permissions.

    Raises `DownloadError` for the first member that is not a regular file or a folder, or whose
    path leaves `folder`, and for a file that is not an intact .tar.gz; what was written before
    stays, so `folder` should be one to throw away. Raises `OSError` where the disk fails.
    """
    import tarfile

    # Pythons before 3.10.12 and 3.11.4 have no filters; the check below does not rely on them.
    filters: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    try:
        with tarfile.open(archive, "r:gz") as members:
            for member in members:
                _check(member, archive.name)
                members.extract(member, folder, set_attrs=False, **filters)
    except (tarfile.TarError, BadGzipFile, EOFError, zlib.error) as error:
        detail = " ".join(str(error).split())
        raise DownloadError(
            f"{archive.name} is not an intact .tar.gz ({detail}); delete it and try again"
        ) from error


def _check(member: TarInfo, archive_name: str) -> None:
    if not (member.isreg() or member.isdir()):
        raise DownloadError(
            f"{archive_name} holds {member.name!r}, a link or device; expected files and folders only; "
            "it was not unpacked: don't use it"
        )
    if re.match(r"[\\/]|[A-Za-z]:", member.name) or ".." in re.split(r"[\\/]", member.name):
        raise DownloadError(
            f"{archive_name} holds {member.name!r}, outside its own folder; expected paths below it; "
            "it was not unpacked: don't use it"
        )


if TYPE_CHECKING:
    from http.client import HTTPResponse

DownloadProgress = Callable[[int, int | None], None]
"""Called with the bytes there are and the bytes there will be, None where that is not known."""

_TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 18
_ATTEMPTS = 5


@dataclass(frozen=True)
class Archive:
    """A file on the web, and the MD5 sum, in hexadecimal, that it must have."""

    url: str
    md5: str


def download(archive: Archive, target: Path, progress: DownloadProgress | None = None) -> None:
    """Puts the archive at `target`, going on from `target` + ".part" if an earlier run left one.

    A connection that is cut off is taken up again, as long as each attempt brings some bytes.
    Raises `OSError`, with the part kept for another run, where the network or the disk fails;
    `DownloadError`, with the part deleted, where what came has another MD5 sum.
    """
    if target.is_file() and checksum(target, "md5") == archive.md5:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    for attempt in range(1, _ATTEMPTS + 1):
        before = _size(part)
        try:
            _fetch(archive.url, part, progress)
            break
        except OSError:
            if attempt == _ATTEMPTS or _size(part) <= before:
                raise
    came = checksum(part, "md5")
    if came != archive.md5:
        part.unlink()
        raise DownloadError(
            f"{archive.url} came with the MD5 sum {came}; expected {archive.md5}; "
            "what came was deleted; try again, or from another network"
        )
    part.replace(target)


def checksum(path: Path, algorithm: str) -> str:
    """The file's checksum in hexadecimal."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def failure_reason(error: OSError) -> str:
    """Why the network or the disk failed, in a few words on one line."""
    cause = getattr(error, "reason", None) or error
    if isinstance(cause, OSError) and cause.strerror:
        cause = f"{cause.strerror}: {cause.filename!r}" if cause.filename else cause.strerror
    return " ".join(str(cause).split()) or type(error).__name__


def _fetch(url: str, part: Path, progress: DownloadProgress | None) -> None:
    """Appends to `part` what it lacks. Raises `OSError` where that can't be had."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    have = _size(part)
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urlopen(request, timeout=_TIMEOUT) as response:
            _receive(response, part, have, progress)
    except HTTPError as error:
        with error:
            if error.code == 416 and have:  # nothing comes after what is there; the checksum decides
                return
            raise ConnectionError(f"HTTP status {error.code} {error.reason}") from error
    except HTTPException as error:
        raise ConnectionError(f"no proper HTTP answer: {error!r}") from error


def _receive(response: HTTPResponse, part: Path, have: int, progress: DownloadProgress | None) -> None:
    resumed = response.status == 206
    if resumed and not (response.headers["Content-Range"] or "").startswith(f"bytes {have}-"):
        raise ConnectionError("the server sent another range than the one asked for")
    length = response.headers["Content-Length"]
    done = have if resumed else 0
    total = done + int(length) if length and length.isdecimal() else None
    with part.open("ab" if resumed else "wb") as file:
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, total)
    if total is not None and done < total:
        raise ConnectionError(f"the connection was cut off after {done:,} of {total:,} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
