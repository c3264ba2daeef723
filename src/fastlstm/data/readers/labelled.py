"""Read labelled texts from a file or folder of any supported format."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from fastlstm.data.dataset import Dataset
from fastlstm.data.options import ReadOptions
from fastlstm.data.readers.databases import database_name, database_reader, is_database
from fastlstm.data.readers.encodings import encoding_notes, with_proposals
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
from fastlstm.data.validation import collect_dataset
from fastlstm.errors import DataError, OptionError

FORMATS = (
    ".csv, .tsv, .jsonl, .ndjson, .txt, .train, .valid or .test (fastText), each also with .gz, .parquet, or a folder "
    "with one folder per class"
)


def read_dataset(path: str | os.PathLike[str], **options: Any) -> Dataset:
    """Read the labelled texts of a file or folder, in order.

    Args:
        path: A CSV or TSV file with a header, a JSON Lines file, a fastText file (.txt, .train, .valid, .test), all
            possibly gzipped; a Parquet file; a folder that contains one folder of .txt files per class; or the URL of
            a table or query, such as postgresql://host/database?table=reviews.
        options: Attributes of `fastlstm.data.options.ReadOptions`, such as `text_column="review"`,
            `encoding="gb18030"` or `on_bad_rows="stop"`.

    Returns:
        The texts that can be used. `notes` describes the dialect of a CSV file and labels that look alike;
        `bad_rows` lists the rows that were skipped.

    Raises:
        DataError: The file does not exist, cannot be read, or has too many rows that cannot be used.
        OptionError: An option is unknown or has a bad value.
        MissingDependencyError: It is a Parquet file and pyarrow is not installed.
    """
    return read_labelled(path, ReadOptions.create(options))


def read_labelled(path: str | os.PathLike[str], options: ReadOptions) -> Dataset:
    """Read labelled texts as `read_dataset` does, with validated options."""
    options.require_two_columns()
    if not isinstance(path, str | os.PathLike):
        raise DataError(
            f"`path` is {type(path).__name__}; expected the path of a file or folder; `fastlstm.train` and "
            "`fastlstm.Dataset` take texts in memory",
            code="bad-data-type",
            type=type(path).__name__,
        )
    if is_database(path):
        source = database_name(path)
        rows = database_reader(path)(os.fspath(path), source, options, labelled=True)
        return collect_dataset(rows, source, options, unit="row", has_columns=True)
    path = Path(path)
    source = display_name(path)
    with wrap_read_errors(source):
        require_path(path, FORMATS)
        extension = "" if path.is_dir() else file_extension(path)
        if options.needs_probabilities and extension not in TABLE_READERS:
            raise OptionError(
                f"`probability_columns` and `probability_column` need a table, but {source} is none; expected CSV, "
                "TSV, JSON Lines or Parquet",
                code="probabilities-need-table",
                source=source,
            )
        if path.is_dir():
            rows = folder_rows(path, source, encoding=options.encoding)
            return collect_dataset(rows, source, options, unit="file")
        is_text = options.encoding is None and extension != ".parquet"
        try:
            if extension in FASTTEXT_EXTENSIONS:
                rows = fasttext_rows(path, source, options.encoding)
                dataset = collect_dataset(rows, source, options, unit="line")
            elif extension in TABLE_READERS:
                rows = TABLE_READERS[extension](path, source, options, labelled=True)
                dataset = collect_dataset(rows, source, options, unit=row_unit(extension), has_columns=True)
            else:
                raise unknown_format(source, FORMATS)
        except DataError as error:
            if error.code != "not-utf8" or not is_text:
                raise
            raise with_proposals(error, path) from None
        if is_text and any(row.code == "not-utf8" for row in dataset.bad_rows):
            return dataclasses.replace(dataset, notes=(*dataset.notes, *encoding_notes(path, source)))
        return dataset
