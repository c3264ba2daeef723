"""Read texts without labels from files and folders of any supported format."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from fastlstm.data.readers.files import (
    FASTTEXT_EXTENSIONS,
    TEXT_FILE_EXTENSIONS,
    display_name,
    file_extension,
    no_text_files,
    open_text,
    require_path,
    unknown_format,
    wrap_read_errors,
)
from fastlstm.data.readers.tables import TABLE_READERS, row_unit
from fastlstm.data.validation import LabelledRows, check_text, excerpt, row_error
from fastlstm.errors import DataError

FORMATS = (
    ".txt (one text per line), .csv, .tsv, .jsonl, .ndjson, each also with .gz, .parquet, or a folder of .txt files"
)
MAX_SOURCES_SHOWN = 3

_LABELS = re.compile(r"\s*(?:__label__\S*\s*)*")


@dataclass(frozen=True)
class UnlabelledTexts:
    """Texts without labels. `source` is where they come from, in one line."""

    texts: list[str] = field(repr=False)
    source: str = "texts"

    def __len__(self) -> int:
        return len(self.texts)


def read_texts(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], *, text_column: str = "text"
) -> UnlabelledTexts:
    """Read the texts of one or several files and folders, in order. Blank texts are skipped.

    Args:
        paths: Each is a text file with one text per line (fastText labels are dropped), a CSV or TSV file with a
            header, or a JSON Lines file, all possibly gzipped; a Parquet file; or a folder whose .txt files, at any
            depth, contain one text each. Hidden files are ignored.
        text_column: The column of tables. A number in it is an error; a line or file may be a number.

    Raises:
        DataError: There are no paths or no texts, a path does not exist or cannot be read, or a row is invalid.
        MissingDependencyError: It is a Parquet file and pyarrow is not installed.
    """
    path_list = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not path_list:
        raise DataError(f"no paths; pass one or more files or folders ({FORMATS})", code="no-paths")
    parts = [_read_path(Path(path), text_column) for path in path_list]
    return UnlabelledTexts(
        [text for part in parts for text in part.texts], join_sources([part.source for part in parts])
    )


def join_sources(sources: Sequence[str]) -> str:
    """Return several sources as one line. It names at most three."""
    if len(sources) <= MAX_SOURCES_SHOWN:
        return ", ".join(sources)
    return f"{', '.join(sources[: MAX_SOURCES_SHOWN - 1])} and {len(sources) - MAX_SOURCES_SHOWN + 1} more"


def check_unlabelled_texts(texts: Iterable[object], source: str) -> UnlabelledTexts:
    """Validate texts in memory as the rows of a file are validated. Blank texts are dropped.

    Raises:
        DataError: There are no texts, or one is not a string.
    """
    rows: LabelledRows = ((number, text, None) for number, text in enumerate(texts, start=1))
    return _collect(rows, source, "text")


def _read_path(path: Path, text_column: str) -> UnlabelledTexts:
    source = display_name(path)
    with wrap_read_errors(source):
        require_path(path, FORMATS)
        if path.is_dir():
            return _collect(_folder_rows(path, source), source, "file")
        extension = file_extension(path)
        if extension in TABLE_READERS:
            rows = TABLE_READERS[extension](path, source, text_column, None)
            return _collect(rows, source, row_unit(extension), has_columns=True)
        if extension in FASTTEXT_EXTENSIONS:
            return _collect(_line_rows(path), source, "line")
    raise unknown_format(source, FORMATS)


def _line_rows(path: Path) -> LabelledRows:
    with open_text(path, newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            match = _LABELS.match(line)
            assert match is not None, "the pattern matches the empty string"
            yield number, line[match.end() :].strip(), None


def _folder_rows(folder: Path, source: str) -> LabelledRows:
    is_empty = True
    for file in sorted(folder.rglob("*")):
        parts = file.relative_to(folder).parts
        if not file.name.lower().endswith(TEXT_FILE_EXTENSIONS) or any(part.startswith(".") for part in parts):
            continue
        if file.is_dir():
            continue
        is_empty = False
        location = excerpt("/".join(parts))
        with wrap_read_errors(f"file {location} of {source}"), open_text(file, newline="") as lines:
            text = lines.read()
        yield location, text, None
    if is_empty:
        raise no_text_files(source)


def _collect(rows: LabelledRows, source: str, unit: str, *, has_columns: bool = False) -> UnlabelledTexts:
    hint = "; pass --text-column to choose another column" if has_columns else ""
    texts: list[str] = []
    with closing(rows):
        for location, text, _ in rows:
            if isinstance(text, str) and not text.strip():
                continue
            try:
                texts.append(check_text(text, hint, allow_numbers=not has_columns))
            except DataError as error:
                raise row_error(error, source, location, unit) from None
    if not texts:
        raise DataError(f"{source} is empty; expected one or more texts", code="empty-dataset", source=source)
    return UnlabelledTexts(texts, source)
