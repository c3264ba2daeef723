"""The study: trials stored in a file, and suggestions of the next one, by Optuna (extra `tune`).

Suggestions come from the tree-structured Parzen estimator (Bergstra et al. 2011, "Algorithms for Hyper-Parameter
Optimization"). A trial is pruned if its best epoch so far is worse than the median of the other trials at that epoch.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlstm.errors import MissingDependencyError, ResumeError
from fastlstm.serialization import atomic
from fastlstm.tuning.events import Trial, best_trial
from fastlstm.tuning.space import Field, Metric

if TYPE_CHECKING:
    import optuna

STUDY_NAME = "fastlstm"
DONE_KEY, IDENTITY_KEY = "done", "identity"
RANDOM_TRIALS = 6
"""Number of random trials, the preset included, before suggestions use earlier results."""
UNPRUNED_TRIALS = 4
"""Number of complete trials before any trial is pruned."""
MIN_TRIALS_FOR_IMPORTANCE = 5
"""Smallest number of complete trials for which importances are computed."""


def require_optuna() -> None:
    """Raise `MissingDependencyError` if Optuna is not installed."""
    try:
        importlib.import_module("optuna")
    except ImportError:
        raise MissingDependencyError("hyperparameter search", "optuna", "tune") from None


@dataclass(frozen=True)
class SuggestedTrial:
    """A suggested trial: its number, from 1, and the value of every searched option."""

    number: int
    values: Mapping[str, Any]
    trial: optuna.Trial

    def report(self, epoch: int, value: float) -> bool:
        """Report the metric after an epoch; return whether to prune the trial."""
        self.trial.report(value, epoch)
        return self.trial.should_prune()


class Study:
    """The trials of a search. A suggestion depends on the seed and the finished trials alone, so that a resumed search
    continues as the interrupted one would have."""

    def __init__(
        self,
        path: Path,
        identity: Mapping[str, Any],
        space: tuple[Field, ...],
        defaults: Mapping[str, Any],
        *,
        metric: Metric,
        seed: int,
    ) -> None:
        """Open the study in a file, or create it.

        Args:
            path: The file.
            identity: The settings and data that identify the search, as a JSON object.
            space: The searched fields.
            defaults: The values of the preset, which are tried first.
            metric: The metric of a trial.
            seed: Random seed of the suggestions.

        Raises:
            ResumeError: The file belongs to another search, or is damaged.
        """
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        self._path, self._space, self._defaults, self._metric, self._seed = path, space, defaults, metric, seed
        self.key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        try:
            # Remove the lock of a killed search. No other search may use the same folder.
            path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
            _drop_partial_line(path)
            backend = JournalFileBackend(str(path), JournalFileOpenLock(str(path)))
            with _only_warnings():
                self._study = optuna.create_study(
                    storage=JournalStorage(backend),
                    study_name=STUDY_NAME,
                    direction="maximize" if metric == "accuracy" else "minimize",
                    pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED_TRIALS),
                    load_if_exists=True,
                )
            saved = self._study.user_attrs.get(IDENTITY_KEY)
            self._check_identity(saved, json.loads(json.dumps(identity)))
            if saved is None:
                self._study.set_user_attr(IDENTITY_KEY, dict(identity))
            self.trials  # noqa: B018 -- detects damage
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            if isinstance(error, ResumeError):
                raise
            raise ResumeError(
                f"{path} is damaged ({error}); delete it and run without `resume=True`",
                code="corrupt-study",
                path=path,
            ) from error

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The finished trials, in order."""
        return tuple(
            Trial.from_json(trial.user_attrs[DONE_KEY])
            for trial in self._study.get_trials(deepcopy=False)
            if DONE_KEY in trial.user_attrs and _is_consistent(trial)
        )

    @property
    def finished(self) -> int:
        """The number of finished trials that were not stopped."""
        return sum(trial.state != "stopped" for trial in self.trials)

    @property
    def best(self) -> Trial | None:
        """The best trial so far; None if none was evaluated."""
        return best_trial(self.trials, self._metric)

    def settle(self, saved: tuple[int, str] | None) -> None:
        """Close trials that a crash left open. `saved` is the number and state of the trial whose model is saved."""
        from optuna.trial import TrialState

        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            done = trial.user_attrs.get(DONE_KEY)
            if done and done["state"] == "complete" and (done["number"], done["state"]) == saved:
                self._study.tell(trial.number, done[self._metric])
            else:
                self._study.tell(trial.number, state=TrialState.FAIL)

    def ask(self) -> SuggestedTrial:
        """Suggest the next trial: first the preset."""
        from optuna.samplers import TPESampler
        from optuna.trial import TrialState

        finished = self.finished
        seed = int(np.random.SeedSequence([self._seed, finished]).generate_state(1)[0])
        self._study.sampler = TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS)
        if not finished and not self._study.get_trials(states=(TrialState.WAITING,)):
            self._study.enqueue_trial({f.name: f.encode(self._defaults[f.name]) for f in self._space})
        trial = self._study.ask()
        values = {f.name: f.decode(f.suggest(trial), self._defaults[f.name]) for f in self._space}
        return SuggestedTrial(finished + 1, values, trial)

    def record(self, suggested: SuggestedTrial, done: Trial) -> None:
        """Store the result of a trial, before its model is saved."""
        suggested.trial.set_user_attr(DONE_KEY, done.to_json())

    def close(self, suggested: SuggestedTrial, done: Trial) -> None:
        """Close a recorded trial."""
        from optuna.trial import TrialState

        match done.state:
            case "complete":
                self._study.tell(suggested.trial, getattr(done, self._metric))
            case "stopped":
                self._study.tell(suggested.trial, state=TrialState.FAIL)
            case _:  # a failed trial counts as pruned, so that similar ones are avoided
                self._study.tell(suggested.trial, state=TrialState.PRUNED)

    def importances(self) -> dict[str, float]:
        """Return the importance of each option, which sum to 1; empty with too few complete trials."""
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

        if sum(trial.state == "complete" for trial in self.trials) < MIN_TRIALS_FOR_IMPORTANCE:
            return {}
        importances = get_param_importances(self._study, evaluator=PedAnovaImportanceEvaluator())
        return {name: float(importance) for name, importance in importances.items()}

    def _check_identity(self, saved: Mapping[str, Any] | None, identity: Mapping[str, Any]) -> None:
        for name in identity:
            if saved is not None and saved.get(name) != identity[name]:
                raise ResumeError(
                    f"{self._path} belongs to another search: {name} is {saved.get(name)} there and {identity[name]} "
                    "here; use the same data and options, or start again with `overwrite=True`",
                    code="study-mismatch",
                    path=self._path,
                    setting=name,
                )


@contextlib.contextmanager
def _only_warnings() -> Iterator[None]:
    """Let Optuna log nothing below warnings in this context. The level belongs to the process and is restored."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _is_consistent(trial: optuna.trial.FrozenTrial) -> bool:
    """Return whether the recorded state is final. A trial that failed for Optuna was stopped, or crashed."""
    if trial.state.name == "FAIL":
        return bool(trial.user_attrs[DONE_KEY]["state"] == "stopped")
    return trial.state.is_finished()


def _drop_partial_line(path: Path) -> None:
    """Remove an incomplete last line, as a crash may leave it."""
    if path.exists() and (content := path.read_bytes()) and not content.endswith(b"\n"):
        atomic.write_file(path, content[: content.rfind(b"\n") + 1])
