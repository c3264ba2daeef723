"""Read labelled texts from a file or folder of any supported format."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from fastlstm.data.dataset import Dataset
from fastlstm.data.readers.files import (
    FASTTEXT_EXTENSIONS,
    display_name,
    fasttext_rows,
    file_extension,
    folder_rows,
    require_path,
    unknown_format,
    wrap_read_errors,
)
from fastlstm.data.readers.tables import TABLE_READERS, row_unit
from fastlstm.data.validation import LabelledRows, collect_dataset
from fastlstm.errors import OptionError

FORMATS = (
    ".csv, .tsv, .jsonl, .ndjson, .txt (fastText), each also with .gz, .parquet, or a folder with one folder "
    "per class"
)


def read_dataset(
    path: str | os.PathLike[str], *, text_column: str = "text", label_column: str = "label"
) -> Dataset:
    """Read the labelled texts of a file or folder, in order.

    Args:
        path: A CSV or TSV file with a header, a JSON Lines file, a fastText file (.txt, .train, .valid, .test), all
            possibly gzipped; a Parquet file; or a folder that contains one folder of .txt files per class.
        text_column, label_column: The columns of tables.

    Raises:
        DataError: The file does not exist, cannot be read, or has an invalid row.
        OptionError: The two columns are the same.
        MissingDependencyError: It is a Parquet file and pyarrow is not installed.
    """
    if text_column == label_column:
        raise OptionError(
            f"--text-column and --label-column are both {text_column!r}; pass two different columns",
            code="same-column",
            column=text_column,
        )
    path = Path(path)
    source = display_name(path)
    with wrap_read_errors(source):
        require_path(path, FORMATS)
        if path.is_dir():
            return _collect(folder_rows(path, source), source, unit="file")
        extension = file_extension(path)
        if extension in FASTTEXT_EXTENSIONS:
            return _collect(fasttext_rows(path, source), source, unit="line")
        if extension in TABLE_READERS:
            rows = TABLE_READERS[extension](path, source, text_column, label_column)
            return _collect(rows, source, unit=row_unit(extension), has_columns=True)
    raise unknown_format(source, FORMATS)


def _collect(rows: LabelledRows, source: str, *, unit: str, has_columns: bool = False) -> Dataset:
    with closing(rows):  # closes the file if a row is invalid
        return collect_dataset(rows, source, unit=unit, has_columns=has_columns)
