"""Files and folders on local disks and in object stores, through the filesystems of PyArrow."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from fastlstm.data.readers.files import file_extension, unknown_format, wrap_read_errors
from fastlstm.errors import DataError, MissingDependencyError, OptionError, WriteError
from fastlstm.serialization import atomic

if TYPE_CHECKING:
    from pyarrow import fs

TABLE_EXTENSIONS = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson")
FORMATS = ".parquet, .csv, .tsv, .jsonl or .ndjson, the text formats also with .gz"
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
"""The folder name of a missing value in Hive's layout."""


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

    @property
    def is_file(self) -> bool:
        """Whether it is a file."""
        return bool(self._info.is_file)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        from pyarrow import fs

        return bool(self._info.type == fs.FileType.Directory)

    @property
    def _info(self) -> fs.FileInfo:
        with wrap_read_errors(self.name):
            return self.filesystem.get_file_info(self.path)

    def files(self) -> Sequence[str]:
        """Return the paths of all files in this folder, relative to it, sorted. A missing folder has none."""
        from pyarrow import fs

        with wrap_read_errors(self.name):
            infos = self.filesystem.get_file_info(fs.FileSelector(self.path, recursive=True, allow_not_found=True))
        prefix = self.path.rstrip("/") + "/"
        return sorted(info.path.removeprefix(prefix) for info in infos if info.is_file)

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
        import pyarrow

        stream = self._stream = self.location.filesystem.open_input_file(self.location.path)
        if self.name.lower().endswith(".gz"):
            stream = pyarrow.CompressedInputStream(stream, "gzip")
        return cast("IO[bytes]", io.BufferedReader(stream))

    @property
    def fraction_read(self) -> float:
        """The fraction of its bytes read since it was opened last; 1.0 after it is closed."""
        if self._stream is None or self._stream.closed or not self.size:
            return 1.0
        return float(self._stream.tell()) / self.size


def locate(target: str | os.PathLike[str]) -> Location:
    """Return the location of a path, or of a URI such as s3://bucket/folder.

    Raises:
        MissingDependencyError: PyArrow is not installed.
        OptionError: The scheme of the URI is unknown.
    """
    try:
        import pyarrow
        from pyarrow import fs
    except ImportError:
        raise MissingDependencyError("score", "pyarrow", "parquet") from None
    text = os.fspath(target)
    if "://" not in text:
        return Location(fs.LocalFileSystem(), os.path.abspath(text), text, True)  # noqa: PTH100 -- keeps links
    name = without_credentials(text).partition("?")[0]
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


def without_credentials(text: str) -> str:
    """Return a URI, or a text that contains one, without user name and password, which may contain "/" and "@"."""
    scheme, mark, rest = text.partition("://")
    credentials, at, host = rest.rpartition("@")
    first = credentials.partition("/")[0]
    return f"{scheme}{mark}{host}" if at and (first == credentials or ":" in first) else text


def data_files(location: Location) -> list[DataFile]:
    """Return the files of a dataset, sorted by path: the file itself, or those of a folder at any depth.

    Names that begin with "." or "_" are skipped, as Spark and Hive do.

    Raises:
        DataError: There is no file, a file has an unknown format, or the formats differ.
    """
    if location.is_file:
        names, base = [""], location
    elif location.is_folder:
        names, base = [name for name in location.files() if not _is_hidden(name)], location
    else:
        raise DataError(
            f"no file or folder {location.name!r}; check the path (known formats: {FORMATS})",
            code="file-not-found",
            path=location.name,
        )
    files = [
        _data_file(base.child(name) if name else base, name or PurePosixPath(base.path).name) for name in names
    ]
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


def _data_file(location: Location, relative: str) -> DataFile:
    extension = file_extension(Path(relative))
    if extension not in TABLE_EXTENSIONS:
        raise unknown_format(relative, FORMATS)
    partition = {}
    for folder in relative.split("/")[:-1]:
        column, mark, value = folder.partition("=")
        if mark and column:
            partition[unquote(column)] = None if value == NULL_PARTITION else unquote(value)
    info = location.filesystem.get_file_info(location.path)
    return DataFile(location, relative, info.size or 0, info.mtime_ns, extension, partition)
