"""`fastlstm.score`: score a table or a dataset in one call."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable, Generator
from typing import Any

from fastlstm.data.readers import databases
from fastlstm.data.urls import without_credentials
from fastlstm.errors import OptionError
from fastlstm.inference import Classifier
from fastlstm.inference.classifier import as_classifier
from fastlstm.scoring.events import ScoreEvent, ScoreResult
from fastlstm.scoring.file_sink import INCOMPLETE, FileSink
from fastlstm.scoring.file_source import FileSource
from fastlstm.scoring.interfaces import Sink, Source
from fastlstm.scoring.locations import locate
from fastlstm.scoring.run import run
from fastlstm.scoring.settings import ScoreSettings
from fastlstm.scoring.workers import ProcessWorkers, Workers

DATABASES = {
    **databases.MODULES,
    **dict.fromkeys(
        ("elasticsearch", "elasticsearch+https", "opensearch", "opensearch+https"),
        "fastlstm.integrations.elasticsearch",
    ),
}
"""Scheme of a URL -> module with `open_source` and `open_sink`, imported when used."""


def score(
    source: str | os.PathLike[str],
    sink: str | os.PathLike[str],
    model: Classifier | str | os.PathLike[str] | None = None,
    *,
    watch: Callable[[ScoreEvent], object] | None = None,
    **options: Any,
) -> ScoreResult:
    """Predict the texts of a table of any size, and write its rows with the predictions.

    Workers are processes: call it below `if __name__ == "__main__":`, as everything that uses `multiprocessing`.

    Args:
        source: A Parquet, CSV, TSV or JSON Lines file, or a folder of them, perhaps partitioned, on a disk or at a URI
            such as s3://bucket/folder; or the URL of a database: postgresql://, elasticsearch:// or opensearch://.
        sink: A file, if its name ends in .parquet, .csv, .tsv or .jsonl; a folder; or the URL of a database.
        model: A classifier, its folder, or the name of a bundled model. Default: the bundled English model.
        watch: Called with every event of the run.
        options: Attributes of `fastlstm.scoring.settings.ScoreSettings`, such as `text_column="review"`,
            `columns=["id"]`, `processes=8`, `bad_rows="rejects.csv"` or `resume=True`.

    Returns:
        The numbers of rows, and the speed.

    Raises:
        InputError: The call or the source is wrong.
        WriteError: The sink cannot be written. It holds the rows of the last commit; continue with `resume=True`.
    """
    classifier = as_classifier(model)
    with contextlib.closing(events(source, sink, classifier, ScoreSettings.create(options))) as run_events:
        for event in run_events:
            if watch is not None:
                watch(event)
    assert isinstance(event, ScoreResult)
    return event


def events(
    source: str | os.PathLike[str], sink: str | os.PathLike[str], model: Classifier, settings: ScoreSettings
) -> Generator[ScoreEvent, None, None]:
    """Open source and sink, and yield the events of `fastlstm.scoring.run.run`."""

    def start_workers() -> Workers:
        if settings.engine == "ray":
            workers: Workers = importlib.import_module("fastlstm.integrations.ray").RayWorkers(
                model, settings.threshold, settings.processes
            )
            return workers
        return ProcessWorkers(model, settings.threshold, settings.local_processes)

    if settings.key and _database(source) is None and _database(sink) is None:
        raise OptionError(
            "`key` applies to tables and indexes, but source and sink are files; remove it",
            code="conflicting-options",
            options=("key", "sink"),
        )
    _require_different_locations(source, sink, settings)
    _require_separate_bad_rows(source, sink, settings)
    return run(model, open_source(source, settings), open_sink(sink, settings), settings, start_workers)


def _require_different_locations(
    source: str | os.PathLike[str], sink: str | os.PathLike[str], settings: ScoreSettings
) -> None:
    """Raise `OptionError` if writing the sink would change the source while it is read."""
    if _database(source) is not None or _database(sink) is not None:
        is_same = os.fspath(source) == os.fspath(sink) and not settings.key
    else:
        first, second = locate(source), locate(sink)
        is_same = any(
            first.contains(written) or written.contains(first) for written in (second, second.sibling(INCOMPLETE))
        )
    if is_same:
        raise OptionError(
            f"the sink {without_credentials(os.fspath(sink)).partition('?')[0]} is the source, contains it, or lies "
            "inside it; pass another path, or for a table or an index a `key`",
            code="sink-is-source",
        )


def _require_separate_bad_rows(
    source: str | os.PathLike[str], sink: str | os.PathLike[str], settings: ScoreSettings
) -> None:
    """Raise `OptionError` if the file of bad rows would be part of the source or the sink."""
    for name, target in (("source", source), ("sink", sink)):
        if settings.bad_rows is None or _database(target) is not None:
            continue
        location, bad_rows = locate(target), locate(settings.bad_rows)
        if location.contains(bad_rows) or location.sibling(INCOMPLETE).contains(bad_rows):
            raise OptionError(
                f"`bad_rows` is {settings.bad_rows}, which is or lies in the {name}; pass a file in another folder",
                code="conflicting-options",
                options=("bad_rows", name),
            )


def open_source(target: str | os.PathLike[str], settings: ScoreSettings) -> Source:
    """Return the source of a path or URL. Raise `OptionError` or `DataError` if it cannot be opened."""
    database = _database(target)
    if database is not None:
        columns = None if settings.columns is None else (*settings.columns, *settings.text_columns)
        source: Source = database.open_source(
            os.fspath(target), text_columns=settings.text_columns, columns=columns, key=settings.key
        )
        return source
    return FileSource(locate(target), settings.text_columns, settings.columns, settings.reading)


def open_sink(target: str | os.PathLike[str], settings: ScoreSettings) -> Sink:
    """Return the sink of a path or URL. Raise `OptionError` if it cannot be opened."""
    database = _database(target)
    if database is None:
        return FileSink(
            locate(target),
            file_format=settings.format,
            partition_by=settings.partition_by,
            overwrite=settings.overwrite,
        )
    for option in ("format", "partition_by"):
        if getattr(settings, option):
            raise OptionError(
                f"`{option}` applies to folders, but the sink is a database; remove it",
                code="conflicting-options",
                options=("sink", option),
            )
    sink: Sink = database.open_sink(os.fspath(target), key=settings.key, overwrite=settings.overwrite)
    return sink


def _database(target: str | os.PathLike[str]) -> Any:
    """Return the module for a URL of a database; None for a path or URI of a file."""
    scheme, mark, _ = os.fspath(target).partition("://")
    module = DATABASES.get(scheme.lower()) if mark else None
    return None if module is None else importlib.import_module(module)
