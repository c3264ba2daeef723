"""Rows of a folder that has one sub-folder a class, with one text file a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fastlstm.errors import DataError
from fastlstm.records.checks import Rows, shown
from fastlstm.records.files import open_text, readable


def folder_rows(folder: Path, source: str, class_folders: Sequence[str] | None = None) -> Rows:
    """The texts of the .txt and .txt.gz files, class after class, each in the order of its name.

    A sub-folder's name is its texts' label. `class_folders` names the sub-folders to read;
    without it, all are read. Names that begin with a dot are passed over, and so are files
    beside the sub-folders. Raises `DataError` where a sub-folder is not there, holds no text
    file, or has sub-folders of its own.
    """
    with readable(source):
        names = class_folders or sorted(entry.name for entry in _visible(folder) if entry.is_dir())
    if not names:
        raise DataError(f"{source} has no sub-folder; expected one sub-folder a class, holding .txt files")
    for name in names:
        with readable(f"folder {shown(name)} of {source}"):
            files = _text_files(folder / name, f"folder {shown(name)} of {source}")
        for file in files:
            place = shown(f"{name}/{file.name}")
            with readable(f"file {place} of {source}"), open_text(file, newline="") as text:
                content = text.read()
            yield place, content, name


def _text_files(folder: Path, what: str) -> list[Path]:
    entries = _visible(folder)
    nested = sorted(entry.name for entry in entries if entry.is_dir())
    if nested:
        raise DataError(
            f"{what} has a sub-folder of its own ({shown(nested[0])}); expected .txt files; "
            "pass the folder whose sub-folders are the classes"
        )
    files = [entry for entry in entries if entry.name.lower().endswith((".txt", ".txt.gz"))]
    if not files:
        raise DataError(f"{what} holds no .txt file; expected one text file a text")
    return sorted(files, key=lambda file: file.name)


def _visible(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
