"""A hyperparameter search, trial after trial, as a generator of events."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from fastlstm.config import TrainingConfig
from fastlstm.data.datasets.download import DownloadProgress
from fastlstm.data.splits import DataSplits
from fastlstm.errors import InputError, ResumeError, TrainingError
from fastlstm.nn.device import find_device
from fastlstm.nn.threads import on_one_thread
from fastlstm.notes import Note
from fastlstm.plots import require_matplotlib
from fastlstm.serialization import atomic
from fastlstm.serialization.folder import CLASSIFIER_FORMAT, check_target
from fastlstm.training.evaluation import calibrate_model
from fastlstm.training.events import EpochResult
from fastlstm.training.prepare import PreparedRun, TrainingLoopEvent, prepare
from fastlstm.training.run import data_notes, load_data
from fastlstm.training.settings import TrainingSettings
from fastlstm.tuning.events import Trial, TrialDone, TrialStarted, TrialState, TuningEvent, best_trial
from fastlstm.tuning.results import finish, save_best, saved_trial, write_trials
from fastlstm.tuning.settings import TuningSettings, study_path
from fastlstm.tuning.space import Metric, preset_values, search_space
from fastlstm.tuning.study import Study, SuggestedTrial, require_optuna


@on_one_thread
def search(
    settings: TuningSettings,
    *,
    log: Callable[[str], None] | None = None,
    progress: DownloadProgress | None = None,
) -> Generator[TuningEvent, None, None]:
    """Load the data, run trials, keep the best model and evaluate it; the last event is the `TuningResult`.

    The best model so far is in `settings.out` as soon as its trial is done, and all trials are in
    `study_path(settings.out)`. If the caller closes the generator, the current trial counts as stopped, and a resumed
    search repeats it.

    Args:
        settings: The settings of the search.
        log, progress: Called while data is downloaded and read.

    Raises:
        InputError: The settings or the data are wrong; nothing was written.
        WriteError: The model or the trials cannot be written; an existing model is unchanged.
        TrainingError: No trial was finished.
    """
    check_search(settings)
    data = load_data(settings.run, log=log, progress=progress)
    yield from data_notes(data)
    started = time.monotonic()
    study = _open_study(settings, data)
    if settings.run.resume:
        trials = "1 trial" if study.finished == 1 else f"{study.finished} trials"
        yield Note(f"resuming after {trials}", "resumed")
    end = None if settings.budget is None else started + settings.budget
    try:
        while not _is_over(end) and (settings.trials is None or study.finished < settings.trials):
            yield from _run_trial(settings, data, study, end)
    except InputError:  # the options do not fit the texts: there is nothing to resume
        if not study.trials:
            study_path(settings.out).unlink(missing_ok=True)
        raise
    if study.best is None:
        raise _no_result(study)
    yield from finish(settings, data, study)


def check_search(settings: TuningSettings) -> None:
    """Check that a search can start and save its result, before any time is spent.

    Raises:
        MissingDependencyError: Optuna, or for plots matplotlib, is not installed.
        InputError: `out` is taken, there is nothing to resume, or the device is not available.
        WriteError: `out` cannot be written.
    """
    run, out = settings.run, settings.out
    require_optuna()
    if run.plots:
        require_matplotlib()
    find_device(run.device)
    if not out.name:
        raise InputError(
            f"cannot save a model as {out}; expected the name of a new folder: pass `out`",
            code="bad-output",
            path=out,
        )
    study = study_path(out)
    if study.exists() and not is_study(study):
        raise InputError(
            f"{study} is not a study of fastlstm, so it is not overwritten; move it, or choose another `out`",
            code="not-a-study",
            path=study,
        )
    if run.resume and not study.exists():
        raise ResumeError(
            f"nothing to resume: {study} does not exist; run the command without `resume=True`",
            code="no-study",
            path=study,
        )
    if not run.resume and study.exists() and not run.overwrite:
        raise InputError(
            f"{study} contains an earlier search; pass `resume=True` to continue it, or `overwrite=True` to "
            "start again",
            code="unfinished-run",
            path=study,
        )
    check_target(out, CLASSIFIER_FORMAT, overwrite=run.overwrite or run.resume)
    atomic.check_writable(out)


def is_study(path: Path) -> bool:
    """Return whether the file starts like a journal of Optuna, or is empty, as a crash may leave it."""
    try:
        with path.open("rb") as file:
            first = file.readline(65536)
        return not first or "op_code" in json.loads(first)
    except (OSError, ValueError, TypeError):
        return False


def _open_study(settings: TuningSettings, data: DataSplits) -> Study:
    path, preset = study_path(settings.out), settings.run.preset
    if not settings.run.resume:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    space = search_space(preset, settings.fields)
    seed = settings.trial({}).training.seed
    identity = _identity(settings, data, space)
    study = Study(path, identity, space, preset_values(preset), metric=settings.metric, seed=seed)
    saved = saved_trial(settings.out, study.key)
    study.settle(saved)
    if study.best is None and saved is None:
        check_target(settings.out, CLASSIFIER_FORMAT, overwrite=settings.run.overwrite)
    if study.best is not None and saved != (study.best.number, study.best.state):
        raise ResumeError(
            f"{settings.out} no longer contains the model of trial {study.best.number}, the best one of {path}; "
            "restore it, or start again with `overwrite=True` and without `resume=True`",
            code="best-model-missing",
            path=settings.out,
            trial=study.best.number,
        )
    return study


def _identity(settings: TuningSettings, data: DataSplits, space: tuple[Any, ...]) -> dict[str, Any]:
    return {
        "preset": settings.run.preset,
        "options": dict(sorted(settings.fields.items())),
        "seed": settings.trial({}).training.seed,
        "metric": settings.metric,
        "device": find_device(settings.run.device).type,
        "space": [repr(field) for field in space],
        "training data": _text_fingerprint(data.training.texts, data.training.labels),
        "validation data": _text_fingerprint(data.validation.texts, data.validation.labels),
    }


def _text_fingerprint(*columns: Sequence[str]) -> str:
    encoded = json.dumps([list(column) for column in columns]).encode(errors="surrogatepass")
    return hashlib.sha256(encoded).hexdigest()[:16]


def _is_over(end: float | None) -> bool:
    return end is not None and time.monotonic() >= end


def _no_result(study: Study) -> TrainingError:
    failed = [trial.failure for trial in study.trials if trial.state == "failed"]
    if failed:
        return TrainingError(f"no trial was finished: {failed[-1]}", code="no-trial-finished")
    return TrainingError(
        "budget exhausted before the first trial finished an epoch; pass a longer `budget`, or a smaller model such as "
        "`preset='tutorial'`",
        code="budget-exhausted",
    )


def _run_trial(
    settings: TuningSettings, data: DataSplits, study: Study, end: float | None
) -> Iterator[TuningEvent]:
    trial = RunningTrial(settings, data, study, study.ask())
    try:
        yield TrialStarted(trial.suggested.number, trial.changes, trial.run.training)
        state = yield from trial.train(end)
    except GeneratorExit:  # the caller closed the generator
        trial.finish("stopped")
        raise
    except TrainingError as error:
        yield trial.finish("failed", str(error))
    else:
        yield trial.finish(state)


class RunningTrial:
    """One trial, from its configuration to its result."""

    def __init__(self, settings: TuningSettings, data: DataSplits, study: Study, suggested: SuggestedTrial) -> None:
        self.suggested = suggested
        self.run: TrainingSettings = settings.trial(suggested.values)
        self._settings, self._data, self._study = settings, data, study
        self._prepared: PreparedRun | None = None
        self._started = time.perf_counter()
        defaults = preset_values(settings.run.preset)
        self.changes = {name: value for name, value in suggested.values.items() if value != defaults[name]}

    def train(self, end: float | None) -> Generator[TrainingLoopEvent, None, TrialState]:
        """Train until the last epoch, until the trial is pruned, or until `end`; return the state.

        Raises:
            TrainingError: Training diverged.
        """
        run = self.run
        prepared = self._prepared = prepare(
            self._data.training,
            self._data.validation,
            run.model,
            run.training,
            device=run.device,
            cap_vocabulary=run.cap_vocabulary,
        )
        for event in prepared.epochs():
            yield event
            if isinstance(event, EpochResult) and self._should_prune(event, prepared.training_config):
                return "pruned"
            if _is_over(end) and not _is_last(event, prepared.training_config):
                return "stopped"
        return "complete"

    def _should_prune(self, event: EpochResult, training: TrainingConfig) -> bool:
        """Report the metric of an epoch; return whether to prune. A trial is never pruned after its last epoch."""
        value = _metric_value(event, self._settings.metric)
        return self.suggested.report(event.epoch, value) and not _is_last(event, training)

    def finish(self, state: TrialState, failure: str = "") -> TrialDone:
        """Evaluate, record and, if it is the best, save the trial."""
        study, settings, prepared = self._study, self._settings, self._prepared
        history = [] if prepared is None else prepared.state.history
        done = Trial(
            number=self.suggested.number,
            state=state,
            options=dict(self.suggested.values),
            changes=self.changes,
            epochs=len(history),
            seconds=0.0,
            failure=failure,
        )
        calibrated, previous_best = None, study.best
        # A stopped trial counts only if there is no other result.
        if (
            prepared is not None
            and history
            and (state == "complete" or (state == "stopped" and previous_best is None))
        ):
            prepared.state.model.assign(prepared.state.best)
            calibrated = calibrate_model(prepared)
            done = dataclasses.replace(done, loss=calibrated.after.loss, accuracy=calibrated.after.accuracy)
        done = dataclasses.replace(done, seconds=round(time.perf_counter() - self._started, 3))
        study.record(self.suggested, done)
        best = best_trial([*([previous_best] if previous_best else []), done], settings.metric)
        trials = (*study.trials, done)
        if prepared is not None and calibrated is not None and best is done:
            save_best(settings, self.run, self._data, prepared, calibrated, trials, done, study.key)
        elif best is not None:
            write_trials(settings, trials)
        study.close(self.suggested, done)
        return TrialDone(done, best, settings.metric)


def _metric_value(event: EpochResult, metric: Metric) -> float:
    return event.validation_accuracy if metric == "accuracy" else event.validation_loss


def _is_last(event: object, training: TrainingConfig) -> bool:
    return isinstance(event, EpochResult) and event.epoch == training.epochs
