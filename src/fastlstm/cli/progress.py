"""A run as people watch it: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import shlex
import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TextIO, TypeVar

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from fastlstm.cli import output
from fastlstm.cli.output import console, weights_table
from fastlstm.config import TrainingConfig
from fastlstm.errors import Interrupted
from fastlstm.language_model.loop import LanguageModelEpoch, LanguageModelStep
from fastlstm.language_model.run import (
    LanguageModelEvent,
    LanguageModelPrepared,
    LanguageModelResult,
    PerplexityMeasured,
)
from fastlstm.nn.runs import Note
from fastlstm.training.events import (
    Calibrated,
    CandidateDone,
    EpochResult,
    Evaluated,
    Prepared,
    StepDone,
    TrainingEvent,
    TrainingResult,
)

RunEvent = TypeVar("RunEvent")


def resuming(arguments: list[str]) -> str:
    """The command line that goes on with the run of these arguments."""
    return shlex.join(["fastlstm", *(argument for argument in arguments if argument != "--resume"), "--resume"])


def watch(
    events: Generator[RunEvent, None, None],
    shown: Callable[[RunEvent], object],
    last: type[RunEvent],
    stopped: Callable[[], str],
) -> None:
    """Shows a run's events as they come. Ctrl-C closes the run, and `stopped` then says what is left of it.

    Raises `Interrupted` with that, unless the `last` kind of event was there already.
    """
    with stop_on_interrupt() as asked_to_stop:
        for event in events:
            shown(event)
            if asked_to_stop() and not isinstance(event, last):
                events.close()
                raise Interrupted(stopped())


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks to stop after the running step; a second one stops at once."""
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked:
            signal.default_int_handler(number, frame)
        asked.append(number)
        output.note("stopping after this step; Ctrl-C again stops at once, without saving")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


PLAIN_SECONDS = 10.0
"""Between two lines on the running epoch where there is no terminal."""
MAX_NATS = 700.0
"""A loss whose exponential is still a number."""


