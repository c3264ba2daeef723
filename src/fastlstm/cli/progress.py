"""Progress of a run: a live bar on a terminal, otherwise plain lines. Ctrl-C stops and saves the run."""

from __future__ import annotations

import math
import shlex
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from types import TracebackType
from typing import TextIO, TypeVar

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

import fastlstm.nn  # noqa: F401 -- first: reports a missing `train` extra
from fastlstm.cli.escaping import one_line
from fastlstm.cli.interrupts import PLAIN_SECONDS, stop_on_interrupt
from fastlstm.cli.option_names import current_command, with_options
from fastlstm.cli.output import console, weights_table
from fastlstm.config import TrainingConfig
from fastlstm.errors import Interrupted
from fastlstm.language_model.loop import LanguageModelEpoch, LanguageModelStep
from fastlstm.language_model.perplexity import perplexity_of
from fastlstm.language_model.run import (
    LanguageModelEvent,
    LanguageModelPrepared,
    LanguageModelResult,
    PerplexityMeasured,
)
from fastlstm.metrics import format_accuracy
from fastlstm.nn.runs import checkpoint_path
from fastlstm.notes import Note
from fastlstm.training.events import (
    Calibrated,
    CandidateDone,
    EpochResult,
    Evaluated,
    Prepared,
    StepDone,
    TeacherStep,
    TrainingEvent,
    TrainingResult,
)

RunEvent = TypeVar("RunEvent")


def resume_command(arguments: list[str]) -> str:
    """Return the command line that resumes the run of these arguments."""
    return shlex.join(["fastlstm", *(argument for argument in arguments if argument != "--resume"), "--resume"])


def interrupted_message(out: Path) -> str:
    """Return the message of an interrupted run that saves its model in `out`."""
    if checkpoint_path(out).is_file():
        return f"stopped and saved; resume with: {resume_command(sys.argv[1:])}"
    return "stopped before training started; nothing was saved"


def watch(
    events: Generator[RunEvent, None, None],
    show: Callable[[RunEvent], object],
    last: type[RunEvent],
    interrupted: Callable[[], str],
) -> None:
    """Show the events of a run. Ctrl-C closes the run after the current event, unless that is the `last` one.

    Raises:
        Interrupted: Ctrl-C was pressed; the message is that of `interrupted`, called after the run is closed.
    """
    show(next(events))  # before the first event, Ctrl-C interrupts at once: data is downloaded and read
    with stop_on_interrupt() as stop_requested:
        for event in events:
            show(event)
            if stop_requested() and not isinstance(event, last):
                events.close()
                raise Interrupted(interrupted())


def format_rate(tokens_per_second: float) -> str:
    """Return a speed as text: "950 tokens/s", "1.2k tokens/s", "85k tokens/s"."""
    if tokens_per_second < 1000:
        return f"{tokens_per_second:.0f} tokens/s"
    return f"{tokens_per_second / 1000:,.{1 if tokens_per_second < 9950 else 0}f}k tokens/s"


MAX_EPOCH_LINES = 50
"""Approximate number of lines about epochs. A small dataset has more epochs, which take little time."""


