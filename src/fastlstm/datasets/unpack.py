"""Unpacking an archive that may be hostile: only regular files and folders, only below one folder."""

from __future__ import annotations

import re
import zlib
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
