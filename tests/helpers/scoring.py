"""Tables to score, workers of this process, and what a sink contains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import csv, dataset, parquet

from fastlstm.data.options import BadRow
from fastlstm.inference import Classifier
from fastlstm.inference.columns import ColumnPredictions, predict_column
from fastlstm.scoring.api import open_sink, open_source
from fastlstm.scoring.encode import encode
from fastlstm.scoring.events import ScoreEvent, ScoreResult
from fastlstm.scoring.file_sink import FileSink
from fastlstm.scoring.file_source import FileSource
from fastlstm.scoring.interfaces import Checkpoint, Sink, Source
from fastlstm.scoring.locations import locate
from fastlstm.scoring.run import run
from fastlstm.scoring.settings import ScoreSettings

SENTENCES = (
    "This movie was fantastic! I really enjoyed it.",
    "Horrible film, don't waste your time.",
    'She said "wow",\nand left.',
    "很好看的电影",
    "",
)
SCHEMA = pyarrow.schema([("id", pyarrow.int64()), ("text", pyarrow.string()), ("stars", pyarrow.float64())])


class SerialWorkers:
    """Predicts in this process, at once. Same attributes and methods as `ProcessWorkers`."""

    processes = 1
    capacity = 2

    def __init__(self, model: Classifier, threshold: float | None = None) -> None:
        self._model, self._threshold = model, threshold

    def submit(self, texts: Sequence[str | None]) -> Future[ColumnPredictions]:
        future: Future[ColumnPredictions] = Future()
        future.set_result(predict_column(self._model, texts, threshold=self._threshold))
        return future

    def close(self) -> None:
        pass


MANY_CALLS = 1000
"""More than the calls of a sink in a run."""


class Killed(BaseException):
    """Ends a run as a killed process does: nothing is cleaned up."""


class KilledSink:
    """A sink that ends the run at a call of `write`, `commit` or `finish`, before or after its work."""

    def __init__(self, sink: Any, call: int, *, after: bool) -> None:
        self._sink, self._calls, self._after = sink, call, after
        self.name = sink.name

    def _count(self, work: Callable[[], Any]) -> Any:
        self._calls -= 1
        if self._calls == 0 and not self._after:
            raise Killed
        result = work()
        if self._calls == 0:
            raise Killed
        return result

    def start(self, schema: pyarrow.Schema, *, resume: bool) -> Checkpoint | None:
        return self._sink.start(schema, resume=resume)  # type: ignore[no-any-return]

    def write(self, table: pyarrow.Table) -> Sequence[BadRow]:
        return self._count(lambda: self._sink.write(table))  # type: ignore[no-any-return]

    def commit(self, checkpoint: Checkpoint) -> None:
        self._count(lambda: self._sink.commit(checkpoint))

    def finish(self) -> None:
        self._count(self._sink.finish)

    def close(self) -> None:
        self._sink.close()


def make_table(rows: int, first: int = 0) -> pyarrow.Table:
    """Return rows with distinct ids; some texts are empty or contain quotes and line breaks."""
    numbers = range(first, first + rows)
    return pyarrow.table(
        {
            "id": list(numbers),
            "text": [f"{SENTENCES[n % len(SENTENCES)]}" + f" {n}" * (n % 5 != 4) for n in numbers],
            "stars": [n % 7 / 2 for n in numbers],
        },
        schema=SCHEMA,
    )


def write_table(path: Path, table: pyarrow.Table, *, row_group_size: int = 10) -> Path:
    """Write a table in the format of the name of a file, gzipped if it ends in .gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        parquet.write_table(table, path, row_group_size=row_group_size)
    else:
        kind = path.name.removesuffix(".gz").rpartition(".")[2]
        path.write_bytes(encode(table, kind.replace("ndjson", "jsonl"), compress=path.suffix == ".gz"))
    return path


def file_source(path: Path, *, columns: Sequence[str] | None = None, **options: Any) -> FileSource:
    """Return a source with the options of `ScoreSettings`."""
    settings = ScoreSettings.create({**options, "columns": columns})
    return FileSource(locate(path), settings.text_columns, settings.columns, settings.reading)


def score_files(model: Classifier, source: Path, sink: Path, **options: Any) -> list[ScoreEvent]:
    """Score files in this process and return all events."""
    settings = ScoreSettings.create(options)
    return score_with(model, file_source_of(source, settings), file_sink_of(sink, settings), settings)


def file_source_of(source: Path, settings: ScoreSettings) -> FileSource:
    return FileSource(locate(source), settings.text_columns, settings.columns, settings.reading)


def file_sink_of(sink: Path, settings: ScoreSettings) -> FileSink:
    return FileSink(
        locate(sink),
        file_format=settings.format,
        partition_by=settings.partition_by,
        overwrite=settings.overwrite,
    )


def score_with(model: Classifier, source: Source, sink: Sink, settings: ScoreSettings) -> list[ScoreEvent]:
    """Score in this process and return all events."""
    return list(run(model, source, sink, settings, lambda: SerialWorkers(model, settings.threshold)))


def score_uris(model: Classifier, source: str, sink: str, **options: Any) -> ScoreResult:
    """Score between paths and URIs, in this process."""
    settings = ScoreSettings.create(options)
    result = score_with(model, open_source(source, settings), open_sink(sink, settings), settings)[-1]
    assert isinstance(result, ScoreResult)
    return result


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a Parquet or CSV file, or of a folder of Parquet files, in order."""
    if path.suffix == ".csv":
        convert = csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False)
        parse = csv.ParseOptions(newlines_in_values=True)
        table = csv.read_csv(path, parse_options=parse, convert_options=convert)
    else:
        table = dataset.dataset(path, partitioning="hive").to_table()
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def sink_of(path: Path, **options: Any) -> FileSink:
    """Return a sink with arguments of `FileSink`."""
    return FileSink(locate(path), **options)


def names(folder: Path) -> list[str]:
    """Return the sorted names of the files and folders in a folder."""
    return sorted(path.name for path in folder.iterdir())


def ids(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the ids of rows."""
    return [row["id"] for row in rows]