class Display:
    """Shows the events of a run on `file`. At the end of a run, `result` or `language_model` is set."""

    result: TrainingResult
    language_model: LanguageModelResult

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._console = console(file)
        self._live = file.isatty()
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._epochs = self._pretraining_epochs = self._folds = 0
        self._phase = "pretraining, "
        self._last_line = time.monotonic()

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_bar()

    def note(self, text: str) -> None:
        """Print one line, with Python arguments as options of the command."""
        self._console.print(one_line(with_options(text, current_command())), markup=False, soft_wrap=True)

    def download(self, done: int, total: int | None) -> None:
        """Show the progress of a download, in bytes."""
        if self._live:
            self._bar("downloading", done, total, f"{done / 1e6:.0f} MB")
        elif time.monotonic() - self._last_line > PLAIN_SECONDS:
            self._last_line = time.monotonic()
            self.note(f"downloaded {done / 1e6:.0f} MB" + (f" of {total / 1e6:.0f} MB" if total else ""))

    def show(self, event: TrainingEvent) -> None:
        """Show one event of a run."""
        match event:
            case Note():
                self.note(event.text)
            case TeacherStep():
                self._teacher_step(event)
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
                self.end_bar()
                accuracy = format_accuracy(event.report.accuracy, event.report.texts)
                self.note(f"{event.name}: {accuracy} on validation; {event.seconds:.0f} s")
            case Evaluated():
                self.end_bar()
                report = event.report
                accuracy = format_accuracy(report.accuracy, report.texts)
                figures = f"accuracy {accuracy}, calibration error {report.calibration_error:.2%}"
                self.note(f"{event.name}: {figures} on {event.evaluated_on}; {event.seconds:.1f} s")
            case TrainingResult():
                self.result = event

    def show_language_model(self, event: LanguageModelEvent) -> None:
        """Show one event of a language model run."""
        match event:
            case LanguageModelPrepared():
                self._phase = ""
                self._pretraining_epochs = event.training.epochs
                self.note(
                    f"training on {event.device}: {event.texts:,} texts, {event.tokens:,} tokens, vocabulary "
                    f"{event.model.vocabulary_size:,}; perplexity on {event.validation_texts:,} validation texts"
                )
            case PerplexityMeasured():
                best = "  best" if event.best else ""
                self.note(
                    f"epoch {event.epoch}: perplexity {event.perplexity.perplexity:.2f} on validation texts{best}"
                )
            case LanguageModelResult():
                self.end_bar()
                self.language_model = event
            case _:
                self.show(event)

    def _teacher_step(self, event: TeacherStep) -> None:
        details = f"{event.texts:,} of {event.total:,} texts  {event.texts / max(event.seconds, 1e-9):,.0f} texts/s"
        if event.texts == event.total:
            self.end_bar()
        elif self._live:
            self._bar("teacher", event.texts, event.total, details)
        elif time.monotonic() - self._last_line > PLAIN_SECONDS:
            self._last_line = time.monotonic()
            self.note(f"teacher: {details}")

    def start_training(self, training: TrainingConfig) -> None:
        """Reset the number of epochs to that of a new training."""
        self.end_bar()
        self._epochs, self._pretraining_epochs = training.epochs, training.pretraining_epochs

    def _prepared(self, event: Prepared) -> None:
        self._folds = event.folds
        self.start_training(event.training)
        if event.is_linear:
            self.note(f"linear model of up to {event.model.ngrams:,} words and word pairs, without an LSTM")
        else:
            weights_table(event.model, len(event.labels), self._file)
        test = f"{event.test_texts:,} test texts" if event.test_texts else "no test texts (see --test)"
        validation = f"{event.validation_texts:,} validation texts"
        if event.folds:
            validation = f"{event.folds}-fold cross-validation"
        self.note(f"training on {event.device}: {event.training_texts:,} training texts, {validation}, {test}")

    def _pretraining_step(self, event: LanguageModelStep) -> None:
        rate = event.tokens / max(event.seconds, 1e-9)
        perplexity = perplexity_of(event.smoothed_loss)
        details = f"{format_rate(rate)}  loss {event.smoothed_loss:.4f}  perplexity {perplexity:,.1f}"
        if self._live:
            done = (event.epoch - 1) * event.steps + event.step
            description = f"{self._phase}epoch {event.epoch}/{self._pretraining_epochs}"
            self._bar(description, done, self._pretraining_epochs * event.steps, details)
        elif time.monotonic() - self._last_line > PLAIN_SECONDS:
            self._last_line = time.monotonic()
            steps_left = (self._pretraining_epochs - event.epoch + 1) * event.steps - event.step
            seconds_left = max(event.seconds / event.step * steps_left, 0)
            self.note(
                f"{self._phase}epoch {event.epoch}: step {event.step}/{event.steps}  {details}  "
                f"{seconds_left:.0f} s left"
            )

    def _pretraining_epoch(self, event: LanguageModelEpoch) -> None:
        self._last_line = time.monotonic()
        self.note(
            f"{self._phase}epoch {event.epoch}/{self._pretraining_epochs}  loss {event.loss:.4f} per token  "
            f"{event.seconds:.1f} s  {format_rate(event.tokens / max(event.seconds, 1e-9))}"
        )

    def _step(self, event: StepDone) -> None:
        rate = event.tokens / max(event.seconds, 1e-9)
        details = f"{format_rate(rate)}  loss {event.loss:.4f}  accuracy {event.accuracy:.2%}"
        if self._live:
            done = (event.epoch - 1) * event.steps + event.step
            self._bar(f"epoch {event.epoch}/{self._epochs}", done, self._epochs * event.steps, details)
        elif time.monotonic() - self._last_line > PLAIN_SECONDS:
            self._last_line = time.monotonic()
            steps_left = (self._epochs - event.epoch + 1) * event.steps - event.step
            seconds_left = max(event.seconds / event.step * steps_left, 0)
            self.note(f"epoch {event.epoch}: step {event.step}/{event.steps}  {details}  {seconds_left:.0f} s left")

    def _epoch(self, event: EpochResult) -> None:
        if event.epoch % math.ceil(self._epochs / MAX_EPOCH_LINES) and 1 < event.epoch < self._epochs:
            return
        self._last_line = time.monotonic()
        self.note(
            f"epoch {event.epoch}/{self._epochs}  loss {event.loss:.4f}  accuracy {event.accuracy:.2%}  "
            f"validation loss {event.validation_loss:.4f}  accuracy {event.validation_accuracy:.2%}  "
            f"{event.seconds:.1f} s  {format_rate(event.tokens / max(event.seconds, 1e-9))}"
            f"{'  best' if event.best else ''}"
        )

    def _calibrated(self, event: Calibrated) -> None:
        self.end_bar()
        calibration, before, after = event.calibration, event.before, event.after
        blend, kind = calibration.blend, "left-out" if self._folds else "validation"
        if blend.lstm and (blend.lstm, blend.wide) != (1.0, 1.0):
            self.note(
                f"the scores of both parts are added: {blend.lstm:.4g} x LSTM + {blend.wide:.4g} x n-grams, weights "
                f"fitted on {calibration.texts:,} {kind} texts"
            )
        if calibration.method != "none":
            temperature = f" {calibration.temperature:.4g}" if calibration.method == "temperature" else ""
            self.note(
                f"calibrated on {calibration.texts:,} {kind} texts ({calibration.method}{temperature}): "
                f"calibration error {before.calibration_error:.2%} -> {after.calibration_error:.2%}, "
                f"loss {before.loss:.4f} -> {after.loss:.4f}"
            )
        if event.threshold_metric != "none":
            self.note(
                f"decision threshold of {event.labels[1]}: {calibration.threshold:.4g}, which maximizes "
                f"{event.threshold_metric} on the {kind} texts"
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

    def end_bar(self) -> None:
        """Remove the progress bar, if there is one."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
