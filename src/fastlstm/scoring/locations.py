"""Files and folders on local disks and in object stores, through the filesystems of PyArrow."""

from __future__ import annotations

import gzip
import io
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from fastlstm.data.labels import is_unicode
from fastlstm.data.readers.files import file_extension, unknown_format, wrap_read_errors
from fastlstm.data.urls import without_credentials
from fastlstm.errors import DataError, MissingDependencyError, OptionError, WriteError
from fastlstm.serialization import atomic

if TYPE_CHECKING:
    from pyarrow import fs

TABLE_EXTENSIONS = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson")
FORMATS = ".parquet, .csv, .tsv, .jsonl or .ndjson, the text formats also with .gz"
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
"""The folder name of a missing value in Hive's layout."""

_MALFORMED = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]+)(?::/(?!/))"
    r"|^((?:postgres(?:ql)?|elasticsearch|opensearch|s3|gs)(?:\+\w+)?)(?::(?!//)|//)",
    re.IGNORECASE,
)
"""The beginning of a URL with one slash, or without a colon. It may contain a password."""


@dataclass(frozen=True)
class Location:
    """A file or folder.

    Attributes:
        filesystem: The filesystem of PyArrow.
        path: Its path there.
        name: What the user wrote, without credentials.
        is_local: Whether it is on a local disk.
    """

    filesystem: fs.FileSystem
    path: str
    name: str
    is_local: bool

    def child(self, *names: str) -> Location:
        """Return a file or folder inside this folder."""
        path = "/".join((self.path.rstrip("/"), *names))
        return Location(self.filesystem, path, "/".join((self.name.rstrip("/"), *names)), self.is_local)

    def sibling(self, suffix: str) -> Location:
        """Return the location whose name has a suffix appended."""
        return Location(self.filesystem, self.path + suffix, self.name + suffix, self.is_local)

    def contains(self, other: Location) -> bool:
        """Return whether another location is this one, or lies in it. Links of a local disk are resolved."""
        outer, inner = (
            os.path.realpath(location.path) if location.is_local else location.path for location in (self, other)
        )
        is_inside = f"{inner.rstrip('/')}/".startswith(f"{outer.rstrip('/')}/")
        return is_inside and bool(self.filesystem.equals(other.filesystem))

    @property
    def exists(self) -> bool:
        """Whether there is a file, a folder, or something else."""
        from pyarrow import fs

        return bool(self.info.type != fs.FileType.NotFound)

    @property
    def is_file(self) -> bool:
        """Whether it is a file."""
        return bool(self.info.is_file)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        from pyarrow import fs

        return bool(self.info.type == fs.FileType.Directory)

    @property
    def identity(self) -> str:
        """What identifies it, from any working directory."""
        return self.path if self.is_local else self.name

    @property
    def info(self) -> fs.FileInfo:
        """Its description."""
        with wrap_read_errors(self.name):
            return self.filesystem.get_file_info(self.path)

    def files(self, *, follow_links: bool = True) -> dict[str, fs.FileInfo]:
        """Return path -> description of all files in this folder, relative to it, sorted. A missing folder has none.

        `follow_links` says whether folders that are links are searched.
        """
        from pyarrow import fs

        with wrap_read_errors(self.name):
            if self.is_local:
                infos = self.filesystem.get_file_info(list(_local_files(self.path, follow_links=follow_links)))
            else:
                selector = fs.FileSelector(self.path, recursive=True, allow_not_found=True)
                infos = self.filesystem.get_file_info(selector)
        prefix = self.path.rstrip("/") + "/"
        return dict(sorted((info.path.removeprefix(prefix), info) for info in infos if info.is_file))

    def read(self) -> bytes:
        """Return the content of a file."""
        with wrap_read_errors(self.name), self.filesystem.open_input_stream(self.path, compression=None) as stream:
            return cast(bytes, stream.read())

    def write(self, content: bytes) -> None:
        """Write a file, completely or not at all. Raise `WriteError` on failure."""
        with self.writing():
            if self.is_local:
                Path(self.path).parent.mkdir(parents=True, exist_ok=True)
                atomic.write_file(Path(self.path), content)
                return
            with self.filesystem.open_output_stream(self.path, compression=None) as stream:
                stream.write(content)

    def delete(self) -> None:
        """Delete a file, or a folder with all that it contains, if it exists. Raise `WriteError` on failure."""
        with self.writing():
            if self.is_folder:
                self.filesystem.delete_dir(self.path)
            elif self.is_file:
                self.filesystem.delete_file(self.path)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Raise `WriteError` in place of an error while this location is written."""
        import pyarrow

        try:
            yield
        except (OSError, pyarrow.ArrowException) as error:
            reason = " ".join(str(error).split())
            raise WriteError(
                f"cannot write {self.name}: {reason}; check the path, its permissions and the free space",
                path=self.name,
                reason=reason,
            ) from error


@dataclass
class DataFile:
    """A file of a dataset. It is a `RemoteFile` for the readers of text files.

    Attributes:
        location: Where it is.
        relative: Its path relative to the folder of the dataset.
        size: Its size in bytes.
        modified: The time of its last change, in nanoseconds; None if it is not known.
        extension: Its format.
        partition: The values of its folders in Hive's layout: "year=2024/" is {"year": "2024"}.
    """

    location: Location
    relative: str
    size: int
    modified: int | None
    extension: str
    partition: Mapping[str, str | None]
    _stream: Any = field(default=None, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return PurePosixPath(self.relative).name

    def open_bytes(self) -> IO[bytes]:
        """Open it in binary mode, decompressed if its name ends in .gz."""
        self._stream = self.location.filesystem.open_input_file(self.location.path)
        stream = io.BufferedReader(self._stream)
        if self.name.lower().endswith(".gz"):
            return cast("IO[bytes]", _GzipFile(stream))
        return cast("IO[bytes]", stream)

    @property
    def fraction_read(self) -> float:
        """The fraction of its bytes read since it was opened last; 1.0 after it is closed."""
        if self._stream is None or self._stream.closed or not self.size:
            return 1.0
        return float(self._stream.tell()) / self.size


class _GzipFile(gzip.GzipFile):
    """A gzip file that closes the file that it reads."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(fileobj=stream, mode="rb")
        self._stream = stream

    def close(self) -> None:
        super().close()
        self._stream.close()


