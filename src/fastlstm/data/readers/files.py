"""Opening text files, and rows of fastText files and class folders."""

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


def open_text(path: Path, newline: str) -> TextIO:
    """The file's text, decompressed where its name ends in .gz; a byte order mark is dropped.

    Bytes that are not UTF-8 become lone surrogates, which `checks.is_unicode` finds.
    """
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=newline)
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline=newline)


@contextmanager
def read_errors(what: str) -> Iterator[None]:
    """Turns what goes wrong while `what` is read, by the system or in a .gz, into `DataError`."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{what} is not an intact gzip file ({error}); compress it again, or drop the ending .gz"
        ) from error
    except OSError as error:
        raise DataError(f"{what} can't be read: {error.strerror or error}; expected a readable file") from error


_LINE = re.compile(r"\s*__label__(?P<label>\S*)(?P<text>.*)", re.DOTALL)
_LABEL = re.compile(r"(?<!\S)__label__")


def fasttext_rows(path: Path, source: str) -> LabelledRows:
    """One row a line, numbered by line; blank lines are skipped.

    Raises `DataError`, with the line's number, unless a line has exactly one label, at its
    beginning. fastText itself takes several; a classifier of one class a text can't.
    """
    with open_text(path, newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            match = _LINE.fullmatch(line)
            if match is None:
                raise DataError(
                    f"line {number} of {source}: no __label__ at its beginning; expected '__label__name text'"
                )
            text = match["text"].strip()
            if _LABEL.search(text):
                raise DataError(
                    f"line {number} of {source}: more than one __label__ came, expected one; "
                    "several labels a text are not supported"
                )
            yield number, text, match["label"]


def folder_rows(folder: Path, source: str, class_folders: Sequence[str] | None = None) -> LabelledRows:
    """The texts of the .txt and .txt.gz files, class after class, each in the order of its name.

    A sub-folder's name is its texts' label. `class_folders` names the sub-folders to read;
    without it, all are read. Names that begin with a dot are passed over, and so are files
    beside the sub-folders. Raises `DataError` where a sub-folder is not there, holds no text
    file, or has sub-folders of its own.
    """
    with read_errors(source):
        names = class_folders or sorted(entry.name for entry in _visible(folder) if entry.is_dir())
    if not names:
        raise DataError(f"{source} has no sub-folder; expected one sub-folder a class, holding .txt files")
    for name in names:
        with read_errors(f"folder {excerpt(name)} of {source}"):
            files = _text_files(folder / name, f"folder {excerpt(name)} of {source}")
        for file in files:
            place = excerpt(f"{name}/{file.name}")
            with read_errors(f"file {place} of {source}"), open_text(file, newline="") as text:
                content = text.read()
            yield place, content, name


def _text_files(folder: Path, what: str) -> list[Path]:
    entries = _visible(folder)
    nested = sorted(entry.name for entry in entries if entry.is_dir())
    if nested:
        raise DataError(
            f"{what} has a sub-folder of its own ({excerpt(nested[0])}); expected .txt files; "
            "pass the folder whose sub-folders are the classes"
        )
    files = [entry for entry in entries if entry.name.lower().endswith((".txt", ".txt.gz"))]
    if not files:
        raise DataError(f"{what} holds no .txt file; expected one text file a text")
    return sorted(files, key=lambda file: file.name)


def _visible(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
