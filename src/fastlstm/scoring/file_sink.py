"""Rows as files: a folder of part files, or one file that is made of them at the end."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastlstm.data.options import BadRow
from fastlstm.data.readers.files import file_extension
from fastlstm.errors import OptionError, ResumeError, WriteError
from fastlstm.scoring.encode import COMPRESSION, OUTPUT_FORMATS, check_types, encode
from fastlstm.scoring.interfaces import Checkpoint
from fastlstm.scoring.json_values import python_rows
from fastlstm.scoring.locations import FORMATS, NULL_PARTITION, Location
from fastlstm.serialization import atomic

if TYPE_CHECKING:
    import pyarrow

CHECKPOINT_FILE = "_fastlstm_checkpoint.json"
"""The state of a run, in the folder of its part files. Readers of datasets skip names that begin with "_"."""
INCOMPLETE = ".incomplete"
"""Suffix of the folder with the part files of a single file."""
FORMAT_VERSION = 1
OTHER_FORMATS = (
    *(".avro", ".arrow", ".feather", ".json", ".orc", ".ods", ".txt", ".xls", ".xlsx", ".xml", ".parquet.gz"),
    *(".7z", ".bz2", ".lz4", ".snappy", ".tar", ".tgz", ".xz", ".zip", ".zst"),
)
"""Extensions of files that are not written. Other names without a known extension are folders."""

COMBINED_FILE = ".part-all"
"""The single file until it is complete, in the folder of its parts."""

_PART = re.compile(r"part-(\d{8,})\.(parquet|csv|tsv|jsonl)(\.gz)?")
_TEMPORARY = re.compile(
    rf"\.({_PART.pattern}|{re.escape(CHECKPOINT_FILE)})\.[0-9a-f]{{16}}|{re.escape(COMBINED_FILE)}"
)
"""The names of files that an interrupted write leaves."""


class FileSink:
    """A file, or a folder of files.

    Part files are numbered, and the checkpoint contains the number of those that count. Both are written to a temporary
    file and renamed, or uploaded at once.

    Args:
        location: A file, if its name ends in the extension of a format; otherwise a folder.
        file_format: The format of the files of a folder. None: Parquet.
        partition_by: Columns whose values become folders, in Hive's layout. Only for a folder.
        overwrite: Whether to replace the result of an earlier run.

    Raises:
        OptionError: The format is unknown, or does not fit the name or the partition columns.
    """

    def __init__(
        self,
        location: Location,
        *,
        file_format: str | None = None,
        partition_by: Sequence[str] = (),
        overwrite: bool = False,
    ) -> None:
        self.name = location.name
        is_folder = location.is_folder
        if not is_folder and not location.is_file and location.exists:
            raise OptionError(
                f"{location.name} is a pipe or a device; expected a file or folder",
                code="bad-location",
                location=location.name,
            )
        if location.is_local:  # files that replace others replace the target of a link
            location = dataclasses.replace(location, path=os.path.realpath(location.path))
        self._location, self._overwrite, self._partition_by = location, overwrite, tuple(partition_by)
        extension = file_extension(Path(location.path))
        own_format = {".ndjson": "jsonl"}.get(extension, extension.removeprefix("."))
        self._is_single = own_format in OUTPUT_FORMATS and not is_folder
        if self._is_single and (partition_by or file_format not in (None, own_format)):
            option, value = ("partition_by", partition_by) if partition_by else ("format", file_format)
            raise OptionError(
                f"{location.name} is one {own_format} file, but `{option}` is {value!r}; pass a folder as the sink",
                code="conflicting-options",
                options=("sink", option),
            )
        if not self._is_single and not is_folder and extension in OTHER_FORMATS:
            raise OptionError(
                f"unknown format of {location.name}; expected {FORMATS}, or a folder",
                code="unknown-format",
                source=location.name,
            )
        self._format = own_format if self._is_single else file_format or "parquet"
        self._compress = self._is_single and location.path.lower().endswith(".gz")
        self._folder = location.sibling(INCOMPLETE) if self._is_single else location
        self._parts = self._files = 0
        """Committed writes, and the files that they made: one for each partition."""
        self._written = self._new_files = 0
        """The same since the last commit."""
        self._is_combined = False
        """Whether the single file is complete, and only its parts remain to be deleted."""
        self._run: Checkpoint = {}
        self._lock: int | None = None

    def start(self, schema: pyarrow.Schema, *, resume: bool) -> Checkpoint | None:
        """See `Sink.start`."""
        for column in self._partition_by:
            problem = _partition_problem(column, schema)
            if problem is not None:
                raise OptionError(
                    f"`partition_by` contains {column!r}, {problem}",
                    code="bad-option-value",
                    option="partition_by",
                    value=column,
                )
        if len(self._partition_by) == len(schema.names):
            raise OptionError(
                "`partition_by` contains all columns of the result; leave one for the files",
                code="bad-option-value",
                option="partition_by",
                value=self._partition_by,
            )
        check_types(schema, self._format)
        if not resume:
            self._require_free()
        self._take_lock(create=not resume)
        saved = self._read_checkpoint()
        if resume:
            if saved is None:
                complete = self._is_single and self._location.is_file
                state = f"{self.name} is complete" if complete else f"{self.name} has no checkpoint"
                raise ResumeError(
                    f"{state}; there is no run to resume: run again without `resume`",
                    code="no-checkpoint",
                    path=self.name,
                )
            self._parts, self._files, self._is_combined = saved["parts"], saved["files"], saved["combined"]
            self._overwrite = saved["overwrite"]
            self._require_no_other_file()
            self._delete_parts(self._parts)
            self._require_parts()
            self._run = saved["run"]
            return self._run
        self._require_free()  # another run may have written since
        self._delete_parts(0)  # the first commit replaces the checkpoint
        return None

    def _require_no_other_file(self) -> None:
        """Raise `OptionError` if a file has appeared in the place of a single file, which it would replace."""
        if self._is_single and not self._overwrite and self._location.is_file:
            raise OptionError(
                f"{self.name} has appeared since the run began; rename it, or start again with `overwrite`",
                code="output-exists",
                path=self.name,
            )

    def _take_lock(self, *, create: bool) -> None:
        """Lock a folder of this machine for this process. Raise `OptionError` if another run writes there."""
        if not self._location.is_local or not (create or self._folder.is_folder):
            return
        with self._folder.writing():
            Path(self._folder.path).mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._folder.path, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OptionError(
                f"another run writes to {self.name}; wait for its end, or pass another sink",
                code="sink-in-use",
                path=self.name,
            ) from None
        except OSError:  # a network disk without locks
            pass

    def _require_parts(self) -> None:
        """Raise `ResumeError` unless the folder contains the part files that the checkpoint counts."""
        count = len(self._part_numbers(self._folder.files(follow_links=False)))
        if count != self._files:
            raise ResumeError(
                f"{self._folder.name} contains {count:,} part files; the run to resume had written {self._files:,}; "
                "restore them, or start again with `overwrite`",
                code="missing-part",
                path=self._folder.name,
            )

    def _require_free(self) -> None:
        """Raise `OptionError` if something is there that must not be replaced."""
        has_checkpoint = self._read_checkpoint() is not None
        names = self._folder.files(follow_links=False)
        temporary = self._temporary_files(names)
        files = [name for name in names if name not in temporary]
        own = {CHECKPOINT_FILE, *self._part_numbers(files)} if has_checkpoint else set()
        foreign = [name for name in files if name not in own]
        if self._folder.is_file or foreign:
            raise OptionError(
                f"{self._folder.name} exists and is not the result of `score`"
                + (f" (it contains {foreign[0]})" if foreign else "")
                + "; pass another sink",
                code="not-a-score-folder",
                path=self._folder.name,
            )
        in_the_way = bool(files) or (self._is_single and self._location.is_file)
        if in_the_way and not self._overwrite:
            remedy = (
                "pass `resume` to continue it, or `overwrite` to start again"
                if has_checkpoint
                else "pass `overwrite`"
            )
            raise OptionError(
                f"{self.name} exists{' and belongs to a run' if has_checkpoint else ''}; {remedy}",
                code="output-exists",
                path=self.name,
            )

    def write(self, table: pyarrow.Table) -> Sequence[BadRow]:
        """See `Sink.write`."""
        number = self._parts + self._written
        extension = f".{self._format}" + (".gz" if self._compress else "")
        for folders, rows in self._partitions(table):
            with self._location.writing():
                content = encode(
                    rows,
                    self._format,
                    header=not self._is_single or number == 0,
                    compress=self._compress,
                )
            self._folder.child(*folders, f"part-{number:08}{extension}").write(content)
            self._new_files += 1
        self._written += 1
        return ()

    def _partitions(self, table: pyarrow.Table) -> Iterator[tuple[Sequence[str], pyarrow.Table]]:
        """Yield the folder names and the rows of each partition."""
        if not self._partition_by:
            yield (), table
            return
        rows: dict[tuple[str, ...], list[int]] = {}
        names = [quote(name, safe="") for name in self._partition_by]
        for number, values in enumerate(
            row.values() for row in python_rows(table.select(list(self._partition_by)))
        ):
            folders = tuple(f"{name}={_folder_value(value)}" for name, value in zip(names, values, strict=True))
            rows.setdefault(folders, []).append(number)
        for folders, numbers in rows.items():
            yield folders, table.take(numbers).drop_columns(list(self._partition_by))

    def commit(self, checkpoint: Checkpoint) -> None:
        """See `Sink.commit`."""
        self._parts += self._written
        self._files += self._new_files
        self._written = self._new_files = 0
        self._run = checkpoint
        self._write_checkpoint()

    def _write_checkpoint(self) -> None:
        state = {
            "format_version": FORMAT_VERSION,
            "parts": self._parts,
            "files": self._files,
            "partition_by": self._partition_by,
            "overwrite": self._overwrite,
            "combined": self._is_combined,
            "run": self._run,
        }
        self._checkpoint_file.write(json.dumps(state, indent=2).encode())

    def finish(self) -> None:
        """Combine the part files of a single file."""
        if not self._is_single:
            return
        if not self._is_combined:
            self._require_no_other_file()
            self._overwrite = True  # from now on, a file there is that of this run
            self._write_checkpoint()
            self._combine()
            self._parts, self._files, self._is_combined = 0, 0, True
            self._write_checkpoint()
        self._delete_parts(0)
        self._checkpoint_file.delete()
        if self._location.is_local:
            with suppress(OSError):  # someone else has put a file there
                Path(self._folder.path).rmdir()

    def _combine(self) -> None:
        parts = [self._folder.child(name) for name in sorted(self._part_numbers(self._folder.files()))]
        target = self._folder.child(COMBINED_FILE) if self._location.is_local else self._location
        with self._location.writing():
            stream = target.filesystem.open_output_stream(target.path, compression=None)
        try:
            with self._location.writing(), stream:
                if self._format == "parquet":
                    _combine_parquet(parts, stream)
                else:
                    for part in parts:
                        stream.write(part.read())
        except BaseException:  # closing the stream has published a part of the file
            with suppress(WriteError):
                target.delete()
            raise
        if self._location.is_local:
            atomic.replace_file(Path(target.path), Path(self._location.path))

    def close(self) -> None:
        """Unlock the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def _checkpoint_file(self) -> Location:
        return self._folder.child(CHECKPOINT_FILE)

    def _read_checkpoint(self) -> dict[str, Any] | None:
        if not self._checkpoint_file.is_file:
            return None
        try:
            saved = json.loads(self._checkpoint_file.read())
            if saved["format_version"] == FORMAT_VERSION and isinstance(saved["run"], dict):
                return dict(saved)
        except (ValueError, KeyError, TypeError):
            pass
        raise ResumeError(
            f"{self._checkpoint_file.name} is damaged, or of another version of fastlstm; delete {self._folder.name} "
            "and start again",
            code="bad-checkpoint",
            path=self._checkpoint_file.name,
        )

    def _part_numbers(self, names: Iterable[str]) -> dict[str, int]:
        """Return path -> number of the part files among files, in the folders of partitions if there are any."""
        layouts = self._partition_layouts()
        return {
            name: int(match[1])
            for name in names
            if (match := _PART.fullmatch(PurePosixPath(name).name)) and _is_in_partition(name, layouts)
        }

    def _temporary_files(self, names: Iterable[str]) -> set[str]:
        """Return the paths of the temporary files that interrupted writes of this sink left."""
        layouts = [(), *self._partition_layouts()]
        return {
            name
            for name in names
            if _TEMPORARY.fullmatch(PurePosixPath(name).name) and _is_in_partition(name, layouts)
        }

    def _partition_layouts(self) -> Sequence[Sequence[str]]:
        """Return the partition columns of this run, and those of the checkpoint."""
        saved = self._read_checkpoint()
        return [self._partition_by, *([] if saved is None else [saved["partition_by"]])]

    def _delete_parts(self, first: int) -> None:
        """Delete the part files from a number on, and temporary files."""
        names = self._folder.files(follow_links=False)
        numbers, temporary = self._part_numbers(names), self._temporary_files(names)
        for name in names:
            if numbers.get(name, -1) >= first or name in temporary:
                self._folder.child(name).delete()


