"""Progress of `fastlstm score`: a bar on a terminal, otherwise a line from time to time."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TextIO

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from fastlstm.cli import output
from fastlstm.cli.interrupts import PLAIN_SECONDS
from fastlstm.notes import Note
from fastlstm.scoring.events import ScoreEvent, ScoreProgress, ScoreResult, ScoreStarted


class ScoreDisplay:
    """Shows the events of a run on `file`. At the end, `result` is set."""

    def __init__(self, file: TextIO) -> None:
        self.result: ScoreResult | None = None
        self._file = file
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._last_line = time.monotonic()

    def __enter__(self) -> ScoreDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_bar()

    def show(self, event: ScoreEvent) -> None:
        """Show one event."""
        match event:
            case Note():
                self._end_bar()
                output.note(event.text)
            case ScoreStarted():
                done = f", {event.rows:,} rows are done" if event.rows else ""
                processes = "process" if event.workers == 1 else "processes"
                output.note(f"scoring {event.source} with {event.workers} {processes}{done}")
            case ScoreProgress():
                self._progress(event)
            case ScoreResult():
                self._end_bar()
                self.result = event

    def _progress(self, event: ScoreProgress) -> None:
        if self._file.isatty():
            if self._bar is None:
                self._bar = Progress(
                    TextColumn("scoring"),
                    BarColumn(bar_width=30),
                    TextColumn("{task.fields[details]}"),
                    console=output.console(self._file),
                    transient=True,
                )
                self._bar.start()
                self._task = self._bar.add_task("", total=1.0, details="")
            self._bar.update(self._task, completed=event.fraction or 0.0, details=describe(event))
        elif time.monotonic() - self._last_line > PLAIN_SECONDS:
            self._last_line = time.monotonic()
            output.note(describe(event))

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def describe(event: ScoreProgress) -> str:
    """Return the progress in one line: "12,000 rows, 950 rows/s, 3 min left"."""
    parts = [f"{event.rows:,} rows", f"{event.rows_per_second:,.0f} rows/s"]
    if event.bad_rows:
        parts.append(f"{event.bad_rows:,} rejected")
    if event.seconds_left is not None:
        parts.append(f"{_duration(event.seconds_left)} left")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
