"""One training run, from data to saved model, as a generator of events."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Iterator
from pathlib import Path

from fastlstm import saved_language_model, saved_model
from fastlstm.fit.checkpoints import check_own_model, checkpointed
from fastlstm.fit.early_exit import with_early_exit
from fastlstm.fit.events import Event, Measured, Note, TrainingResult
from fastlstm.fit.job import Job, check_before, checkpoint_of
from fastlstm.fit.ladder import climb
from fastlstm.fit.notes import arithmetic_notes
from fastlstm.fit.outcome import BUDGET_NOTE, calibrated, check_parity, measure, plotted, prepared, training_record
from fastlstm.fit.teaching import Teacher, TeacherOnDevice, lesson
from fastlstm.inference import Classifier
from fastlstm.inference.classifier import load
from fastlstm.metrics import Report
from fastlstm.model_folder import CONFIG, json_bytes
from fastlstm.training import baseline
from fastlstm.training.fitting import Fitting, find_device, prepare
from fastlstm.training.history import EpochResult
from fastlstm.training.kernel_lstm import multiplied
from fastlstm.training.language_model.state import PretrainingEpoch

CHECKPOINT_SECONDS = 15.0
"""How much work a crash may cost."""


def run(job: Job) -> Generator[Event, None, None]:
    """Trains, measures and saves; the last event is the `TrainingResult`.

    The state is saved in `checkpoint_of(job.out)` as training goes, and whenever the caller closes the
    generator; that file goes when the model is saved.

    Raises:
        InputError: something about the job is wrong; nothing was written.
        WriteError: the model or a checkpoint can't be written; an older model is untouched.
        TrainingError: the loss went astray.
    """
    check_before(job.out, overwrite=job.overwrite, resume=job.resume, device=job.device, plots=job.plots)
    if job.budget is None:
        yield from _run_once(job)
        return
    started = time.monotonic()
    compared = yield from _baseline(job)
    best = yield from climb(job, job.budget - (time.monotonic() - started))
    yield Note(f"the best on validation: {best.name}")
    done = best.job
    if done.data.test is None:
        done = dataclasses.replace(done, data=dataclasses.replace(done.data, measured_on=BUDGET_NOTE))
    yield from _finish(dataclasses.replace(done, overwrite=True), best.fitting, compared)


def _run_once(job: Job) -> Generator[Event, None, None]:
    data = job.data
    taught = None
    if job.teacher is not None:
        yield Note(f"the teacher reads {len(data.training) + len(data.unlabelled):,} texts first")
        started = time.perf_counter()
        taught = lesson(_teacher(job, job.teacher), data.training, data.unlabelled)
        yield Note(f"the teacher has read {len(taught.records):,} texts; {time.perf_counter() - started:.1f} s")
    fitting = prepare(
        data.training if taught is None else taught.records,
        data.validation,
        job.model,
        job.training,
        device=job.device,
        cap_vocabulary=job.cap_vocabulary,
        unlabelled=data.unlabelled if taught is None else (),
        encoder=None if job.encoder is None else saved_language_model.read(job.encoder),
        shares=None if taught is None else taught.shares,
    )
    yield from _notes(job, fitting)
    yield prepared(job, fitting)
    yield from _begin(job, fitting)
    compared = yield from _baseline(job)
    yield from _train(job, fitting)
    yield from _finish(job, fitting, compared)


def _teacher(job: Job, folder: Path) -> Teacher:
    device = find_device(job.device)
    if device.type == "cpu":
        return load(folder, precision=multiplied(job.training.precision))
    return TeacherOnDevice(saved_model.read(folder), device)


def _notes(job: Job, fitting: Fitting) -> Iterator[Note]:
    yield from arithmetic_notes(fitting.training_config.precision, fitting.identity)
    if job.encoder is None and fitting.model_config.vocabulary_size < job.model.vocabulary_size:
        yield Note(f"vocabulary: {fitting.model_config.vocabulary_size:,} words, all that the training texts have")
    if fitting.longer:
        share = f"{fitting.longer:.0%}" if fitting.longer >= 0.01 else "less than 1%"
        read = "the beginning and the end are" if job.model.truncate == "both" else f"the {job.model.truncate} is"
        yield Note(f"{share} of texts are longer than {job.model.max_tokens} tokens; of these {read} read")
    if repeated := job.data.repeated:
        yield Note(f"{repeated:,} of the {len(job.data.measured):,} texts measured on stand in training too")


def _begin(job: Job, fitting: Fitting) -> Iterator[Note]:
    """From here on there is a checkpoint to go on from."""
    checkpoint = checkpoint_of(job.out)
    if job.resume:
        fitting.restore(checkpoint)
        _check_finished_model(job, fitting)
        state = fitting.running
        yield Note(f"going on after {state.epoch} finished epochs and {state.step} steps of the next")
    else:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        fitting.save(checkpoint)


def _baseline(job: Job) -> Generator[Measured, None, Report | None]:
    """Before training, while memory is free: the figure to beat."""
    if not job.baseline:
        return None
    started = time.perf_counter()
    report = baseline.baseline_report(job.data.training, job.data.measured, tuple(job.data.training.class_names))
    yield Measured(baseline.NAME, report, job.data.measured_on, time.perf_counter() - started)
    return report


def _train(job: Job, fitting: Fitting) -> Iterator[Event]:
    def save() -> None:
        fitting.save(checkpoint_of(job.out))

    epochs = EpochResult, PretrainingEpoch
    yield from checkpointed(fitting.epochs(), save, whole=epochs, seconds=CHECKPOINT_SECONDS)


def _check_finished_model(job: Job, fitting: Fitting) -> None:
    """A resumed run may write over a model without `--overwrite` only if it was this run that wrote it."""
    if job.overwrite or not (job.out / CONFIG).exists():
        return
    check_own_model(job.out, saved_model.read(job.out).training.get("identity"), fitting.identity)


def _finish(job: Job, fitting: Fitting, compared: Report | None) -> Iterator[Event]:
    data, history = job.data, tuple(fitting.state.history)
    calibration = calibrated(fitting)
    yield calibration
    chosen = calibration.calibration
    check_parity(Classifier(fitting.saved_model({}, chosen)), fitting, data.validation, chosen)
    started = time.perf_counter()
    report = measure(fitting, data.measured, chosen)
    yield Measured("LSTM", report, data.measured_on, time.perf_counter() - started)
    record = training_record(job, fitting, calibration, report, compared)
    classifier = Classifier(fitting.saved_model(record, chosen))
    if job.early_exit:
        classifier, note = with_early_exit(classifier, data.validation.texts)
        yield note
    extras = {"history.json": json_bytes([dataclasses.asdict(result) for result in history])}
    if job.plots:
        extras |= plotted(history, report)
    classifier.save(job.out, overwrite=job.overwrite or job.resume, extras=extras)
    checkpoint_of(job.out).unlink(missing_ok=True)
    yield TrainingResult(classifier, job.out, history, report, compared, data.measured_on)
