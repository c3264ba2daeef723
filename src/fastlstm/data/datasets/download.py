"""Download an archive, verify its checksum, and unpack it."""

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
    from http.client import HTTPResponse
    from tarfile import TarInfo

DownloadProgress = Callable[[int, int | None], None]
"""Called with the bytes received so far and the total, None if unknown."""

TIMEOUT_SECONDS = 30.0
"""Maximum time without a byte."""
CHUNK_BYTES = 1 << 18
MAX_ATTEMPTS = 5


@dataclass(frozen=True)
class Archive:
    """A file on the web and its MD5 sum in hexadecimal."""

    url: str
    md5: str


def download(archive: Archive, target: Path, progress: DownloadProgress | None = None) -> None:
    """Download an archive to `target`, resuming from `target` + ".part" if an earlier run left that file.

    A broken connection is resumed, up to five times, as long as each attempt receives some bytes.

    Raises:
        OSError: The network or the disk failed. The partial file is kept.
        DownloadError: The MD5 sum differs. The partial file is deleted.
    """
    if target.is_file() and checksum(target, "md5") == archive.md5:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    for attempt in range(1, MAX_ATTEMPTS + 1):
        before = _size(part)
        try:
            _fetch(archive.url, part, progress)
            break
        except OSError:
            if attempt == MAX_ATTEMPTS or _size(part) <= before:
                raise
    md5 = checksum(part, "md5")
    if md5 != archive.md5:
        part.unlink()
        raise DownloadError(
            f"the download of {archive.url} has the MD5 sum {md5}; expected {archive.md5}; it was deleted; retry, "
            "or use another network",
            code="checksum-mismatch",
            source=archive.url,
            checksum=md5,
            expected=archive.md5,
        )
    part.replace(target)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a .tar.gz file into an existing `folder`, without its permissions.

    Members unpacked before an error stay: use a temporary folder.

    Raises:
        DownloadError: A member is not a file or folder, its path leaves `folder`, or the file is damaged.
        OSError: The disk failed.
    """
    import tarfile

    # Python before 3.10.12 and 3.11.4 has no filters. _check_member does not rely on them.
    filters: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    try:
        with tarfile.open(archive, "r:gz") as members:
            for member in members:
                _check_member(member, archive.name)
                members.extract(member, folder, set_attrs=False, **filters)
    except (tarfile.TarError, BadGzipFile, EOFError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise DownloadError(
            f"{archive.name} is not a valid .tar.gz file ({reason}); delete it and try again",
            code="bad-archive",
            source=archive.name,
            reason=reason,
        ) from error


def checksum(path: Path, algorithm: str) -> str:
    """Return the checksum of a file in hexadecimal."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def failure_reason(error: OSError) -> str:
    """Return why the network or the disk failed, on one line."""
    cause = getattr(error, "reason", None) or error
    if isinstance(cause, OSError) and cause.strerror:
        cause = f"{cause.strerror}: {cause.filename!r}" if cause.filename else cause.strerror
    return " ".join(str(cause).split()) or type(error).__name__


def _check_member(member: TarInfo, archive_name: str) -> None:
    """Raise `DownloadError` if unpacking the member could write outside the folder."""
    problem = None
    if not (member.isreg() or member.isdir()):
        problem = "a link or device"
    elif re.match(r"[\\/]|[A-Za-z]:", member.name) or ".." in re.split(r"[\\/]", member.name):
        problem = "a path outside the archive's folder"
    if problem is not None:
        raise DownloadError(
            f"{archive_name} contains {member.name!r}, {problem}; it was not unpacked; do not use this archive",
            code="unsafe-archive",
            source=archive_name,
            member=member.name,
            problem=problem,
        )


def _fetch(url: str, part: Path, progress: DownloadProgress | None) -> None:
    """Append the missing bytes to `part`. Raise `OSError` if the network or the disk fails."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    start = _size(part)
    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            _receive(response, part, start, progress)
    except HTTPError as error:
        with error:
            if error.code == 416 and start:  # the part is complete; the checksum decides whether it is correct
                return
            raise ConnectionError(f"HTTP status {error.code} {error.reason}") from error
    except HTTPException as error:
        raise ConnectionError(f"invalid HTTP response: {error!r}") from error


def _receive(response: HTTPResponse, part: Path, start: int, progress: DownloadProgress | None) -> None:
    resumed = response.status == 206
    if resumed and not (response.headers["Content-Range"] or "").startswith(f"bytes {start}-"):
        raise ConnectionError("the server sent a different range than requested")
    length = response.headers["Content-Length"]
    received = start if resumed else 0
    total = received + int(length) if length and length.isdecimal() else None
    with part.open("ab" if resumed else "wb") as file:
        while chunk := response.read(CHUNK_BYTES):
            file.write(chunk)
            received += len(chunk)
            if progress is not None:
                progress(received, total)
    if total is not None and received < total:
        raise ConnectionError(f"the connection broke after {received:,} of {total:,} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
