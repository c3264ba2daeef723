"""Events of a scoring run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastlstm.notes import Note


@dataclass(frozen=True)
class ScoreStarted:
    """The run begins or continues.

    Attributes:
        source, sink: Their names.
        rows: Rows that the sink holds already.
        workers: The number of worker processes.
    """

    source: str
    sink: str
    rows: int
    workers: int


@dataclass(frozen=True)
class ScoreProgress:
    """More rows have been predicted.

    Attributes:
        rows: Rows predicted, including those of the run that is resumed.
        new_rows: Rows predicted since this run began or was resumed.
        committed_rows: Rows that the sink holds.
        bad_rows: Rows rejected.
        fraction: The fraction of the source read; None if unknown.
        start_fraction: The fraction read before this run was resumed.
        seconds: Time since this run began or was resumed.
    """

    rows: int
    new_rows: int
    committed_rows: int
    bad_rows: int
    fraction: float | None
    start_fraction: float
    seconds: float

    @property
    def seconds_left(self) -> float | None:
        """Estimated time until the end; None if unknown."""
        if self.fraction is None or self.fraction <= self.start_fraction:
            return None
        return self.seconds * (1 - self.fraction) / (self.fraction - self.start_fraction)

    @property
    def rows_per_second(self) -> float:
        """The speed of this run."""
        return self.new_rows / max(self.seconds, 1e-9)


@dataclass(frozen=True)
class ScoreResult:
    """A finished run.

    Attributes:
        source, sink: Their names.
        rows: Rows that the sink holds.
        new_rows: Rows predicted since this run began or was resumed.
        unlabelled_rows: Predicted rows without a label: the text is missing, or has no known token.
        labels: Label -> number of predicted rows, which include those that the sink refused.
        bad_rows: Code -> number of rejected rows.
        seconds: Time since this run began or was resumed.
    """

    source: str
    sink: str
    rows: int
    new_rows: int
    unlabelled_rows: int
    labels: Mapping[str, int]
    bad_rows: Mapping[str, int]
    seconds: float

    @property
    def rows_per_second(self) -> float:
        """The speed of this run."""
        return self.new_rows / max(self.seconds, 1e-9)

    def to_json(self) -> dict[str, Any]:
        """Return all values as a JSON object."""
        return {**vars(self), "rows_per_second": self.rows_per_second}


ScoreEvent = Note | ScoreStarted | ScoreProgress | ScoreResult
