"""Text files and folders of text files: opening them, and the rows of fastText files and class folders."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from fastlstm.data.validation import LabelledRows, excerpt
from fastlstm.errors import DataError

FASTTEXT_EXTENSIONS = (".txt", ".train", ".valid", ".test")
TEXT_FILE_EXTENSIONS = (".txt", ".txt.gz")

_LINE = re.compile(r"\s*__label__(?P<label>\S*)(?P<text>.*)", re.DOTALL)
_LABEL = re.compile(r"(?<!\S)__label__")


def display_name(path: Path) -> str:
    """Return the last part of `path` for use in messages."""
    name = path.name or path.resolve().name or str(path)
    return name if name.isprintable() else repr(name)


def file_extension(path: Path) -> str:
    """Return the lower-case extension that identifies the format, without .gz. Parquet files are never gzipped."""
    name = path.name.lower()
    extension = Path(name.removesuffix(".gz")).suffix
    return extension if extension != ".parquet" or name.endswith(extension) else ".parquet.gz"


def open_text(path: Path, newline: str) -> TextIO:
    """Open a text file, decompressed if its name ends in .gz. A byte order mark is dropped.

    Bytes that are not UTF-8 become lone surrogates, which `validation.is_unicode` detects.
    """
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=newline)
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline=newline)


@contextmanager
def wrap_read_errors(source: str) -> Iterator[None]:
    """Raise `DataError` in place of an operating system or gzip error while `source` is read."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{source} is not a valid gzip file ({error}); compress it again, or remove .gz from its name",
            code="bad-gzip-file",
            source=source,
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(
            f"cannot read {source}: {reason}; check the file and its permissions",
            code="unreadable-file",
            source=source,
            reason=reason,
        ) from error


def require_path(path: Path, formats: str) -> None:
    """Raise `DataError` unless the path exists. `formats` lists the known formats in the message."""
    if not path.exists():
        raise DataError(
            f"no file or folder {str(path)!r}; check the path (known formats: {formats})",
            code="file-not-found",
            path=path,
        )


def unknown_format(source: str, formats: str) -> DataError:
    """Return the error for a file with an unknown extension. `formats` lists the known formats in the message."""
    return DataError(
        f"unknown format of {source}; expected {formats}; rename or convert it",
        code="unknown-format",
        source=source,
    )


def fasttext_rows(path: Path, source: str) -> LabelledRows:
    """Yield one row per line, located by line number. Blank lines are skipped.

    Raises:
        DataError: A line does not begin with a label, or has several. (fastText itself accepts several labels.)
    """
    with open_text(path, newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            match = _LINE.fullmatch(line)
            if match is None:
                raise DataError(
                    f"line {number} of {source}: no __label__ at the beginning; expected '__label__name text'",
                    code="missing-label",
                    source=source,
                    location=number,
                )
            text = match["text"].strip()
            if _LABEL.search(text):
                raise DataError(
                    f"line {number} of {source}: more than one __label__; expected one label per text",
                    code="several-labels",
                    source=source,
                    location=number,
                )
            yield number, text, match["label"]


def folder_rows(folder: Path, source: str, class_folders: Sequence[str] | None = None) -> LabelledRows:
    """Yield the .txt and .txt.gz files of each class folder, sorted by name. The folder's name is the label.

    Hidden files and files outside the class folders are ignored.

    Args:
        folder: The folder that contains one folder per class.
        source: The name of `folder` in messages.
        class_folders: The names of the class folders. None: all folders.

    Raises:
        DataError: A class folder is missing, has no text file or contains folders.
    """
    with wrap_read_errors(source):
        names = class_folders or sorted(entry.name for entry in visible_entries(folder) if entry.is_dir())
    if not names:
        raise DataError(
            f"{source} contains no folders; expected one folder per class with .txt files",
            code="no-class-folders",
            source=source,
        )
    for name in names:
        class_folder = f"folder {excerpt(name)} of {source}"
        with wrap_read_errors(class_folder):
            files = _class_files(folder / name, class_folder)
        for file in files:
            location = excerpt(f"{name}/{file.name}")
            with wrap_read_errors(f"file {location} of {source}"), open_text(file, newline="") as lines:
                text = lines.read()
            yield location, text, name


def visible_entries(folder: Path) -> list[Path]:
    """Return the files and folders in `folder` that are not hidden."""
    return [entry for entry in folder.iterdir() if not entry.name.startswith(".")]


def no_text_files(source: str) -> DataError:
    """Return the error for a folder without text files."""
    return DataError(
        f"{source} contains no .txt file; expected one file per text", code="no-text-files", source=source
    )


def _class_files(folder: Path, source: str) -> list[Path]:
    entries = visible_entries(folder)
    nested = sorted(entry.name for entry in entries if entry.is_dir())
    if nested:
        raise DataError(
            f"{source} contains a folder ({excerpt(nested[0])}); expected .txt files; "
            "pass the folder that contains the class folders",
            code="nested-folders",
            source=source,
            folder=nested[0],
        )
    files = [entry for entry in entries if entry.name.lower().endswith(TEXT_FILE_EXTENSIONS)]
    if not files:
        raise no_text_files(source)
    return sorted(files, key=lambda file: file.name)
