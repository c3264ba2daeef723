"""Files and folders that are there whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from fastlstm.errors import WriteError


def write_file(path: Path, content: bytes) -> None:
    """Writes a file beside `path`, syncs it and renames it over `path`. Raises `WriteError`."""
    with _write_errors(path):
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        # With the permissions of any new file: those that `tempfile` makes are for their owner alone.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            try:
                _write_synced(descriptor, content)
            finally:
                os.close(descriptor)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_name(path)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Writes `files` (name, with `/` for sub-folders -> content) as the folder `path`, in place of an old one.

    They are written to a sibling, synced and renamed. Where an old folder stands, it is renamed away first
    and deleted last, and comes back if the second rename fails. Raises `WriteError`.
    """
    with _write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.new-", dir=path.parent))
        try:
            temporary.chmod(0o755)
            for name, content in files.items():
                target = temporary / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    _write_synced(file.fileno(), content)
            for folder in {(temporary / name).parent for name in files} | {temporary}:
                _sync_folder(folder)
            _replace_folder(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        _sync_name(path)


def check_writable(path: Path) -> None:
    """Raises `WriteError` if nothing can be written beside `path`; leaves nothing behind."""
    with _write_errors(path):
        parent = next(folder for folder in path.absolute().parents if folder.exists())
        with tempfile.TemporaryFile(dir=parent):
            pass


def _replace_folder(new: Path, path: Path) -> None:
    if not path.exists():
        os.rename(new, path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old-", dir=path.parent))
    old.rmdir()  # only its free name is wanted: Windows renames nothing onto a folder, Linux no link
    os.rename(path, old)
    try:
        os.rename(new, path)
    except BaseException:
        os.rename(old, path)
        raise
    if old.is_symlink():  # what a link points to is not ours to delete
        old.unlink()
    else:
        shutil.rmtree(old, ignore_errors=True)


def _write_synced(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows can't open a folder to sync it
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_name(path: Path) -> None:
    """Syncs what `path` was renamed to. It stands there whole by now, so a failure is no reason to report one."""
    with suppress(OSError):
        _sync_folder(path.parent)


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(
            f"can't write {path}: {reason}; what stood there is untouched; free the disk, or choose another place"
        ) from error