def _partition_problem(column: str, schema: pyarrow.Schema) -> str | None:
    """Return why a column cannot become folders; None if it can."""
    from pyarrow import types

    if column not in schema.names:
        return f"which is no column of the result ({', '.join(schema.names)})"
    kind = schema.field(column).type
    unsupported = (types.is_nested, types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    if any(is_kind(kind) for is_kind in unsupported):
        return f"which is {kind}; expected a column of single values"
    if column.startswith((".", "_")):
        return "but readers skip folders whose names begin with a dot or an underscore; pass another column"
    return None


def _is_in_partition(name: str, layouts: Iterable[Sequence[str]]) -> bool:
    """Return whether the folders of a path are those of a partition by the columns of one of the layouts."""
    folders = name.split("/")[:-1]
    return any(
        len(folders) == len(columns)
        and all(folder.startswith(f"{quote(c, safe='')}=") for folder, c in zip(folders, columns, strict=True))
        for columns in layouts
    )


def _folder_value(value: Any) -> str:
    is_missing = value is None or value != value  # NaN is not equal to itself
    return NULL_PARTITION if is_missing else quote(str(value), safe="")


def _combine_parquet(parts: Sequence[Location], stream: Any) -> None:
    """Write the rows of part files as row groups of one file."""
    from pyarrow import parquet

    writer = None
    for part in parts:
        with part.filesystem.open_input_file(part.path) as file:
            table = parquet.ParquetFile(file)
            if writer is None:
                writer = parquet.ParquetWriter(stream, table.schema_arrow, compression=COMPRESSION)
            for group in range(table.num_row_groups):
                writer.write_table(table.read_row_group(group))
    if writer is not None:
        writer.close()