def locate(target: str | os.PathLike[str]) -> Location:
    """Return the location of a path, or of a URI such as s3://bucket/folder.

    Raises:
        MissingDependencyError: PyArrow is not installed.
        OptionError: The path is empty, or the scheme of the URI is unknown.
    """
    try:
        import pyarrow
        from pyarrow import fs
    except ImportError:
        raise MissingDependencyError("score", "pyarrow", "parquet") from None
    value: object = os.fspath(target) if isinstance(target, os.PathLike) else target
    if not isinstance(value, str):
        raise OptionError(
            f"a path is {type(target).__name__}; expected the path of a file or folder, or a URI",
            code="bad-location",
            location=type(target).__name__,
        )
    text = value
    if not text or "\0" in text or not is_unicode(text):
        raise OptionError(
            f"the path {text!r} is empty or contains invalid characters; expected a file or folder",
            code="bad-location",
            location=repr(text),
        )
    if match := _MALFORMED.match(text):
        raise OptionError(
            f"a URL begins with {match[1] or match[2]} but not with {match[1] or match[2]}://; correct it",
            code="bad-location",
            location=match[1] or match[2],
        )
    scheme, mark, rest = text.partition(":/")
    if "://" not in text:
        return Location(fs.LocalFileSystem(), os.path.abspath(text), text, True)  # noqa: PTH100 -- keeps links
    name = without_credentials(text).partition("?")[0]
    text = scheme.lower() + mark + rest
    try:
        filesystem, path = fs.FileSystem.from_uri(text)
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).replace(text, name).split())
        raise OptionError(
            f"cannot use {name}: {reason}; expected a path, or a URI such as s3://bucket/folder, gs://bucket/folder or "
            "postgresql://host/database",
            code="bad-location",
            location=name,
            reason=reason,
        ) from None
    return Location(filesystem, path, name, isinstance(filesystem, fs.LocalFileSystem))


def data_files(location: Location) -> list[DataFile]:
    """Return the files of a dataset, sorted by path: the file itself, or those of a folder at any depth.

    Names that begin with "." or "_" are skipped, as Spark and Hive do.

    Raises:
        DataError: There is no file, a file has an unknown format, or the formats differ.
    """
    if location.is_file:
        files = [_data_file(location, PurePosixPath(location.path).name, location.info)]
    elif location.is_folder:
        files = [
            _data_file(location.child(name), name, info)
            for name, info in location.files().items()
            if not _is_hidden(name)
        ]
    elif location.exists:
        raise DataError(
            f"{location.name} is a pipe or a device, which cannot be read twice; write its content to a file first",
            code="file-not-found",
            path=location.name,
        )
    else:
        raise DataError(
            f"no file or folder {location.name!r}; check the path (known formats: {FORMATS})",
            code="file-not-found",
            path=location.name,
        )
    files = [file for file in files if file.size or file.extension == ".parquet"] or files[
        :1
    ]  # empty files: no header
    if not files:
        raise DataError(
            f"{location.name} contains no files; expected {FORMATS}", code="empty-dataset", source=location.name
        )
    extensions = sorted({file.extension for file in files})
    if len(extensions) > 1:
        raise DataError(
            f"{location.name} contains files of several formats ({', '.join(extensions)}); pass a folder of one format",
            code="mixed-formats",
            source=location.name,
            formats=extensions,
        )
    columns = {tuple(file.partition) for file in files}
    if len(columns) > 1:
        raise DataError(
            f"the folders of {location.name} have different partition columns ({sorted(columns)}); expected the same",
            code="mixed-partitions",
            source=location.name,
        )
    return files


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in name.split("/"))


def _local_files(folder: str, *, follow_links: bool) -> Iterator[str]:
    """Yield the paths of all files in a local folder, without following links to a folder that contains them."""

    def fail(error: OSError) -> None:
        raise error

    if not os.path.isdir(folder):  # noqa: PTH112 -- as `os.walk`
        return
    for parent, folders, names in os.walk(folder, onerror=fail, followlinks=follow_links):
        for name in names:
            if not is_unicode(name):
                raise OSError(f"the name of a file is not valid UTF-8: {name!r}")
            yield f"{parent.rstrip('/')}/{name}"
        inside = os.path.realpath(parent) + "/"
        folders[:] = [name for name in folders if not inside.startswith(os.path.realpath(f"{parent}/{name}") + "/")]


def _data_file(location: Location, relative: str, info: fs.FileInfo) -> DataFile:
    extension = file_extension(Path(relative))
    if extension not in TABLE_EXTENSIONS:
        raise unknown_format(relative, FORMATS)
    partition = {}
    for folder in relative.split("/")[:-1]:
        column, mark, value = folder.partition("=")
        if mark and column:
            partition[unquote(column)] = None if value == NULL_PARTITION else unquote(value)
    return DataFile(location, relative, info.size or 0, info.mtime_ns, extension, partition)