class Display:
    """Shows a run's events on `file`. `result`, or `pretrained`, is there once the run has finished."""

    result: TrainingResult
    pretrained: LanguageModelResult

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._console = console(file)
        self._live = file.isatty()
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._epochs = self._pretraining_epochs = 0
        self._last_line = time.monotonic()

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_bar()

    def note(self, text: str) -> None:
        """One line."""
        self._console.print(text, markup=False, soft_wrap=True)

    def download(self, done: int, total: int | None) -> None:
        """How far a download is, in bytes."""
        if self._live:
            self._bar("downloading", done, total, f"{done / 1e6:.0f} MB")
        elif time.monotonic() - self._last_line > PLAIN_SECONDS:
            self._last_line = time.monotonic()
            self.note(f"downloaded {done / 1e6:.0f} MB" + (f" of {total / 1e6:.0f} MB" if total else ""))

    def show(self, event: TrainingEvent) -> None:
        """Shows one event."""
        match event:
            case Note():
                self.note(event.text)
            case Prepared():
                self._prepared(event)
            case LanguageModelStep():
                self._pretraining_step(event)
            case LanguageModelEpoch():
                self._pretraining_epoch(event)
            case StepDone():
                self._step(event)
            case EpochResult():
                self._epoch(event)
            case Calibrated():
                self._calibrated(event)
            case CandidateDone():
                self._end_bar()
                self.note(f"{event.name}: {event.report.accuracy:.2%} on validation; {event.seconds:.0f} s")
            case Evaluated():
                self._end_bar()
                report = event.report
                figures = f"accuracy {report.accuracy:.2%}, calibration error {report.calibration_error:.2%}"
                self.note(f"{event.name}: {figures} on {event.measured_on}; {event.seconds:.1f} s")
            case TrainingResult():
                self.result = event

    def show_pretraining(self, event: LanguageModelEvent) -> None:
        """Shows one event of a language model's run."""
        match event:
            case LanguageModelPrepared():
                self._pretraining_epochs = event.training.epochs
                self.note(
                    f"reading {event.texts:,} texts, {event.tokens:,} tokens ({event.device}), vocabulary "
                    f"{event.model.vocabulary_size:,}; perplexity on {event.held_out_texts:,} held-out texts"
                )
            case PerplexityMeasured():
                best = "  best" if event.best else ""
                self.note(
                    f"epoch {event.epoch}: perplexity {event.perplexity.perplexity:.2f} on held-out texts{best}"
                )
            case LanguageModelResult():
                self._end_bar()
                self.pretrained = event
            case _:
                self.show(event)

    def begin(self, training: TrainingConfig) -> None:
        """From here on, steps are those of a run of so many epochs."""
        self._end_bar()
        self._epochs, self._pretraining_epochs = training.epochs, training.pretraining_epochs

    def _prepared(self, event: Prepared) -> None:
        self.begin(event.training)
        weights_table(event.model, len(event.labels), self._file)
        tested = f"testing on {event.test_texts:,}" if event.test_texts else "and no test texts: see --test"
        self.note(
            f"training on {event.training_texts:,} texts ({event.device}), choosing the epoch on "
            f"{event.validation_texts:,}, {tested}"
        )

    def _pretraining_step(self, event: LanguageModelStep) -> None:
        rate = event.tokens / max(event.seconds, 1e-9)
        perplexity = math.exp(min(event.recent, MAX_NATS))
        details = f"{rate / 1000:,.0f}k tokens/s  loss {event.recent:.4f}  perplexity {perplexity:,.1f}"
        if self._live:
            done = (event.epoch - 1) * event.steps + event.step
            description = f"pretraining, epoch {event.epoch}/{self._pretraining_epochs}"
            self._bar(description, done, self._pretraining_epochs * event.steps, details)
        elif time.monotonic() - self._last_line > PLAIN_SECONDS:
            self._last_line = time.monotonic()
            steps_left = (self._pretraining_epochs - event.epoch + 1) * event.steps - event.step
            left = max(event.seconds / event.step * steps_left, 0)
            self.note(
                f"pretraining, epoch {event.epoch}: step {event.step}/{event.steps}  {details}  {left:.0f} s left"
            )

    def _pretraining_epoch(self, event: LanguageModelEpoch) -> None:
        self._last_line = time.monotonic()
        self.note(
            f"pretraining, epoch {event.epoch}/{self._pretraining_epochs}  loss {event.loss:.4f} a token  "
            f"{event.seconds:.1f} s  {event.tokens / event.seconds / 1000:,.0f}k tokens/s"
        )

    def _step(self, event: StepDone) -> None:
        rate = event.tokens / max(event.seconds, 1e-9)
        details = f"{rate / 1000:,.0f}k tokens/s  loss {event.loss:.4f}  accuracy {event.accuracy:.2%}"
        if self._live:
            done = (event.epoch - 1) * event.steps + event.step
            self._bar(f"epoch {event.epoch}/{self._epochs}", done, self._epochs * event.steps, details)
        elif time.monotonic() - self._last_line > PLAIN_SECONDS:
            self._last_line = time.monotonic()
            steps_left = (self._epochs - event.epoch + 1) * event.steps - event.step
            left = max(event.seconds / event.step * steps_left, 0)
            self.note(f"epoch {event.epoch}: step {event.step}/{event.steps}  {details}  {left:.0f} s left")

    def _epoch(self, event: EpochResult) -> None:
        self._last_line = time.monotonic()
        self.note(
            f"epoch {event.epoch}/{self._epochs}  loss {event.loss:.4f}  accuracy {event.accuracy:.2%}  "
            f"validation loss {event.validation_loss:.4f}  accuracy {event.validation_accuracy:.2%}  "
            f"{event.seconds:.1f} s  {event.tokens / event.seconds / 1000:,.0f}k tokens/s"
            f"{'  best' if event.best else ''}"
        )

    def _calibrated(self, event: Calibrated) -> None:
        self._end_bar()
        of, before, after = event.calibration, event.before, event.after
        if of.why_not:
            self.note(f"probabilities are left as they are: {of.why_not}")
        elif of.method != "none":
            found = f"temperature {of.temperature:.4g}" if of.method == "temperature" else of.method
            error = f"calibration error {before.calibration_error:.2%} -> {after.calibration_error:.2%}"
            self.note(
                f"probabilities fitted to the {of.texts:,} validation texts by {found}: "
                f"there {error}, loss {before.loss:.4f} -> {after.loss:.4f}"
            )
        if event.threshold_metric != "none":
            self.note(
                f"{event.labels[1]} is predicted from the probability {of.threshold:.4g} on, for the best "
                f"{event.threshold_metric} on validation"
            )

    def _bar(self, description: str, done: int, total: int | None, details: str) -> None:
        if self._progress is None:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                TextColumn("{task.fields[details]}"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._progress.start()
            self._task = self._progress.add_task(description, total=total, details=details)
        self._progress.update(self._task, description=description, completed=done, total=total, details=details)

    def _end_bar(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
