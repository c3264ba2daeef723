"""Settings of a scoring run, validated once, for Python and the command line."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from fastlstm.data.labels import is_unicode
from fastlstm.data.options import OnBadRows, ReadOptions
from fastlstm.data.urls import without_credentials
from fastlstm.errors import OptionError, suggest
from fastlstm.inference import Classifier
from fastlstm.kernel.loader import MAX_THREADS, usable_cores
from fastlstm.scoring.columns import DEFAULT_PREFIX, column_names
from fastlstm.scoring.encode import OUTPUT_FORMATS

ROWS_PER_COMMIT = 50_000
ENGINES = ("local", "ray")


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """How rows are scored.

    Attributes:
        text_columns: The columns with the texts. The texts of several columns are joined by line breaks.
        columns: The columns that are copied to the sink. None: all.
        key: The columns that identify a row of a database or an index.
        probabilities: Whether to write the probability of each class.
        prefix: What the names of the new columns begin with.
        threshold: The decision threshold of two classes. None: the model's.
        processes: The number of worker processes, each with one thread. None: the cores of this machine, or of the
            cluster.
        engine: "local": processes of this machine; "ray": actors of a Ray cluster.
        format: The format of the files of a folder. None: Parquet.
        partition_by: Columns whose values become folders of the sink.
        rows_per_commit: The rows of a part file or a transaction, rounded up to chunks of at most 1,024 rows.
        on_bad_rows: "skip": rows that cannot be read are rejected and counted; "stop": the first one is an error.
        bad_rows: The file to list rejected rows in.
        resume: Whether to continue an interrupted run.
        overwrite: Whether to replace the result of an earlier run.
        reading: How text files are read.
    """

    text_columns: tuple[str, ...] = ("text",)
    columns: tuple[str, ...] | None = None
    key: tuple[str, ...] = ()
    probabilities: bool = False
    prefix: str = DEFAULT_PREFIX
    threshold: float | None = None
    processes: int | None = None
    engine: str = "local"
    format: str | None = None
    partition_by: tuple[str, ...] = ()
    rows_per_commit: int = ROWS_PER_COMMIT
    on_bad_rows: OnBadRows = "skip"
    bad_rows: Path | None = None
    resume: bool = False
    overwrite: bool = False
    reading: ReadOptions = field(default_factory=ReadOptions)

    @classmethod
    def create(cls, options: Mapping[str, Any]) -> ScoreSettings:
        """Return validated settings. `text_column`, `columns`, `key` and `partition_by` may be a name or several.

        The attributes `delimiter`, `quoting` and `encoding` of `ReadOptions` are options, too.

        Raises:
            OptionError: Unknown name or bad value.
        """
        known = [f.name for f in dataclasses.fields(cls) if f.name not in ("text_columns", "reading")]
        reading_names = ("delimiter", "quoting", "encoding")
        for name in options:
            if name not in (*known, "text_column", *reading_names):
                raise OptionError(
                    f"unknown option {name!r}; {suggest(name, [*known, 'text_column', *reading_names])}",
                    code="unknown-option",
                    option=name,
                )
        values = {name: value for name, value in options.items() if name in known}
        text_columns = _names("text_column", options.get("text_column", "text"))
        if not text_columns:
            _reject("text_column", options["text_column"], "the name of a column")
        for name in ("columns", "key", "partition_by"):
            if values.get(name) is not None:
                values[name] = _names(name, values[name])
            elif name != "columns":
                values[name] = ()
        if values.get("bad_rows") is not None:
            if not isinstance(values["bad_rows"], str | os.PathLike):
                _reject("bad_rows", values["bad_rows"], "the path of a file")
            if "://" in os.fspath(values["bad_rows"]):
                _reject("bad_rows", without_credentials(os.fspath(values["bad_rows"])), "a file of this machine")
            values["bad_rows"] = Path(values["bad_rows"])
        reading = {name: options[name] for name in reading_names if name in options}
        settings = cls(
            **values,
            text_columns=text_columns,
            reading=ReadOptions.create({**reading, "text_column": text_columns[0]}),
        )
        settings._validate()
        return settings

    def _validate(self) -> None:
        for name, choices in (
            ("engine", ENGINES),
            ("on_bad_rows", get_args(OnBadRows)),
            ("format", OUTPUT_FORMATS),
        ):
            value = getattr(self, name)
            if value not in choices and not (name == "format" and value is None):
                _reject(name, value, suggest(str(value), choices))
        for name, limit in (("processes", MAX_THREADS), ("rows_per_commit", 1 << 31)):
            value = getattr(self, name)
            is_number = isinstance(value, int) and not isinstance(value, bool)
            if not (name == "processes" and value is None) and not (is_number and 1 <= value <= limit):
                _reject(name, value, f"a number from 1 to {limit:,}")
        for name in ("probabilities", "resume", "overwrite"):
            if not isinstance(getattr(self, name), bool):
                _reject(name, getattr(self, name), "True or False")
        prefix: object = self.prefix
        if not isinstance(prefix, str) or not is_unicode(prefix):
            _reject("prefix", self.prefix, "the beginning of column names")
        if self.resume and self.overwrite:
            raise OptionError(
                "`resume` continues a run and `overwrite` replaces its result; pass one of the two",
                code="conflicting-options",
                options=("resume", "overwrite"),
            )

    @property
    def local_processes(self) -> int:
        """The number of processes of this machine."""
        return self.processes or usable_cores()

    def new_columns(self, labels: Sequence[str]) -> dict[str, str | int]:
        """Return the columns that predictions add, as `column_names`."""
        return column_names(labels, self.prefix, probabilities=self.probabilities)

    def identity(self, model: Classifier, source: str) -> dict[str, Any]:
        """Return what must be equal when a run is resumed, as a JSON object.

        Args:
            model: The model.
            source: The source, and what it reads there.
        """
        own = (model.labels, model.saved.threshold, model.saved.tokenizer.to_str())
        return {
            "precision": model.network.precision,
            "model": f"{model.network.fingerprint}-{hashlib.sha256(repr(own).encode()).hexdigest()[:16]}",
            "source": source,
            "delimiter": self.reading.delimiter,
            "quoting": self.reading.quoting,
            "encoding": self.reading.encoding,
            "format": self.format,
            "text_column": list(self.text_columns),
            "columns": None if self.columns is None else list(self.columns),
            "key": list(self.key),
            "probabilities": self.probabilities,
            "prefix": self.prefix,
            "threshold": self.threshold,
            "partition_by": list(self.partition_by),
        }


def _names(option: str, value: object) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else ()
    if not all(isinstance(name, str) for name in names) or (value and not names):
        _reject(option, value, "the name of a column, or a list of names")
    if len(set(names)) < len(names):
        _reject(option, value, "each column once")
    return names


def _reject(name: str, value: object, expected: str) -> None:
    raise OptionError(
        f"`{name}` is {value!r}; expected {expected}", code="bad-option-value", option=name, value=value
    )
