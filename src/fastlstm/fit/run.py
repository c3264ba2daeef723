"""One training run, from data to saved model, as a generator of events."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastlstm import __version__, atomic, plots, saved_model
from fastlstm.config import ModelConfig, TrainingConfig
from fastlstm.errors import InputError, ResumeError, TrainingError
from fastlstm.fit.data import RunData
from fastlstm.fit.events import Event, Measured, Note, Prepared, TrainingResult
from fastlstm.inference import Classifier
from fastlstm.inference.network import probabilities_of
from fastlstm.metrics import Report, evaluate
from fastlstm.records import Records
from fastlstm.training import baseline
from fastlstm.training.fitting import Fitting, prepare
from fastlstm.training.history import EpochResult
from fastlstm.training.loop import logits_of
from fastlstm.training.state import is_checkpoint

CHECKPOINT_SECONDS = 15.0
"""How much work a crash may cost."""
PARITY_TEXTS = 64
PARITY_TOLERANCE = 1e-4
"""Training and inference may differ by so much in a probability (float32 sums in another order)."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a run is to do. Frozen, so that two runs of equal jobs on equal data are equal."""

    data: RunData
    model: ModelConfig
    training: TrainingConfig
    out: Path
    preset: str
    cap_vocabulary: bool = True
    device: str = "auto"
    overwrite: bool = False
    resume: bool = False
    baseline: bool = True
    plots: bool = False


def run(job: Job) -> Generator[Event, None, None]:
    """Trains, measures and saves; the last event is the `TrainingResult`.

    The state is saved in `checkpoint_of(job.out)` as training goes, and whenever the caller closes the
    generator; that file goes when the model is saved.

    Raises:
        InputError: something about the job is wrong; nothing was written.
        WriteError: the model or a checkpoint can't be written; an older model is untouched.
        TrainingError: the loss went astray.
    """
    check_place(job.out, overwrite=job.overwrite, resume=job.resume)
    if job.plots:
        plots.require()
    data = job.data
    fitting = prepare(
        data.training,
        data.validation,
        job.model,
        job.training,
        device=job.device,
        cap_vocabulary=job.cap_vocabulary,
    )
    yield from _notes(job, fitting)
    yield Prepared(
        model=fitting.model_config,
        training=job.training,
        labels=fitting.labels,
        device=fitting.identity["device"],
        training_texts=len(data.training),
        validation_texts=len(data.validation),
        test_texts=len(data.test or ()),
    )
    yield from _begin(job, fitting)
    compared = yield from _baseline(job, fitting)
    yield from _train(job, fitting)
    yield from _finish(job, fitting, compared)


def checkpoint_of(out: Path) -> Path:
    """The file beside `out` that an unfinished run can go on from."""
    return out.with_name(f"{out.name}.checkpoint")


def check_place(out: Path, *, overwrite: bool, resume: bool) -> None:
    """Raises `InputError` or `WriteError` if a run could not be saved as `out`, before it costs any time."""
    if not out.name:
        raise InputError(f"the model can't be written as {out}; expected the name of a folder to make: pass --out")
    checkpoint = checkpoint_of(out)
    if checkpoint.exists() and not is_checkpoint(checkpoint):
        raise InputError(
            f"{checkpoint} is there and is not a checkpoint of fastlstm, so it is never written over; "
            "move it, or choose another --out"
        )
    if resume and not checkpoint.is_file():
        raise ResumeError(f"nothing to resume: no checkpoint at {checkpoint}; run the command without --resume")
    if not resume and checkpoint.exists() and not overwrite:
        raise InputError(
            f"{checkpoint} holds an unfinished run; pass --resume to go on with it, or --overwrite to start anew"
        )
    saved_model.check_target(out, overwrite=overwrite or resume)
    atomic.check_writable(out)


def _notes(job: Job, fitting: Fitting) -> Iterator[Note]:
    if fitting.model_config.vocabulary_size < job.model.vocabulary_size:
        yield Note(f"vocabulary: {fitting.model_config.vocabulary_size:,} words, all that the training texts have")
    if fitting.longer:
        share = f"{fitting.longer:.0%}" if fitting.longer >= 0.01 else "less than 1%"
        read = "the beginning and the end" if job.model.truncate == "both" else f"the {job.model.truncate}"
        yield Note(f"{share} of texts are longer than {job.model.max_tokens} tokens; of these {read} is read")
    if repeated := job.data.repeated:
        yield Note(f"{repeated:,} of the {len(job.data.measured):,} texts measured on stand in training too")


def _begin(job: Job, fitting: Fitting) -> Iterator[Note]:
    """From here on there is a checkpoint to go on from."""
    state, checkpoint = fitting.state, checkpoint_of(job.out)
    if job.resume:
        state.restore(checkpoint, fitting.identity)
        _check_finished_model(job, fitting)
        yield Note(f"going on after {state.epoch} finished epochs and {state.step} steps of the next")
    else:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        state.save(checkpoint, fitting.identity)


