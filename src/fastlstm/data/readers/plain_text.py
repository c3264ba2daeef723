"""Read texts without labels from files and folders of any supported format."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fastlstm.data.dataset import column_values
from fastlstm.data.options import BadRow, ReadOptions
from fastlstm.data.readers.databases import database_name, database_reader, is_database
from fastlstm.data.readers.encodings import open_text, with_proposals
from fastlstm.data.readers.files import (
    FASTTEXT_EXTENSIONS,
    TEXT_FILE_EXTENSIONS,
    display_name,
    file_extension,
    no_text_files,
    require_path,
    unknown_format,
    wrap_read_errors,
)
from fastlstm.data.readers.tables import TABLE_READERS, row_unit
from fastlstm.data.validation import RowCollector, Rows, excerpt
from fastlstm.errors import DataError
from fastlstm.notes import Note

FORMATS = (
    ".txt (one text per line), .csv, .tsv, .jsonl, .ndjson, each also with .gz, .parquet, or a folder of .txt files"
)
MAX_SOURCES_SHOWN = 3

_LABELS = re.compile(r"\s*(?:__label__\S*\s*)*")


@dataclass(frozen=True)
class UnlabelledTexts:
    """Texts without labels.

    Attributes:
        texts: The texts.
        source: Where they come from, in one line.
        notes: Notes about how they were read.
    """

    texts: list[str] = field(repr=False)
    source: str = "texts"
    notes: tuple[Note, ...] = field(default=(), repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.texts)


def read_texts(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], options: ReadOptions | None = None
) -> UnlabelledTexts:
    """Read the texts of one or several files and folders, in order. Blank texts are skipped.

    Args:
        paths: Each is a text file with one text per line (fastText labels are dropped), a CSV or TSV file with a
            header, or a JSON Lines file, all possibly gzipped; a Parquet file; a folder whose .txt files, at any depth,
            contain one text each, without hidden files; or the URL of a table or query of a database.
        options: How the texts are read. Rows that cannot be used are skipped and noted.

    Raises:
        DataError: There are no paths or no texts, a path does not exist or cannot be read, or a row is invalid.
        MissingDependencyError: It is a Parquet file and pyarrow is not installed.
    """
    path_list = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not path_list:
        raise DataError(f"no paths; pass one or more files or folders ({FORMATS})", code="no-paths")
    options = options or ReadOptions()
    parts = [_read_path(path, options) for path in path_list]
    return UnlabelledTexts(
        [text for part in parts for text in part.texts],
        join_sources([part.source for part in parts]),
        tuple(note for part in parts for note in part.notes),
    )


def join_sources(sources: Sequence[str]) -> str:
    """Return several sources as one line. It names at most three."""
    if len(sources) <= MAX_SOURCES_SHOWN:
        return ", ".join(sources)
    return f"{', '.join(sources[: MAX_SOURCES_SHOWN - 1])} and {len(sources) - MAX_SOURCES_SHOWN + 1} more"


def check_unlabelled_texts(texts: Iterable[object], source: str) -> UnlabelledTexts:
    """Validate texts in memory as the rows of a file are validated. Blank texts are dropped.

    Raises:
        DataError: There are no texts, one is not a string, or they are not in an order, as in a set.
    """
    return _collect(
        _memory_rows(column_values(texts, "unlabelled texts")), source, "text", ReadOptions(on_bad_rows="stop")
    )


def _memory_rows(texts: Iterable[object]) -> Rows:
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str | None):
            reason = f"the text is {type(text).__name__}; expected str"
            yield BadRow("texts", number, "not-a-text", reason)
        else:
            yield number, text, None
    return ()


def _read_path(path: str | os.PathLike[str], options: ReadOptions) -> UnlabelledTexts:
    if is_database(path):
        source = database_name(path)
        rows = database_reader(path)(os.fspath(path), source, options, labelled=False)
        return _collect(rows, source, "row", options, has_columns=True)
    path = Path(path)
    source = display_name(path)
    with wrap_read_errors(source):
        require_path(path, FORMATS)
        if path.is_dir():
            return _collect(_folder_rows(path, source, options.encoding), source, "file", options)
        extension = file_extension(path)
        try:
            if extension in TABLE_READERS:
                rows = TABLE_READERS[extension](path, source, options, labelled=False)
                return _collect(rows, source, row_unit(extension), options, has_columns=True)
            if extension in FASTTEXT_EXTENSIONS:
                return _collect(_line_rows(path, options.encoding), source, "line", options)
        except DataError as error:
            if error.code != "not-utf8" or options.encoding is not None or extension == ".parquet":
                raise
            raise with_proposals(error, path) from None
    raise unknown_format(source, FORMATS)


def _line_rows(path: Path, encoding: str | None) -> Rows:
    with open_text(path, None, encoding) as lines:
        for number, line in enumerate(lines, start=1):
            line = line.lstrip("\ufeff")
            match = _LABELS.match(line)
            assert match is not None, "the pattern matches the empty string"
            yield number, line[match.end() :].strip(), None
    return ()


def _folder_rows(folder: Path, source: str, encoding: str | None) -> Rows:
    is_empty = True
    for file in sorted(folder.rglob("*")):
        parts = file.relative_to(folder).parts
        if not file.name.lower().endswith(TEXT_FILE_EXTENSIONS) or any(part.startswith(".") for part in parts):
            continue
        if file.is_dir():
            continue
        is_empty = False
        location = excerpt("/".join(parts))
        with wrap_read_errors(f"file {location} of {source}"), open_text(file, "", encoding) as lines:
            text = lines.read()
        yield location, text, None
    if is_empty:
        raise no_text_files(source)
    return ()


def _collect(
    rows: Rows, source: str, unit: str, options: ReadOptions, *, has_columns: bool = False
) -> UnlabelledTexts:
    collector = RowCollector(source, unit, options, labelled=False, has_columns=has_columns)
    collector.collect(rows)
    return UnlabelledTexts(collector.texts, source, collector.all_notes())
