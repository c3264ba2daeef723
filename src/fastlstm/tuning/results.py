"""Results of a search: the best model so far, the list of trials, and finally evaluation and plots."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from fastlstm import plots
from fastlstm.data.splits import DataSplits
from fastlstm.errors import InputError
from fastlstm.inference import Classifier
from fastlstm.inference.classifier import load
from fastlstm.notes import Note
from fastlstm.serialization import atomic
from fastlstm.serialization.classifier import read_classifier
from fastlstm.serialization.folder import HISTORY, json_bytes
from fastlstm.training.evaluation import check_parity, results_record, training_plots, training_record
from fastlstm.training.events import Calibrated, EpochResult, Evaluated
from fastlstm.training.linear import BASELINE_NAME, baseline_report
from fastlstm.training.prepare import PreparedRun
from fastlstm.training.settings import TrainingSettings
from fastlstm.tuning.events import Trial, TuningResult
from fastlstm.tuning.settings import TuningSettings
from fastlstm.tuning.study import Study

TRIALS = "trials.json"
SEARCH_DESCRIPTION = (
    "validation texts, which also selected the trial and the epoch; pass `test` for an unbiased estimate"
)


def save_best(
    settings: TuningSettings,
    run: TrainingSettings,
    data: DataSplits,
    prepared: PreparedRun,
    calibrated: Calibrated,
    trials: Sequence[Trial],
    best: Trial,
    key: str,
) -> None:
    """Save the best model so far in `settings.out`, evaluated on its validation texts.

    Raises:
        TrainingError: Inference and training disagree.
        WriteError: The model cannot be written.
    """
    data = dataclasses.replace(data, test=None, evaluated_on=SEARCH_DESCRIPTION)
    record = training_record(run, data, prepared, calibrated, calibrated.after, None)
    record["tuning"] = {"study": key, "metric": settings.metric, "trial": best.number, "state": best.state}
    classifier = Classifier(prepared.saved_model(record, calibrated.calibration))
    check_parity(classifier, prepared, data.validation, calibrated.calibration)
    history = json_bytes([dataclasses.asdict(result) for result in prepared.state.history])
    extras = {HISTORY: history, TRIALS: _trials_json(settings, trials)}
    classifier.save(settings.out, overwrite=True, extras=extras)


def write_trials(settings: TuningSettings, trials: Sequence[Trial]) -> None:
    """Write the list of trials into the folder of the best model. Raise `WriteError`."""
    if settings.out.is_dir():
        atomic.write_file(settings.out / TRIALS, _trials_json(settings, trials))


def saved_trial(out: Path, key: str) -> tuple[int, str] | None:
    """Return number and state of the trial whose model is in `out`; None for no model, or one of another search.

    The state is needed because a stopped trial and its repetition have the same number.
    """
    try:
        tuning = read_classifier(out).training.get("tuning")
    except InputError:
        return None
    if not isinstance(tuning, dict) or tuning.get("study") != key:
        return None
    return tuning["trial"], tuning["state"]


def finish(settings: TuningSettings, data: DataSplits, study: Study) -> Iterator[Note | Evaluated | TuningResult]:
    """Evaluate the model of the best trial, and save it again with its results and plots."""
    best, out = study.best, settings.out
    assert best is not None
    evaluated_on = SEARCH_DESCRIPTION if data.test is None else data.evaluated_on
    saved = load(out)
    started = time.perf_counter()
    report = saved.evaluate(data.evaluation)
    yield Evaluated("model", report, evaluated_on, time.perf_counter() - started)
    baseline = None
    if settings.run.baseline:
        started = time.perf_counter()
        baseline = baseline_report(data.training, data.evaluation, saved.labels)
        yield Evaluated(BASELINE_NAME, baseline, evaluated_on, time.perf_counter() - started)
    yield from report.notes(baseline)
    record = {**saved.saved.training, **results_record(report, evaluated_on, baseline)}
    classifier = Classifier(dataclasses.replace(saved.saved, training=record))
    history = (out / HISTORY).read_bytes()
    extras = {HISTORY: history, TRIALS: _trials_json(settings, study.trials)}
    if settings.run.plots:
        extras |= training_plots(tuple(EpochResult(**result) for result in json.loads(history)), report)
        extras |= _search_plots(settings, study)
    classifier.save(out, overwrite=True, extras=extras)
    options = {**settings.fields, **best.changes}
    if settings.min_steps and options.keys() & {"batch_size", "epochs"}:
        options = {"min_steps": settings.min_steps, **options}
    yield TuningResult(
        classifier, out, study.trials, best, settings.metric, options, report, baseline, evaluated_on
    )


def _trials_json(settings: TuningSettings, trials: Sequence[Trial]) -> bytes:
    return json_bytes(
        {
            "preset": settings.run.preset,
            "given": dict(settings.fields),
            "metric": settings.metric,
            "trials": [trial.to_json() for trial in trials],
        }
    )


def _search_plots(settings: TuningSettings, study: Study) -> dict[str, bytes]:
    """Return plots of the progress of the search and of the importance of each option: file name -> PNG."""
    trials = [trial for trial in study.trials if trial.state != "stopped" or trial.loss is not None]
    progress = plots.search_progress(
        {t.number: getattr(t, settings.metric) for t in trials if t.loss is not None},
        [t.number for t in trials if t.loss is None],
        name=f"{settings.metric} on validation",
        higher_is_better=settings.metric == "accuracy",
    )
    images = {"plots/trials.png": plots.png(progress)}
    if importances := study.importances():
        images["plots/importance.png"] = plots.png(plots.importances(importances))
    return images
