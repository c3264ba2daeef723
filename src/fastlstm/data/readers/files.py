"""Text files and folders of text files: their names, and the rows of fastText files and class folders."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fastlstm.data.options import BadRow
from fastlstm.data.readers.encodings import SAVE_AS_CSV, open_text
from fastlstm.data.validation import Rows, excerpt
from fastlstm.errors import DataError

FASTTEXT_EXTENSIONS = (".txt", ".train", ".valid", ".test")
TEXT_FILE_EXTENSIONS = (".txt", ".txt.gz")

_LINE = re.compile(r"\s*__label__(?P<label>\S*)(?P<text>.*)", re.DOTALL)
LABEL_PREFIX = "__label__"
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
    except UnicodeError as error:  # not always a UnicodeDecodeError: UTF-16 without a byte order mark
        reason = f"{error.encoding}, near byte {error.start:,}" if isinstance(error, UnicodeDecodeError) else error
        raise DataError(
            f"{source} is not valid in its encoding ({reason}); pass another `encoding`",
            code="bad-encoding",
            source=source,
            reason=str(reason),
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
    remedy = SAVE_AS_CSV if source.lower().endswith((".xlsx", ".xls", ".ods")) else "rename or convert it"
    return DataError(
        f"unknown format of {source}; expected {formats}; {remedy}",
        code="unknown-format",
        source=source,
    )


def fasttext_rows(path: Path, source: str, encoding: str | None = None) -> Rows:
    """Yield one row per line, located by line number. Blank lines are skipped.

    A line that does not begin with a label, or has several, is a bad row. (fastText itself accepts several labels.)
    """
    with open_text(path, None, encoding) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            match = _LINE.fullmatch(line.lstrip("\ufeff"))
            if match is None:
                reason = "no __label__ at the beginning; expected '__label__name text'"
                yield BadRow(source, number, "missing-label", reason, excerpt(line))
            elif _LABEL.search(match["text"]) or "," + LABEL_PREFIX in match["label"]:
                reason = "more than one __label__; expected one label per text"
                yield BadRow(source, number, "several-labels", reason, excerpt(line))
            else:
                yield number, match["text"].strip(), match["label"]
    return ()


def folder_rows(
    folder: Path, source: str, class_folders: Sequence[str] | None = None, *, encoding: str | None = None
) -> Rows:
    """Yield the .txt and .txt.gz files of each class folder, sorted by name. The folder's name is the label.

    Hidden files and files outside the class folders are ignored.

    Args:
        folder: The folder that contains one folder per class.
        source: The name of `folder` in messages.
        class_folders: The names of the class folders. None: all folders.
        encoding: The encoding of the files. None: UTF-8, or that of their byte order mark.

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
            with wrap_read_errors(f"file {location} of {source}"), open_text(file, "", encoding) as lines:
                text = lines.read()
            yield location, text, name
    return ()


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
