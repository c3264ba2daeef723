"""What a search leaves behind: the best model so far, the list of trials, and in the end figures and plots."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastlstm import plots
from fastlstm.errors import InputError
from fastlstm.inference import Classifier
from fastlstm.inference.classifier import load
from fastlstm.metrics import Report
from fastlstm.serialization import atomic
from fastlstm.serialization.classifier import read_classifier
from fastlstm.serialization.folder import json_bytes
from fastlstm.training.evaluation import check_parity, training_plots, training_record
from fastlstm.training.events import Calibrated, EpochResult, Evaluated
from fastlstm.training.linear import BASELINE_NAME, baseline_report
from fastlstm.training.prepare import PreparedRun
from fastlstm.training.settings import TrainingJob
from fastlstm.tuning.events import Trial, TuningResult
from fastlstm.tuning.settings import TuningJob
from fastlstm.tuning.study import Study

TRIALS, HISTORY = "trials.json", "history.json"
VALIDATION_NOTE = (
    "validation texts, which also chose the configuration, the epoch, and temperature and threshold if any: "
    "flattering; --test gives honest figures"
)


def save_best(
    job: TuningJob,
    run: TrainingJob,
    fitting: PreparedRun,
    outcome: Calibrated,
    trials: Sequence[Trial],
    done: Trial,
    key: str,
) -> None:
    """Saves the best model so far in `job.out`, measured on its validation texts alone.

    Raises `TrainingError` if inference would answer otherwise than training does, `WriteError`.
    """
    data = dataclasses.replace(job.data, test=None, measured_on=VALIDATION_NOTE)
    record = training_record(dataclasses.replace(run, data=data), fitting, outcome, outcome.after, None)
    record["tuning"] = {"study": key, "metric": job.metric, "trial": done.number, "state": done.state}
    classifier = Classifier(fitting.saved_model(record, outcome.calibration))
    check_parity(classifier, fitting, data.validation, outcome.calibration)
    history = json_bytes([dataclasses.asdict(result) for result in fitting.state.history])
    classifier.save(job.out, overwrite=True, extras={HISTORY: history, TRIALS: _listed(job, trials)})


def list_trials(job: TuningJob, trials: Sequence[Trial]) -> None:
    """Writes the list of trials beside the best model. Raises `WriteError`."""
    if job.out.is_dir():
        atomic.write_file(job.out / TRIALS, _listed(job, trials))


def saved_trial(out: Path, key: str) -> tuple[int, str] | None:
    """The trial whose model is in `out`; None for no model, or one of another search.

    It is told by its number and its state: after a trial that was stopped, the next has its number.
    """
    try:
        tuning = read_classifier(out).training.get("tuning")
    except InputError:
        return None
    if not isinstance(tuning, dict) or tuning.get("study") != key:
        return None
    return tuning["trial"], tuning["state"]


def finish(job: TuningJob, study: Study) -> Iterator[Evaluated | TuningResult]:
    """Measures the best trial's model, and saves it once more with figures and plots."""
    best, data = study.best, job.data
    assert best is not None
    measured_on = VALIDATION_NOTE if data.test is None else data.measured_on
    classifier = load(job.out)
    started = time.perf_counter()
    report = classifier.evaluate(data.measured)
    yield Evaluated("LSTM", report, measured_on, time.perf_counter() - started)
    compared = None
    if job.baseline:
        started = time.perf_counter()
        compared = baseline_report(data.training, data.measured, classifier.labels)
        yield Evaluated(BASELINE_NAME, compared, measured_on, time.perf_counter() - started)
    record = _measured(classifier.model.training, report, measured_on, compared)
    classifier = Classifier(dataclasses.replace(classifier.model, training=record))
    history = (job.out / HISTORY).read_bytes()
    extras = {HISTORY: history, TRIALS: _listed(job, study.trials)}
    if job.plots:
        extras |= training_plots(tuple(EpochResult(**result) for result in json.loads(history)), report)
        extras |= _plotted(job, study)
    classifier.save(job.out, overwrite=True, extras=extras)
    options = {name: value for name, value in job.given.items() if value is not None} | dict(best.changes)
    if job.min_steps and options.keys() & {"batch_size", "epochs"}:
        options = {"min_steps": job.min_steps, **options}
    yield TuningResult(classifier, job.out, study.trials, best, job.metric, options, report, compared, measured_on)


def _measured(
    record: Mapping[str, Any], report: Report, measured_on: str, compared: Report | None
) -> dict[str, Any]:
    """A training record with other figures in place of those on validation."""
    names = [name for name in record["results"] if name != "evaluated_on"]

    def figures(of: Report) -> dict[str, Any]:
        return {name: getattr(of, name) for name in names}

    return {
        **record,
        "results": {"evaluated_on": measured_on, **figures(report)},
        "baseline": {"name": BASELINE_NAME, **figures(compared)} if compared else None,
    }


def _listed(job: TuningJob, trials: Sequence[Trial]) -> bytes:
    given = {name: value for name, value in job.given.items() if value is not None}
    listed = [trial.to_json() for trial in trials]
    return json_bytes({"preset": job.preset, "given": given, "metric": job.metric, "trials": listed})


def _plotted(job: TuningJob, study: Study) -> dict[str, bytes]:
    """The course of the search, and which options mattered: file name -> PNG."""
    trials = [trial for trial in study.trials if trial.state != "stopped" or trial.loss is not None]
    course = plots.search_course(
        {t.number: getattr(t, job.metric) for t in trials if t.loss is not None},
        [t.number for t in trials if t.loss is None],
        name=f"{job.metric} on validation",
        higher_is_better=job.metric == "accuracy",
    )
    drawn = {"plots/trials.png": plots.png(course)}
    if shares := study.importances():
        importance = plots.importances({name.replace("_", "-"): share for name, share in shares.items()})
        drawn["plots/importance.png"] = plots.png(importance)
    return drawn
