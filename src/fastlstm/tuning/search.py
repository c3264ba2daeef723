"""A search, trial after trial, as a generator of events."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from fastlstm.config import TrainingConfig
from fastlstm.errors import InputError, ResumeError, TrainingError
from fastlstm.nn.device import find_device
from fastlstm.nn.runs import Note
from fastlstm.serialization.classifier import check_classifier_target
from fastlstm.training.evaluation import calibrate_model
from fastlstm.training.events import EpochResult
from fastlstm.training.prepare import PreparedRun, TrainingProgress, prepare
from fastlstm.training.settings import TrainingJob
from fastlstm.tuning.events import Metric, Trial, TrialDone, TrialStarted, TrialState, TuningEvent, best_trial
from fastlstm.tuning.results import finish, list_trials, save_best, saved_trial
from fastlstm.tuning.settings import TuningJob, check_before_tuning, study_path
from fastlstm.tuning.space import sampled_values, search_space
from fastlstm.tuning.study import Study, SuggestedTrial


def search(job: TuningJob) -> Generator[TuningEvent, None, None]:
    """Tries configurations, keeps the best one's model, and measures it; the last event is the `TuningResult`.

    The best model so far is in `job.out` as soon as its trial has ended, and every trial in `study_of(job.out)`.
    Where the caller closes the generator, the running trial counts as stopped, and a search that goes on tries it
    again.

    Raises:
        InputError: something about the job is wrong; nothing was written.
        WriteError: the model or the trials can't be written; an older model is untouched.
        TrainingError: no trial came to an end.
    """
    started = time.monotonic()
    check_before_tuning(
        job.out,
        job.preset,
        job.given,
        metric=job.metric,
        device=job.device,
        overwrite=job.overwrite,
        resume=job.resume,
        plots=job.plots,
    )
    study = _open(job)
    if job.resume:
        yield Note(f"going on after {_trials(study.finished)}")
    end = None if job.budget is None else started + job.budget
    try:
        while not _late(end) and (job.trials is None or study.finished < job.trials):
            yield from _try_next(job, study, end)
    except InputError:  # these options don't fit these texts: nothing is to go on from
        if not study.trials:
            study_path(job.out).unlink(missing_ok=True)
        raise
    if study.best is None:
        raise TrainingError(_nothing(study))
    yield from finish(job, study)


def _open(job: TuningJob) -> Study:
    path = study_path(job.out)
    if not job.resume:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    space = search_space(job.preset, job.given)
    seed = job.trial({}).training.seed
    study = Study(path, _identity(job, space), space, sampled_values(job.preset), metric=job.metric, seed=seed)
    saved = saved_trial(job.out, study.key)
    study.settle(saved)
    if study.best is None and saved is None:
        check_classifier_target(job.out, overwrite=job.overwrite)
    if study.best is not None and saved != (study.best.number, study.best.state):
        raise ResumeError(
            f"{job.out} no longer holds the model of trial {study.best.number}, the best one of {path}; "
            "put it back, or start anew with --overwrite and without --resume"
        )
    return study


def _identity(job: TuningJob, space: tuple[Any, ...]) -> dict[str, Any]:
    data = job.data
    return {
        "preset": job.preset,
        "options": {name: value for name, value in sorted(job.given.items()) if value is not None},
        "seed": job.trial({}).training.seed,
        "metric": job.metric,
        "device": find_device(job.device).type,
        "space": [repr(field) for field in space],
        "training data": _fingerprint(data.training.texts, data.training.labels),
        "validation data": _fingerprint(data.validation.texts, data.validation.labels),
        "unlabelled data": _fingerprint(data.unlabelled),
    }


def _fingerprint(*columns: Sequence[str]) -> str:
    listed = json.dumps([list(column) for column in columns])
    return hashlib.sha256(listed.encode(errors="surrogatepass")).hexdigest()[:16]


def _late(end: float | None) -> bool:
    return end is not None and time.monotonic() >= end


def _trials(count: int) -> str:
    return "1 trial" if count == 1 else f"{count} trials"


def _nothing(study: Study) -> str:
    failed = [trial.why_not for trial in study.trials if trial.state == "failed"]
    if failed:
        return f"no trial came to an end: {failed[-1]}"
    return (
        "the budget was over before one epoch of the first trial was; "
        "pass a longer --budget, or a smaller model, such as --preset tutorial"
    )


def _try_next(job: TuningJob, study: Study, end: float | None) -> Iterator[TuningEvent]:
    trial = RunningTrial(job, study, study.ask())
    try:
        yield TrialStarted(trial.asked.number, trial.changes, trial.run.training)
        state = yield from trial.train(end)
    except GeneratorExit:  # the caller stops here, between two steps
        trial.end("stopped")
        raise
    except TrainingError as error:
        yield trial.end("failed", str(error))
    else:
        yield trial.end(state)


class RunningTrial:
    """One trial, from its configuration to its end."""

    def __init__(self, job: TuningJob, study: Study, asked: SuggestedTrial) -> None:
        self.asked = asked
        self.run: TrainingJob = job.trial(asked.values)
        self._job, self._study = job, study
        self._fitting: PreparedRun | None = None
        self._started = time.perf_counter()
        standing = sampled_values(job.preset)
        self.changes = {name: value for name, value in asked.values.items() if value != standing[name]}

    def train(self, end: float | None) -> Generator[TrainingProgress, None, TrialState]:
        """Trains; returns how it ended.

        Raises `TrainingError` if the loss went astray.
        """
        run = self.run
        fitting = self._fitting = prepare(
            run.data.training,
            run.data.validation,
            run.model,
            run.training,
            device=run.device,
            cap_vocabulary=run.cap_vocabulary,
            unlabelled=run.data.unlabelled,
        )
        for event in fitting.epochs():
            yield event
            if isinstance(event, EpochResult) and self._hopeless(event, fitting.training_config):
                return "pruned"
            if _late(end) and not _is_last(event, fitting.training_config):
                return "stopped"
        return "complete"

    def _hopeless(self, event: EpochResult, training: TrainingConfig) -> bool:
        """Whether to give up. Not after the last epoch: all that is left to do is to see how good it is."""
        return self.asked.report(event.epoch, _watched(event, self._job.metric)) and not _is_last(event, training)

    def end(self, state: TrialState, why_not: str = "") -> TrialDone:
        """Measures, saves and writes down what there is."""
        study, job, fitting = self._study, self._job, self._fitting
        history = [] if fitting is None else fitting.state.history
        done = Trial(
            number=self.asked.number,
            state=state,
            options=dict(self.asked.values),
            changes=self.changes,
            epochs=len(history),
            seconds=0.0,
            why_not=why_not,
        )
        outcome, before = None, study.best
        if fitting is not None and history and (state == "complete" or (state == "stopped" and before is None)):
            fitting.state.model.assign(fitting.state.best)
            outcome = calibrate_model(fitting)
            done = dataclasses.replace(done, loss=outcome.after.loss, accuracy=outcome.after.accuracy)
        done = dataclasses.replace(done, seconds=round(time.perf_counter() - self._started, 3))
        study.record(self.asked, done)
        best = best_trial([*([before] if before else []), done], job.metric)
        trials = (*study.trials, done)
        if fitting is not None and outcome is not None and best is done:
            save_best(job, self.run, fitting, outcome, trials, done, study.key)
        elif best is not None:
            list_trials(job, trials)
        study.tell(self.asked, done)
        return TrialDone(done, best, job.metric)


def _watched(event: EpochResult, metric: Metric) -> float:
    return event.validation_accuracy if metric == "accuracy" else event.validation_loss


def _is_last(event: object, training: TrainingConfig) -> bool:
    return isinstance(event, EpochResult) and event.epoch == training.epochs