def _baseline(job: Job, fitting: Fitting) -> Generator[Measured, None, Report | None]:
    """Before training, while memory is free: the figure to beat."""
    if not job.baseline:
        return None
    started = time.perf_counter()
    report = baseline.baseline_report(job.data.training, job.data.measured, fitting.labels)
    yield Measured(baseline.NAME, report, job.data.measured_on, time.perf_counter() - started)
    return report


def _train(job: Job, fitting: Fitting) -> Iterator[Event]:
    state, checkpoint = fitting.state, checkpoint_of(job.out)
    saved = time.monotonic()
    try:
        for event in fitting.epochs():
            if isinstance(event, EpochResult) or time.monotonic() - saved > CHECKPOINT_SECONDS:
                state.save(checkpoint, fitting.identity)
                saved = time.monotonic()
            yield event
    except GeneratorExit:  # the caller stops here, between two steps
        state.save(checkpoint, fitting.identity)
        raise


def _check_finished_model(job: Job, fitting: Fitting) -> None:
    """A resumed run may write over a model without `--overwrite` only if it was this run that wrote it."""
    if job.overwrite or not (job.out / saved_model.CONFIG).exists():
        return
    if saved_model.read(job.out).training.get("identity") != fitting.identity:
        raise InputError(
            f"{job.out} holds another run's model; pass --overwrite to replace it, or choose another --out"
        )


def _finish(job: Job, fitting: Fitting, compared: Report | None) -> Iterator[Event]:
    data, history = job.data, tuple(fitting.state.history)
    classifier = Classifier(fitting.saved_model({}))
    _check_parity(classifier, fitting, data.validation)
    started = time.perf_counter()
    report = _report(fitting, data.measured)
    yield Measured("LSTM", report, data.measured_on, time.perf_counter() - started)
    classifier = Classifier(fitting.saved_model(_record(job, fitting, report, compared)))
    extras = {"history.json": saved_model.json_bytes([dataclasses.asdict(result) for result in history])}
    if job.plots:
        extras |= _plots(history, report)
    classifier.save(job.out, overwrite=job.overwrite or job.resume, extras=extras)
    checkpoint_of(job.out).unlink(missing_ok=True)
    yield TrainingResult(classifier, job.out, history, report, compared, data.measured_on)


def _report(fitting: Fitting, records: Records) -> Report:
    encoded = fitting.encode(records)
    logits = logits_of(fitting.state.model, encoded.texts).numpy()
    return evaluate(probabilities_of(logits, fitting.state.model.sigmoid), encoded.truth, fitting.labels)


def _check_parity(classifier: Classifier, fitting: Fitting, records: Records) -> None:
    """Raises `TrainingError` if inference would answer otherwise than training does."""
    if fitting.identity["device"] != "cpu":
        return  # a GPU rounds far coarser (TF32) than any fault this could find
    some = records.take(range(min(PARITY_TEXTS, len(records))))
    logits = logits_of(fitting.state.model, fitting.encode(some).texts).numpy()
    difference = np.abs(
        classifier.predict_proba(some.texts) - probabilities_of(logits, fitting.state.model.sigmoid)
    ).max()
    if not difference <= PARITY_TOLERANCE:
        raise TrainingError(
            f"inference differs from training by {difference:.2g} in a probability, more than "
            f"{PARITY_TOLERANCE:g}; please report this with the command you ran"
        )


def _record(job: Job, fitting: Fitting, report: Report, compared: Report | None) -> dict[str, Any]:
    """How the model came about, as config.json keeps it."""
    best = max(result.epoch for result in fitting.state.history if result.best)

    def figures(of: Report) -> dict[str, Any]:
        return {name: getattr(of, name) for name in ("accuracy", "loss", "macro_f1", "calibration_error", "texts")}

    return {
        "fastlstm_version": __version__,
        "preset": job.preset,
        "config": dataclasses.asdict(job.training),
        "identity": fitting.identity,
        "data": {
            "train": job.data.origin,
            "train_texts": len(job.data.training),
            "validation_texts": len(job.data.validation),
        },
        "epochs": len(fitting.state.history),
        "best_epoch": best,
        "results": {"evaluated_on": job.data.measured_on, **figures(report)},
        "baseline": {"name": baseline.NAME, **figures(compared)} if compared else None,
    }


def _plots(history: tuple[EpochResult, ...], report: Report) -> dict[str, bytes]:
    curves = plots.learning_curves(
        [r.epoch for r in history],
        ([r.loss for r in history], [r.validation_loss for r in history]),
        ([r.accuracy for r in history], [r.validation_accuracy for r in history]),
        max(r.epoch for r in history if r.best),
    )
    return {"plots/learning_curves.png": plots.png(curves), "plots/report.png": plots.png(report.plot())}
