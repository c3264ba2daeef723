"""The file of rejected rows: a CSV file that continues exactly where a resumed run does."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from fastlstm.data.options import BAD_ROW_COLUMNS, BadRow, BadRowFile, bad_rows_csv
from fastlstm.errors import OptionError, ResumeError, WriteError


class RejectsFile:
    """Rows that cannot be used, in the format of `BadRowFile`.

    Args:
        path: The file. It is created, but not changed before `start`.

    Raises:
        OptionError: The file exists and is not a list of bad rows.
        WriteError: The file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self.size = 0
        """The size in bytes."""
        if self._path.exists() and not self._path.is_file():
            raise OptionError(
                f"{self._path} is not a file; pass a file as `bad_rows`",
                code="bad-option-value",
                option="bad_rows",
                value=self._path,
            )
        BadRowFile(path).check()
        try:
            self._path.open("ab").close()
        except OSError as error:
            raise self._error(error) from error

    def start(self, size: int) -> None:
        """Drop what follows a size in bytes, that of the checkpoint of a resumed run; 0 for a new run.

        Raises:
            ResumeError: The file is shorter than `size`.
            WriteError: The file cannot be written.
        """
        self.size = size
        if size and self._path.stat().st_size < size:
            raise ResumeError(
                f"{self._path} is not the list of bad rows of the run to resume: it is missing or too short; pass that "
                "file as `bad_rows`, or start again with `overwrite`",
                code="bad-rows-file-changed",
                path=self._path,
            )
        try:
            with self._path.open("ab") as file:
                file.truncate(size)
            if size == 0:
                self._append([BAD_ROW_COLUMNS])
        except OSError as error:
            raise self._error(error) from error

    def write(self, rows: Sequence[BadRow]) -> None:
        """Append rows and sync them to the disk. Raise `WriteError` on failure."""
        try:
            self._append([dataclasses.astuple(row) for row in rows])
        except OSError as error:
            raise self._error(error) from error

    def _append(self, rows: Sequence[Sequence[object]]) -> None:
        content = bad_rows_csv(rows)
        with self._path.open("ab") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self.size += len(content)

    def _error(self, error: OSError) -> WriteError:
        return WriteError(
            f"cannot write {self._path}: {error.strerror}; pass another file as `bad_rows`",
            code="write-failed",
            path=self._path,
        )
