"""The interfaces of sources and sinks of `score`."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fastlstm.data.options import BadRow
from fastlstm.notes import Note

if TYPE_CHECKING:
    import pyarrow

Position = Any
"""A JSON value that only its source understands: where reading continues."""
Checkpoint = Mapping[str, Any]
"""A JSON object that `score` saves with the rows that a sink has committed."""

ROWS_PER_CHUNK = 1024
MAX_CHUNK_BYTES = 1 << 19
"""Chunks of more bytes have fewer rows, down to one, so that all workers are busy until the end of a run."""


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of a source.

    Attributes:
        batch: The rows, possibly none, with the schema of the source.
        position: Where the source continues after these rows.
        bad_rows: Rows in between that cannot be read.
        fraction: The fraction of the source read so far; None if unknown.
    """

    batch: pyarrow.RecordBatch
    position: Position
    bad_rows: Sequence[BadRow] = ()
    fraction: float | None = None


class Source(Protocol):
    """Rows to read, in an order that is the same each time.

    Attributes:
        name: The source in one line, for messages, without passwords.
        identity: What identifies the rows that it reads, such as the name and a digest of a query.
        schema: The columns.
        notes: How it is read. More may be added while it is read.
    """

    name: str
    identity: str
    schema: pyarrow.Schema
    notes: list[Note]

    def chunks(self, position: Position | None) -> Generator[Chunk, None, None]:
        """Yield all rows after a position; None is the beginning. Closing the generator frees its resources.

        Raises:
            DataError: The source cannot be read.
        """
        ...


class Sink(Protocol):
    """Where rows are written.

    A sink keeps rows together with a checkpoint: after a failure at any moment, `start` with `resume` leaves exactly
    the rows that belong to the latest checkpoint.

    Attributes:
        name: The sink in one line, for messages, without passwords.
    """

    name: str

    def start(self, schema: pyarrow.Schema, *, resume: bool) -> Checkpoint | None:
        """Prepare for rows of a schema. Return the latest checkpoint if the run is resumed, otherwise None.

        Raises:
            MissingDependencyError: A package is not installed.
            OptionError: The sink contains rows of another run, or columns that do not fit.
            DataError: The server of the sink cannot be reached.
            ResumeError: There is nothing to resume, or the sink has changed.
            WriteError: The sink cannot be written.
        """
        ...

    def write(self, table: pyarrow.Table) -> Sequence[BadRow]:
        """Write rows, which count once `commit` has been called. Return those that the sink refuses.

        Raises:
            WriteError: The rows cannot be written.
        """
        ...

    def commit(self, checkpoint: Checkpoint) -> None:
        """Save the checkpoint that describes the run after the rows written so far.

        Raises:
            WriteError: The checkpoint cannot be saved.
        """
        ...

    def finish(self) -> None:
        """Complete the sink after the last commit."""
        ...

    def close(self) -> None:
        """Free resources, finished or not."""
        ...
