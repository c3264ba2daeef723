"""The trials of a search in a file, and what to try next: Optuna (the `tune` extra), asked and told.

Bergstra et al. (2011), "Algorithms for Hyper-Parameter Optimization": the tree-structured Parzen estimator. A trial
is given up after an epoch by which its best is worse than the median of the others' in that epoch.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlstm.errors import MissingDependencyError, ResumeError
from fastlstm.serialization import atomic
from fastlstm.tuning.events import Metric, Trial, best_trial
from fastlstm.tuning.space import Field

if TYPE_CHECKING:
    pass


if TYPE_CHECKING:
    import optuna

STUDY_NAME = "fastlstm"
DONE_KEY, IDENTITY_KEY = "done", "identity"
RANDOM_TRIALS = 6
"""So many trials, the preset among them, come before the search begins to learn from them."""
UNPRUNED_TRIALS = 4
"""So many trials must be complete before one is given up."""
MIN_TRIALS_FOR_IMPORTANCE = 5
"""Of fewer complete trials, which option mattered is a guess."""


def require_optuna() -> None:
    """Raises `MissingDependencyError` if Optuna is not installed."""
    try:
        importlib.import_module("optuna")
    except ImportError:
        raise MissingDependencyError("searching options", "optuna", "tune") from None


@dataclass(frozen=True)
class SuggestedTrial:
    """A configuration to try: its number, from 1, and the value of every searched option."""

    number: int
    values: Mapping[str, Any]
    trial: optuna.Trial

    def report(self, epoch: int, value: float) -> bool:
        """Tells the metric after an epoch; returns whether the trial is to be given up."""
        self.trial.report(value, epoch)
        return self.trial.should_prune()


class Study:
    """A search's trials. What is asked next depends on the seed and on the trials that have ended, and on nothing
    else, so that a resumed search goes the way it would have gone."""

    def __init__(
        self,
        path: Path,
        identity: Mapping[str, Any],
        space: tuple[Field, ...],
        standing: Mapping[str, Any],
        *,
        metric: Metric,
        seed: int,
    ) -> None:
        """Opens the search in `path`, or begins one.

        Args:
            path: the file.
            identity: what makes it this search and no other, as JSON takes it.
            space: what is searched.
            standing: the preset's values, which are tried first.
            metric: what is told of each trial.
            seed: of what is tried.

        Raises `ResumeError` if the file belongs to another search or is damaged.
        """
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        if optuna.logging.get_verbosity() < optuna.logging.WARNING:  # whoever wants less keeps it
            optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._path, self._space, self._standing, self._metric, self._seed = path, space, standing, metric, seed
        self.key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        try:
            # What a killed search has left would make this one wait. Nobody else searches beside the same folder.
            path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
            _mend(path)
            backend = JournalFileBackend(str(path), JournalFileOpenLock(str(path)))
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
            self.trials  # noqa: B018 -- what is ill there is found now
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            if isinstance(error, ResumeError):
                raise
            raise ResumeError(f"{path} is damaged ({error}); delete it and run without --resume") from error

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Those that have ended, in order."""
        return tuple(
            Trial.from_json(trial.user_attrs[DONE_KEY])
            for trial in self._study.get_trials(deepcopy=False)
            if DONE_KEY in trial.user_attrs and _counts(trial)
        )

    @property
    def finished(self) -> int:
        """How many have ended and were not stopped."""
        return sum(trial.state != "stopped" for trial in self.trials)

    @property
    def best(self) -> Trial | None:
        """The best trial so far."""
        return best_trial(self.trials, self._metric)

    def settle(self, saved: tuple[int, str] | None) -> None:
        """Ends trials that a crash left open. `saved`: number and state of the one whose model is saved already."""
        from optuna.trial import TrialState

        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            done = trial.user_attrs.get(DONE_KEY)
            if done and done["state"] == "complete" and (done["number"], done["state"]) == saved:
                self._study.tell(trial.number, done[self._metric])
            else:
                self._study.tell(trial.number, state=TrialState.FAIL)

    def ask(self) -> SuggestedTrial:
        """What to try next: the preset first."""
        from optuna.samplers import TPESampler
        from optuna.trial import TrialState

        finished = self.finished
        seed = int(np.random.SeedSequence([self._seed, finished]).generate_state(1)[0])
        self._study.sampler = TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS)
        if not finished and not self._study.get_trials(states=(TrialState.WAITING,)):
            self._study.enqueue_trial({f.name: f.raw(self._standing[f.name]) for f in self._space})
        trial = self._study.ask()
        values = {f.name: f.tried(f.suggested(trial), self._standing[f.name]) for f in self._space}
        return SuggestedTrial(finished + 1, values, trial)

    def record(self, asked: SuggestedTrial, done: Trial) -> None:
        """Writes down how a trial did, before its model is saved."""
        asked.trial.set_user_attr(DONE_KEY, done.to_json())

    def tell(self, asked: SuggestedTrial, done: Trial) -> None:
        """Ends a trial that is recorded."""
        from optuna.trial import TrialState

        match done.state:
            case "complete":
                self._study.tell(asked.trial, getattr(done, self._metric))
            case "stopped":
                self._study.tell(asked.trial, state=TrialState.FAIL)
            case _:  # one that failed counts as given up, so that its like is not tried again
                self._study.tell(asked.trial, state=TrialState.PRUNED)

    def importances(self) -> dict[str, float]:
        """How much each option mattered in complete trials, shares that sum to 1; empty for too few of them."""
        import optuna
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

        if sum(trial.state == "complete" for trial in self.trials) < MIN_TRIALS_FOR_IMPORTANCE:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            shares = get_param_importances(self._study, evaluator=PedAnovaImportanceEvaluator())
        return {name: float(share) for name, share in shares.items()}

    def _check_identity(self, saved: Mapping[str, Any] | None, asked: Mapping[str, Any]) -> None:
        for name in asked:
            if saved is not None and saved.get(name) != asked[name]:
                raise ResumeError(
                    f"{self._path} belongs to another search: its {name} is {saved.get(name)}, this one's is "
                    f"{asked[name]}; give the same data and options, or start anew with --overwrite"
                )


def _counts(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a trial ended as it says. One that Optuna calls failed was stopped, or a crash cut it off."""
    if trial.state.name == "FAIL":
        return bool(trial.user_attrs[DONE_KEY]["state"] == "stopped")
    return trial.state.is_finished()


def _mend(path: Path) -> None:
    """Drops a last line that a crash cut off."""
    if path.exists() and (content := path.read_bytes()) and not content.endswith(b"\n"):
        atomic.write_file(path, content[: content.rfind(b"\n") + 1])
