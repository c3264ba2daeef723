"""Reading plain texts, without labels, from a file or a folder whose name tells its format."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from fastlstm.errors import DataError
from fastlstm.records.checks import Rows, checked_text
from fastlstm.records.files import open_text, readable
from fastlstm.records.reading import TABLES, ending_of, shown_name

_LABELS = re.compile(r"\s*(?:__label__\S*\s*)*")
_KNOWN = (
    ".txt (a text a line), .csv, .tsv, .jsonl, .ndjson, each also with .gz, .parquet, or a folder of .txt files"
)


@dataclass(frozen=True)
class Texts:
    """Texts in memory; `source` says in one line, for people, where they come from."""

    texts: list[str] = field(repr=False)
    source: str = "texts"

    def __len__(self) -> int:
        return len(self.texts)


def read_texts(path: str | os.PathLike[str], *, text_column: str = "text") -> Texts:
    """The texts of a file or folder, in its order; texts without any word are passed over.

    `path` is a text file with a text a line, of which fastText's labels are dropped; a CSV or TSV file with a
    header line, a JSON Lines or a Parquet file, of which the text column alone is read; each but Parquet also
    gzipped; or a folder, whose .txt files are a text each, wherever in it they stand.
    Raises `DataError` for anything that can't be read as such, with the first bad row's number, and for no text at
    all; `MissingDependencyError` for a Parquet file where pyarrow is not installed.
    """
    path = Path(path)
    source = shown_name(path)
    with readable(source):
        if not path.exists():
            raise DataError(f"there is no file or folder {str(path)!r}; expected {_KNOWN}; check the path")
        if path.is_dir():
            return _collected(_folder_rows(path), source, "file")
        ending = ending_of(path)
        if ending in TABLES:
            rows = TABLES[ending](path, source, text_column, None)
            return _collected(rows, source, "line" if ending in (".jsonl", ".ndjson") else "row")
        if ending in (".txt", ".train", ".valid", ".test"):
            return _collected(_line_rows(path), source, "line")
    raise DataError(f"{source} has no known ending; expected {_KNOWN}; rename or convert it")


def checked_texts(texts: Iterable[object], source: str) -> Texts:
    """Texts that a caller made, checked as those from files are. Raises `DataError`."""
    rows: Rows = ((number, text, None) for number, text in enumerate(texts, start=1))
    return _collected(rows, source, "text")


def _line_rows(path: Path) -> Rows:
    with open_text(path, newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            match = _LABELS.match(line)
            assert match is not None, "the pattern matches nothing too"
            yield number, line[match.end() :].strip(), None


def _folder_rows(folder: Path) -> Rows:
    files = sorted(p for p in folder.rglob("*") if p.name.lower().endswith((".txt", ".txt.gz")) and p.is_file())
    if not files:
        raise DataError(f"{shown_name(folder)} holds no .txt file; expected one text file a text")
    for file in files:
        with readable(f"file {file.name} of {shown_name(folder)}"), open_text(file, newline="") as text:
            content = text.read()
        yield str(file.relative_to(folder)), content, None


def _collected(rows: Rows, source: str, unit: str) -> Texts:
    texts: list[str] = []
    with closing(rows):
        for number, text, _ in rows:
            if isinstance(text, str) and not text.strip():
                continue
            try:
                texts.append(checked_text(text, "; pass --text-column to choose another column"))
            except DataError as error:
                raise DataError(f"{unit} {number} of {source}: {error}") from None
    if not texts:
        raise DataError(f"{source} holds no texts; expected one or more")
    return Texts(texts, source)
