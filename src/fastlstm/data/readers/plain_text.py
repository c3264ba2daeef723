"""Reading plain texts, without labels, from a file or a folder whose name tells its format."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from fastlstm.data.readers.files import open_text, read_errors
from fastlstm.data.readers.labelled import TABLES, file_format, shown_name
from fastlstm.data.validation import LabelledRows, check_text, excerpt
from fastlstm.errors import DataError

_LABELS = re.compile(r"\s*(?:__label__\S*\s*)*")
_KNOWN = (
    ".txt (a text a line), .csv, .tsv, .jsonl, .ndjson, each also with .gz, .parquet, or a folder of .txt files"
)
_MOST_SOURCES_SHOWN = 3


@dataclass(frozen=True)
class UnlabelledTexts:
    """Texts in memory; `source` says in one line, for people, where they come from."""

    texts: list[str] = field(repr=False)
    source: str = "texts"

    def __len__(self) -> int:
        return len(self.texts)


def read_texts(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], *, text_column: str = "text"
) -> UnlabelledTexts:
    """The texts of a file or folder, or of several, in their order; texts without any word are passed over.

    A path is a text file with a text a line, of which fastText's labels are dropped; a CSV or TSV file with a
    header line, a JSON Lines or a Parquet file, of which the text column alone is read; each but Parquet also
    gzipped; or a folder, whose .txt files are a text each, wherever in it they stand, but for names that begin with
    a dot. A line or file may be a number; in a table that tells of a wrong column.
    Raises `DataError` for anything that can't be read as such, with the first bad row's number, and for no text at
    all; `MissingDependencyError` for a Parquet file where pyarrow is not installed.
    """
    several = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not several:
        raise DataError(f"no file or folder was named; expected one or more of {_KNOWN}")
    parts = [_read(Path(path), text_column) for path in several]
    return UnlabelledTexts(
        [text for part in parts for text in part.texts], joined_sources([part.source for part in parts])
    )


def joined_sources(sources: Sequence[str]) -> str:
    """Several sources as one, in a line: all of a few, the first of many."""
    if len(sources) <= _MOST_SOURCES_SHOWN:
        return ", ".join(sources)
    return f"{', '.join(sources[: _MOST_SOURCES_SHOWN - 1])} and {len(sources) - _MOST_SOURCES_SHOWN + 1} more"


def _read(path: Path, text_column: str) -> UnlabelledTexts:
    source = shown_name(path)
    with read_errors(source):
        if not path.exists():
            raise DataError(f"there is no file or folder {str(path)!r}; expected {_KNOWN}; check the path")
        if path.is_dir():
            return _collected(_folder_rows(path), source, "file")
        ending = file_format(path)
        if ending in TABLES:
            rows = TABLES[ending](path, source, text_column, None)
            unit = "line" if ending in (".jsonl", ".ndjson") else "row"
            return _collected(rows, source, unit, has_columns=True)
        if ending in (".txt", ".train", ".valid", ".test"):
            return _collected(_line_rows(path), source, "line")
    raise DataError(f"{source} has no known ending; expected {_KNOWN}; rename or convert it")


def check_unlabelled_texts(texts: Iterable[object], source: str) -> UnlabelledTexts:
    """Texts that a caller made, checked as those from files are. Raises `DataError`."""
    rows: LabelledRows = ((number, text, None) for number, text in enumerate(texts, start=1))
    return _collected(rows, source, "text")


def _line_rows(path: Path) -> LabelledRows:
    with open_text(path, newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            match = _LABELS.match(line)
            assert match is not None, "the pattern matches nothing too"
            yield number, line[match.end() :].strip(), None


def _folder_rows(folder: Path) -> LabelledRows:
    found = False
    for file in sorted(folder.rglob("*")):
        parts = file.relative_to(folder).parts
        if not file.name.lower().endswith((".txt", ".txt.gz")) or any(part.startswith(".") for part in parts):
            continue
        if file.is_dir():
            continue
        found = True
        place = excerpt("/".join(parts))
        with read_errors(f"file {place} of {shown_name(folder)}"), open_text(file, newline="") as text:
            content = text.read()
        yield place, content, None
    if not found:
        raise DataError(f"{shown_name(folder)} holds no .txt file; expected one text file a text")


def _collected(rows: LabelledRows, source: str, unit: str, *, has_columns: bool = False) -> UnlabelledTexts:
    advice = "; pass --text-column to choose another column" if has_columns else ""
    texts: list[str] = []
    with closing(rows):
        for number, text, _ in rows:
            if isinstance(text, str) and not text.strip():
                continue
            try:
                texts.append(check_text(text, advice, numbers=not has_columns))
            except DataError as error:
                raise DataError(f"{unit} {number} of {source}: {error}") from None
    if not texts:
        raise DataError(f"{source} holds no texts; expected one or more")
    return UnlabelledTexts(texts, source)
