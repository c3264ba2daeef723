"""Labelled texts from objects in memory: tables, mappings of columns, and lists of rows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastlstm.data.dataset import Dataset, column_values
from fastlstm.data.options import BadRow, LabelCells, ReadOptions
from fastlstm.data.readers.columns import (
    column_index,
    column_list,
    label_column_indices,
    require_probability_columns,
)
from fastlstm.data.readers.labelled import read_labelled
from fastlstm.data.validation import Rows, collect_dataset
from fastlstm.errors import DataError
from fastlstm.tables import column, column_keys

ACCEPTED = (
    "a path, a Dataset, a table (pandas, Polars, PyArrow, Hugging Face), a dict of columns, or a list of "
    "(text, label) pairs"
)


def as_dataset(data: object, options: ReadOptions | None = None, source: str = "dataset") -> Dataset:
    """Return labelled texts in any form as a dataset, with rows validated as those of a file.

    Args:
        data: The path of a file or folder; a `Dataset`; a pandas, Polars or PyArrow table or a Hugging Face dataset;
            a mapping of column names to columns; or a list of (text, label) pairs or of mappings with both columns.
        options: The names of the columns, and how rows that cannot be used are treated.
        source: The name of the data in messages, unless it is a path or a `Dataset`.

    Raises:
        DataError: The data has another type, a column is missing, or too many rows cannot be used.
        OptionError, MissingDependencyError: As `read_dataset`.
    """
    options = options or ReadOptions()
    if isinstance(data, str | os.PathLike):
        return read_labelled(data, options)
    if isinstance(data, Dataset):
        dataset = collect_dataset(_dataset_rows(data), data.source, options)
        notes = (*(note for note in data.notes if note not in dataset.notes), *dataset.notes)
        return Dataset(
            dataset.texts,
            dataset.labels,
            data.source,
            dataset.locations,
            notes,
            dataset.bad_rows,
            keep_missing=True,
            soft_labels=dataset.soft_labels,
        )
    options.require_two_columns()
    keys = column_keys(data)
    if keys is not None:
        return collect_dataset(_table_rows(data, keys, source, options), source, options, has_columns=True)
    if isinstance(data, bytes | bytearray | set | frozenset) or not isinstance(data, Iterable):
        raise _wrong_type(data)
    if isinstance(data, tuple) and len(data) == 2 and not any(isinstance(part, tuple | Mapping) for part in data):
        raise DataError(
            "the data is a pair of columns; expected fastlstm.Dataset(texts, labels)",
            code="bad-data-type",
            type="tuple",
        )
    return collect_dataset(_pair_rows(data, source, options), source, options)


def _dataset_rows(dataset: Dataset) -> Rows:
    locations: Sequence[int | str] = dataset.locations or range(1, len(dataset) + 1)
    labels: Sequence[object] = dataset.labels
    if (soft := dataset.soft_labels) is not None:
        rows = zip(dataset.labels, soft.probabilities.tolist(), soft.is_labelled, strict=True)
        labels = [  # NaN is a missing value
            LabelCells(label if own else None, dict(zip(soft.classes, values, strict=True)))
            for label, values, own in rows
        ]
    yield from zip(locations, dataset.texts, labels, strict=True)
    return ()


def _table_rows(data: Any, keys: Sequence[Any], source: str, options: ReadOptions) -> Rows:
    columns = [str(key) for key in keys]
    text = column_index(options.text_column, columns, source, "text_column")
    texts = column_values(column(data, keys[text]), "texts")
    indices = label_column_indices(columns, source, options)
    cells = {name: column_values(column(data, keys[index]), "labels") for name, index in indices.items()}
    labels = options.labels_of(cells)
    if len(texts) != len(labels):
        raise DataError(
            f"{source} has {len(texts)} texts and {len(labels)} labels; expected equal numbers",
            code="length-mismatch",
            source=source,
            texts=len(texts),
            labels=len(labels),
        )
    yield from zip(range(1, len(texts) + 1), texts, labels, strict=True)
    return ()


def _pair_rows(data: Iterable[object], source: str, options: ReadOptions) -> Rows:
    keys: dict[str, None] = {}
    for number, row in enumerate(data, start=1):
        if isinstance(row, Mapping):
            keys |= dict.fromkeys(map(str, row))
            wanted = (options.text_column, *(() if options.reads_probabilities else (options.label_column,)))
            missing = [name for name in wanted if name not in row]
            if missing:
                reason = f"no key {missing[0]!r} (keys: {column_list([str(name) for name in row])})"
                yield BadRow(source, number, "missing-column", reason)
            else:
                yield number, row[options.text_column], options.label_of(row)
        elif isinstance(row, tuple | list) and len(row) == 2:
            yield number, row[0], row[1]
        else:
            raise DataError(
                f"item {number} of the data is {type(row).__name__}; expected a pair (text, label); pass {ACCEPTED}",
                code="bad-data-type",
                location=number,
                type=type(row).__name__,
            )
    require_probability_columns(keys, source, options)
    return ()


def _wrong_type(data: object) -> DataError:
    kind = type(data).__name__
    return DataError(f"the data has type {kind}; expected {ACCEPTED}", code="bad-data-type", type=kind)
