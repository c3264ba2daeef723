"""Atomic writes: a file or folder is complete or absent, even if the process is stopped while writing.

If a path is a symbolic link, its target is written and the link stays, even if the target does not exist yet.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from fastlstm.errors import WriteError


def write_file(path: Path, content: bytes) -> None:
    """Write a temporary sibling of `path`, sync it and rename it to `path`. Raise `WriteError` on failure.

    A device or pipe, such as /dev/stdout, is written directly.
    """
    with _write_errors(path):
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(content)
            return
        path = _follow_links(path)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        # `tempfile` would make the file readable by its owner only; this one gets the usual permissions.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            try:
                _write_and_sync(descriptor, content)
            finally:
                os.close(descriptor)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_parent(path)


def replace_file(temporary: Path, path: Path) -> None:
    """Sync a complete file and rename it to `path`, replacing an existing file. Raise `WriteError` on failure."""
    with _write_errors(path):
        descriptor = os.open(temporary, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
        _sync_parent(path)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` (name, with `/` for subfolders -> content) as the folder `path`, replacing an existing one.

    The files are written to a temporary sibling, synced and renamed. An existing folder is renamed away first and
    deleted last; it is renamed back if the second rename fails. Raise `WriteError` on failure.
    """
    with _write_errors(path):
        path = _follow_links(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.new-", dir=path.parent))
        try:
            temporary.chmod(0o755)
            for name, content in files.items():
                target = temporary / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    _write_and_sync(file.fileno(), content)
            for folder in {(temporary / name).parent for name in files} | {temporary}:
                _sync_folder(folder)
            _replace_folder(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        _sync_parent(path)


def check_writable(path: Path) -> None:
    """Raise `WriteError` if no file can be written in the folder of `path`. Leave nothing behind."""
    with _write_errors(path):
        path = _follow_links(path)
        parent = next(folder for folder in path.absolute().parents if folder.exists())
        with tempfile.TemporaryFile(dir=parent):
            pass


def _follow_links(path: Path) -> Path:
    """Return the target of `path` if it is a symbolic link, else `path`. Raise `OSError` for a loop of links."""
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target


def _replace_folder(new: Path, path: Path) -> None:
    if not path.exists():
        os.rename(new, path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old-", dir=path.parent))
    old.rmdir()  # only the unused name is needed: Windows cannot rename onto a folder
    os.rename(path, old)
    try:
        os.rename(new, path)
    except BaseException:
        os.rename(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write_and_sync(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder to sync it
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_parent(path: Path) -> None:
    """Sync the new name of `path`. A failure is ignored, because the content is complete by now."""
    with suppress(OSError):
        _sync_folder(path.parent)


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(
            f"cannot write {path}: {reason}; existing files are unchanged; free disk space, or choose another path",
            path=path,
            reason=reason,
        ) from error
