"""One scoring run, from a source to a sink, as a generator of events."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastlstm.data.options import BadRow
from fastlstm.data.validation import MIN_ROWS_TO_STOP_EARLY
from fastlstm.errors import DataError, FastLSTMError, ResumeError
from fastlstm.inference import Classifier
from fastlstm.inference.columns import ColumnPredictions
from fastlstm.notes import Note
from fastlstm.scoring.columns import LABEL, prediction_arrays, require_new_column
from fastlstm.scoring.events import ScoreEvent, ScoreProgress, ScoreResult, ScoreStarted
from fastlstm.scoring.interfaces import Chunk, Position, Sink, Source
from fastlstm.scoring.rejects import RejectsFile
from fastlstm.scoring.settings import ScoreSettings
from fastlstm.scoring.workers import Workers

if TYPE_CHECKING:
    import pyarrow

TEXT_SEPARATOR = "\n"
"""Between the texts of several columns."""
PROGRESS_VERSION = 1
MAX_BUFFERED_BYTES = 1 << 28
"""Buffered rows of more bytes are committed before there are `rows_per_commit` of them."""


@dataclass
class Progress:
    """The progress of a run, as a checkpoint stores it.

    Attributes:
        settings: `ScoreSettings.identity` of the run.
        position: Where the source continues.
        fraction: The fraction of the source read.
        rows, unlabelled_rows, labels, bad_rows: As in `ScoreResult`.
        rejects_size: The size of the file of bad rows in bytes.
        finished: Whether all rows are committed.
        format_version: `PROGRESS_VERSION`.
    """

    settings: Mapping[str, Any]
    position: Position = None
    fraction: float | None = 0.0
    rows: int = 0
    unlabelled_rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    bad_rows: Counter[str] = field(default_factory=Counter)
    rejects_size: int = 0
    finished: bool = False
    format_version: int = PROGRESS_VERSION

    def to_json(self) -> dict[str, Any]:
        """Return all attributes as a JSON object."""
        return {**vars(self), "labels": dict(self.labels), "bad_rows": dict(self.bad_rows)}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any], sink: str) -> Progress:
        """Return the progress that `to_json` wrote in a sink. Raise `ResumeError` if it is of another version."""
        if saved.get("format_version") != PROGRESS_VERSION:
            raise ResumeError(
                f"the checkpoint of {sink} is of another version of fastlstm; resume with that version, or start again "
                "with `overwrite`",
                code="bad-checkpoint",
                path=sink,
            )
        return cls(**{**saved, "labels": Counter(saved["labels"]), "bad_rows": Counter(saved["bad_rows"])})


def run(
    model: Classifier,
    source: Source,
    sink: Sink,
    settings: ScoreSettings,
    start_workers: Callable[[], Workers],
) -> Generator[ScoreEvent, None, None]:
    """Read all rows of the source, predict their texts, and write rows and predictions to the sink, in order.

    After each commit, the sink holds the rows so far together with a checkpoint. Closing the generator commits the rows
    predicted so far. The last event is the `ScoreResult`.

    Raises:
        OptionError: A setting does not fit the source, the model or the sink.
        DataError: The source cannot be read, most rows are bad, or one is and `on_bad_rows` is "stop".
        ResumeError: `resume` is set, and there is nothing to resume, or the run had other settings.
        WriteError: The sink cannot be written; it holds the rows of the last commit.
        FastLSTMError: A worker process died; the sink holds the rows of the last commit.
    """
    start = time.perf_counter()
    with closing(sink):
        model.check_threshold(settings.threshold)
        _require_texts(source, settings.text_columns)
        schema = _output_schema(source, settings, model.labels)
        identity = settings.identity(model, source.identity)
        rejects = None if settings.bad_rows is None else RejectsFile(settings.bad_rows)
        with closing(start_workers()) as workers:  # what may fail comes before an earlier result is replaced
            saved = sink.start(schema, resume=settings.resume)
            progress = Progress(identity) if saved is None else Progress.from_json(saved, sink.name)
            _require_same_settings(progress.settings, identity)
            if saved is None:
                sink.commit(progress.to_json())  # the run can be resumed from now on
            notes = list(source.notes)
            yield from notes
            rows_before = progress.rows
            if not progress.finished:
                if rejects is not None:
                    rejects.start(progress.rejects_size)
                yield ScoreStarted(source.name, sink.name, progress.rows, workers.processes)
                run_ = _Run(model.labels, source, sink, rejects, settings, schema, progress, start)
                yield from run_.events(workers)
        sink.finish()
    yield from source.notes[len(notes) :]
    yield from _notes(progress, settings)
    yield ScoreResult(
        source.name,
        sink.name,
        progress.rows,
        progress.rows - rows_before,
        progress.unlabelled_rows,
        dict(progress.labels),
        dict(progress.bad_rows),
        time.perf_counter() - start,
    )


class _Run:
    """The loop of a run, and the rows that are not committed yet."""

    def __init__(
        self,
        labels: Sequence[str],
        source: Source,
        sink: Sink,
        rejects: RejectsFile | None,
        settings: ScoreSettings,
        schema: pyarrow.Schema,
        progress: Progress,
        start: float,
    ) -> None:
        self._labels, self._source, self._sink, self._rejects = labels, source, sink, rejects
        self._settings, self._schema, self._progress, self._start = settings, schema, progress, start
        self._batches: list[pyarrow.RecordBatch] = []
        self._bad_rows: list[BadRow] = []
        self._rows = self._committed_rows = self._rows_before = progress.rows
        self._start_fraction = progress.fraction or 0.0
        self._next: Chunk | None = None
        self._new_bad_rows = 0

    def events(self, workers: Workers) -> Iterator[ScoreEvent]:
        """Yield the progress after each chunk."""
        with closing(self._source.chunks(self._progress.position)) as chunks:
            try:
                for chunk, predictions in _predicted(chunks, workers, self._settings.text_columns):
                    self._add(chunk, predictions)
                    yield self._event(chunk)
            except GeneratorExit:
                self._commit()
                raise
        self._commit(finished=True)

    def _add(self, chunk: Chunk, predictions: ColumnPredictions) -> None:
        if chunk.bad_rows and self._settings.on_bad_rows == "stop":
            self._commit()
            row = chunk.bad_rows[0]
            raise DataError(
                f"row {row.location} of {row.source}: {row.reason}; pass `resume` with `on_bad_rows`=skip, or correct "
                "it and start again with `overwrite`",
                code=row.code,
                source=row.source,
                location=row.location,
                bad_rows=tuple(chunk.bad_rows),
            )
        self._batches.append(self._with_predictions(chunk.batch, predictions))
        self._bad_rows.extend(chunk.bad_rows)
        self._next = chunk
        self._rows += chunk.batch.num_rows
        counts = Counter(predictions.labels)
        self._progress.unlabelled_rows += counts.pop(None, 0)
        self._progress.labels.update({label: n for label, n in counts.items() if label is not None})
        if chunk.bad_rows:
            self._new_bad_rows += len(chunk.bad_rows)
            self._require_good_rows(chunk.bad_rows[0])
        size = sum(batch.nbytes for batch in self._batches)
        rows = sum(batch.num_rows for batch in self._batches) + len(self._bad_rows)
        if rows >= self._settings.rows_per_commit or size >= MAX_BUFFERED_BYTES:
            self._commit()

    def _with_predictions(self, batch: pyarrow.RecordBatch, predictions: ColumnPredictions) -> pyarrow.RecordBatch:
        import pyarrow

        new = prediction_arrays(predictions, self._settings.new_columns(self._labels))
        arrays = [new[name] if name in new else batch.column(name) for name in self._schema.names]
        return pyarrow.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _require_good_rows(self, row: BadRow) -> None:
        """Raise `DataError` if most rows since the run began are bad: the settings are probably wrong."""
        bad, good = self._new_bad_rows, self._rows - self._rows_before
        if bad >= MIN_ROWS_TO_STOP_EARLY and bad > good:
            notes = "".join(f"; {note.text}" for note in self._source.notes)
            raise DataError(
                f"{bad:,} of {bad + good:,} rows of {self._source.name} are rejected, such as row {row.location} of "
                f"{row.source}: {row.reason}{notes}",
                code="too-many-bad-rows",
                source=self._source.name,
                rows=bad + good,
            )

    def _commit(self, *, finished: bool = False) -> None:
        """Write the rows so far, with a checkpoint."""
        import pyarrow

        if self._next is None and not finished:
            return
        progress = self._progress
        refused: Sequence[BadRow] = ()
        if self._batches or (finished and not progress.rows):  # an empty result has columns, too
            table = pyarrow.Table.from_batches(self._batches, schema=self._schema)
            refused = self._sink.write(table)
            progress.rows += table.num_rows - len(refused)
            self._rows -= len(refused)
            self._new_bad_rows += len(refused)
            self._bad_rows.extend(refused)
        if self._bad_rows and self._rejects is not None:
            self._rejects.write(self._bad_rows)
        progress.bad_rows.update(row.code for row in self._bad_rows)
        if self._rejects is not None:
            progress.rejects_size = self._rejects.size
        if self._next is not None:
            progress.position, progress.fraction = self._next.position, self._next.fraction
        must_stop = bool(refused) and self._settings.on_bad_rows == "stop"
        progress.finished = finished and not must_stop
        self._sink.commit(progress.to_json())
        self._batches, self._bad_rows, self._next = [], [], None
        self._committed_rows = progress.rows
        if must_stop:
            raise DataError(
                f"{self._sink.name} refuses row {refused[0].location}: {refused[0].reason}; the other rows of the "
                "commit are written: pass `resume` to continue after them, or correct the row and start again with "
                "`overwrite`",
                code=refused[0].code,
                source=refused[0].source,
                location=refused[0].location,
                bad_rows=tuple(refused),
            )
        if refused:
            self._require_good_rows(refused[0])

    def _event(self, chunk: Chunk) -> ScoreProgress:
        return ScoreProgress(
            self._rows,
            self._rows - self._rows_before,
            self._committed_rows,
            self._progress.bad_rows.total() + len(self._bad_rows),
            chunk.fraction,
            self._start_fraction,
            time.perf_counter() - self._start,
        )


def _predicted(
    chunks: Iterator[Chunk], workers: Workers, text_columns: Sequence[str]
) -> Iterator[tuple[Chunk, ColumnPredictions]]:
    """Yield each chunk with its predictions, in order, while the workers predict the next ones."""
    pending: deque[tuple[Chunk, Future[ColumnPredictions]]] = deque()
    has_predicted = False
    try:
        for chunk in chunks:
            pending.append((chunk, workers.submit(_texts(chunk.batch, text_columns))))
            if len(pending) >= workers.capacity:
                first, future = pending.popleft()
                predictions = future.result()
                has_predicted = True
                yield first, predictions
        while pending:
            first, future = pending.popleft()
            predictions = future.result()
            has_predicted = True
            yield first, predictions
    except BrokenProcessPool as error:
        reason = (
            "a worker process died, perhaps because memory ran out; pass fewer `processes`, and `resume` to continue"
            if has_predicted
            else "the worker processes could not start; a script must be a file and call `fastlstm.score` below "
            "`if __name__ == '__main__':`"
        )
        raise FastLSTMError(reason, code="worker-died") from error


def _texts(batch: pyarrow.RecordBatch, columns: Sequence[str]) -> list[str | None]:
    """Return the text of each row. None: all its columns are missing."""
    values = [batch.column(name).to_pylist() for name in columns]
    if len(values) == 1:
        return list(values[0])
    rows = ([text for text in texts if text is not None] for texts in zip(*values, strict=True))
    return [TEXT_SEPARATOR.join(texts) if texts else None for texts in rows]


def _require_texts(source: Source, columns: Sequence[str]) -> None:
    """Raise `DataError` if a column does not contain strings."""
    import pyarrow

    for name in columns:
        kind = source.schema.field(name).type
        value = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
        kinds = (pyarrow.types.is_string, pyarrow.types.is_large_string, pyarrow.types.is_null)
        if not any(is_kind(value) for is_kind in kinds):
            raise DataError(
                f"column {name!r} of {source.name} is {kind}; expected strings; pass `text_column` to choose another "
                "column",
                code="not-a-text-column",
                column=name,
                source=source.name,
                type=str(kind),
            )


def _output_schema(source: Source, settings: ScoreSettings, labels: Sequence[str]) -> pyarrow.Schema:
    """Return the columns of the sink: those that are copied, then the new ones."""
    import pyarrow

    copied = source.schema.names if settings.columns is None else settings.columns
    new = settings.new_columns(labels)
    for name in new:
        require_new_column(name, copied, source.name)
    fields = [source.schema.field(name) for name in copied]
    for name, content in new.items():
        fields.append(pyarrow.field(name, pyarrow.string() if content == LABEL else pyarrow.float32()))
    return pyarrow.schema(fields)


def _require_same_settings(saved: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    changed = [name for name in settings if saved.get(name) != settings[name]]
    if changed:
        raise ResumeError(
            f"the run to resume had other settings ({', '.join(changed)}); pass the same ones, or start again with "
            "`overwrite`",
            code="different-settings",
            settings=changed,
        )


def _notes(progress: Progress, settings: ScoreSettings) -> Iterator[Note]:
    """Yield notes about rows without a label and rejected rows."""
    if progress.unlabelled_rows:
        yield Note(
            f"{progress.unlabelled_rows:,} rows have no label: the text is missing, or contains no known word",
            "rows-without-label",
        )
    bad = progress.bad_rows.total()
    if bad:
        codes = ", ".join(f"{code}: {count:,}" for code, count in progress.bad_rows.most_common())
        where = f"see {settings.bad_rows}" if settings.bad_rows else "pass `bad_rows` for a list"
        yield Note(f"{bad:,} rows are rejected ({codes}); {where}", "rows-rejected")
