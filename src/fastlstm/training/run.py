"""One training run, from data to saved model, as a generator of events."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Iterator
from pathlib import Path

from fastlstm.inference import Classifier
from fastlstm.inference.classifier import load
from fastlstm.language_model.loop import LanguageModelEpoch
from fastlstm.metrics import Report
from fastlstm.nn.device import find_device
from fastlstm.nn.kernel_lstm import effective_precision
from fastlstm.nn.runs import (
    CHECKPOINT_SECONDS,
    Note,
    check_output,
    check_same_run,
    checkpoint_path,
    precision_notes,
    with_checkpoints,
)
from fastlstm.serialization.classifier import read_classifier
from fastlstm.serialization.folder import CONFIG, json_bytes
from fastlstm.serialization.language_model import read_language_model
from fastlstm.training.budget import select_best
from fastlstm.training.distillation import PyTorchTeacher, Teacher, soft_targets
from fastlstm.training.early_exit import add_early_exit
from fastlstm.training.evaluation import (
    BUDGET_NOTE,
    calibrate_model,
    check_parity,
    evaluate_model,
    prepared_event,
    training_plots,
    training_record,
)
from fastlstm.training.events import EpochResult, Evaluated, TrainingEvent, TrainingResult
from fastlstm.training.linear import BASELINE_NAME, baseline_report
from fastlstm.training.prepare import PreparedRun, prepare
from fastlstm.training.settings import TrainingJob


def run(job: TrainingJob) -> Generator[TrainingEvent, None, None]:
    """Trains, measures and saves; the last event is the `TrainingResult`.

    The state is saved in `checkpoint_of(job.out)` as training goes, and whenever the caller closes the
    generator; that file goes when the model is saved.

    Raises:
        InputError: something about the job is wrong; nothing was written.
        WriteError: the model or a checkpoint can't be written; an older model is untouched.
        TrainingError: the loss went astray.
    """
    check_output(job.out, overwrite=job.overwrite, resume=job.resume, device=job.device, plots=job.plots)
    if job.budget is None:
        yield from _run_once(job)
        return
    started = time.monotonic()
    compared = yield from _baseline(job)
    best = yield from select_best(job, job.budget - (time.monotonic() - started))
    yield Note(f"the best on validation: {best.name}")
    done = best.job
    if done.data.test is None:
        done = dataclasses.replace(done, data=dataclasses.replace(done.data, measured_on=BUDGET_NOTE))
    yield from _finish(dataclasses.replace(done, overwrite=True), best.fitting, compared)


def _run_once(job: TrainingJob) -> Generator[TrainingEvent, None, None]:
    data = job.data
    taught = None
    if job.teacher is not None:
        yield Note(f"the teacher reads {len(data.training) + len(data.unlabelled):,} texts first")
        started = time.perf_counter()
        taught = soft_targets(_teacher(job, job.teacher), data.training, data.unlabelled)
        yield Note(f"the teacher has read {len(taught.records):,} texts; {time.perf_counter() - started:.1f} s")
    fitting = prepare(
        data.training if taught is None else taught.records,
        data.validation,
        job.model,
        job.training,
        device=job.device,
        cap_vocabulary=job.cap_vocabulary,
        unlabelled=data.unlabelled if taught is None else (),
        encoder=None if job.encoder is None else read_language_model(job.encoder),
        shares=None if taught is None else taught.shares,
    )
    yield from _notes(job, fitting)
    yield prepared_event(job, fitting)
    yield from _begin(job, fitting)
    compared = yield from _baseline(job)
    yield from _train(job, fitting)
    yield from _finish(job, fitting, compared)


def _teacher(job: TrainingJob, folder: Path) -> Teacher:
    device = find_device(job.device)
    if device.type == "cpu":
        return load(folder, precision=effective_precision(job.training.precision))
    return PyTorchTeacher(read_classifier(folder), device)


def _notes(job: TrainingJob, fitting: PreparedRun) -> Iterator[Note]:
    yield from precision_notes(fitting.training_config.precision, fitting.identity)
    if job.encoder is None and fitting.model_config.vocabulary_size < job.model.vocabulary_size:
        yield Note(f"vocabulary: {fitting.model_config.vocabulary_size:,} words, all that the training texts have")
    if fitting.longer:
        share = f"{fitting.longer:.0%}" if fitting.longer >= 0.01 else "less than 1%"
        read = "the beginning and the end are" if job.model.truncate == "both" else f"the {job.model.truncate} is"
        yield Note(f"{share} of texts are longer than {job.model.max_tokens} tokens; of these {read} read")
    if repeated := job.data.repeated:
        yield Note(f"{repeated:,} of the {len(job.data.measured):,} texts measured on stand in training too")


def _begin(job: TrainingJob, fitting: PreparedRun) -> Iterator[Note]:
    """From here on there is a checkpoint to go on from."""
    checkpoint = checkpoint_path(job.out)
    if job.resume:
        fitting.restore(checkpoint)
        _check_finished_model(job, fitting)
        state = fitting.running
        yield Note(f"going on after {state.epoch} finished epochs and {state.step} steps of the next")
    else:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        fitting.save(checkpoint)


def _baseline(job: TrainingJob) -> Generator[Evaluated, None, Report | None]:
    """Before training, while memory is free: the figure to beat."""
    if not job.baseline:
        return None
    started = time.perf_counter()
    report = baseline_report(job.data.training, job.data.measured, tuple(job.data.training.class_names))
    yield Evaluated(BASELINE_NAME, report, job.data.measured_on, time.perf_counter() - started)
    return report


def _train(job: TrainingJob, fitting: PreparedRun) -> Iterator[TrainingEvent]:
    def save() -> None:
        fitting.save(checkpoint_path(job.out))

    epochs = EpochResult, LanguageModelEpoch
    yield from with_checkpoints(fitting.epochs(), save, whole=epochs, seconds=CHECKPOINT_SECONDS)


def _check_finished_model(job: TrainingJob, fitting: PreparedRun) -> None:
    """A resumed run may write over a model without `--overwrite` only if it was this run that wrote it."""
    if job.overwrite or not (job.out / CONFIG).exists():
        return
    check_same_run(job.out, read_classifier(job.out).training.get("identity"), fitting.identity)


def _finish(job: TrainingJob, fitting: PreparedRun, compared: Report | None) -> Iterator[TrainingEvent]:
    data, history = job.data, tuple(fitting.state.history)
    calibration = calibrate_model(fitting)
    yield calibration
    chosen = calibration.calibration
    check_parity(Classifier(fitting.saved_model({}, chosen)), fitting, data.validation, chosen)
    started = time.perf_counter()
    report = evaluate_model(fitting, data.measured, chosen)
    yield Evaluated("LSTM", report, data.measured_on, time.perf_counter() - started)
    record = training_record(job, fitting, calibration, report, compared)
    classifier = Classifier(fitting.saved_model(record, chosen))
    if job.early_exit:
        classifier, note = add_early_exit(classifier, data.validation.texts)
        yield note
    extras = {"history.json": json_bytes([dataclasses.asdict(result) for result in history])}
    if job.plots:
        extras |= training_plots(history, report)
    classifier.save(job.out, overwrite=job.overwrite or job.resume, extras=extras)
    checkpoint_path(job.out).unlink(missing_ok=True)
    yield TrainingResult(classifier, job.out, history, report, compared, data.measured_on)
