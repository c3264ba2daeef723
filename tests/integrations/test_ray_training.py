"""Data-parallel training with Ray Train: equal results, killed workers, errors, and stopping.

The workers take most of the time to import PyTorch, so there are as few runs as possible.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.command_line import reviews
from tests.helpers.language_models import FIELDS, random_texts

import fastlstm
from fastlstm.errors import DataError, OptionError, TrainingError
from fastlstm.integrations.ray.cluster import cores_per_worker
from fastlstm.nn.parallel import process_group
from fastlstm.notes import Note
from fastlstm.training.events import TrainingResult
from fastlstm.training.settings import TrainingSettings

ray = pytest.importorskip("ray")
pytest.importorskip("torch")
training = pytest.importorskip("fastlstm.integrations.ray.training")
pytestmark = pytest.mark.filterwarnings("default")  # those of Ray and what it imports

CORES = 4
OPTIONS: dict[str, Any] = {
    "preset": "tutorial",
    "epochs": 30,
    "batch_size": 16,
    "hidden_sizes": (7,),
    "embedding_size": 6,
    "validation": 0.25,
    "baseline": False,
    "precision": "float32",
}
ROWS = reviews(200, seed=0)
TOLERANCE = 1e-4
"""Relative difference of losses: the sums of gradients are made in another order."""
PROCESSES = "ray::.*(TrainWorker|TrainController|_fit)"
"""The names of the processes of a run while they work."""
MAX_SECONDS_TO_STOP = 30


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
        ray.init(num_cpus=CORES, include_dashboard=False, log_to_driver=False, configure_logging=False)
        yield
        ray.shutdown()


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingResult, list[Any]]:
    """Return the result of two workers, and the events."""
    events: list[Any] = []
    out = tmp_path_factory.mktemp("two") / "model"
    return fastlstm.train(ROWS, out, workers=2, watch=events.append, **OPTIONS), events


def processes(pattern: str = PROCESSES) -> list[int]:
    """Return the ids of the processes with such a name that this process, or one of its children, started."""
    listing = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(maxsplit=2) for line in listing.stdout.splitlines()]
    parents = {int(row[0]): int(row[1]) for row in rows}

    def is_own(process: int) -> bool:
        while process > 1 and process != os.getpid():
            process = parents.get(process, 0)
        return process == os.getpid()

    return [int(pid) for pid, _, name in rows if re.search(pattern, name) and is_own(int(pid))]


def has_stopped() -> bool:
    """Wait until no process of a run works and all cores are free; return whether this happens in time."""
    end = time.monotonic() + MAX_SECONDS_TO_STOP
    while processes() or ray.available_resources().get("CPU", 0) < CORES:
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def start(
    run: Callable[..., Generator[Any, None, None]], out: Path, workers: int = 2
) -> Generator[Any, None, None]:
    """Return the events of `run` in several workers."""
    settings = TrainingSettings.create(ROWS, out, {"preset": "tutorial", "workers": workers})
    events: Generator[Any, None, None] = training.events(run, settings)
    return events


def test_two_workers_train_the_classifier_of_one(tmp_path: Path, of_two: tuple[TrainingResult, list[Any]]) -> None:
    alone, (both, events) = fastlstm.train(ROWS, tmp_path / "one", **OPTIONS), of_two
    losses = [[(epoch.loss, epoch.validation_loss) for epoch in result.history] for result in (alone, both)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=TOLERANCE)
    assert fastlstm.load(both.folder).predict(ROWS[0][0]) == both.classifier.predict(ROWS[0][0])
    assert len(events) > 5
    assert [path.name for path in both.folder.parent.iterdir()] == ["model"]  # no checkpoint


def test_training_continues_after_a_killed_worker(tmp_path: Path, of_two: tuple[TrainingResult, list[Any]]) -> None:
    whole = of_two[0]
    workers: list[int] = []
    killed: list[int] = []
    codes: list[str] = []

    def kill_one(event: Any) -> None:
        if not workers:
            workers.extend(processes("ray::.*TrainWorker"))
        if isinstance(event, Note):
            codes.append(event.code)
        if not killed and getattr(event, "epoch", 0) >= 3:
            killed.append(workers[-1])
            os.kill(workers[-1], signal.SIGKILL)

    result = fastlstm.train(ROWS, tmp_path / "out", workers=2, watch=kill_one, **OPTIONS)
    assert len(workers) == 2
    assert killed
    assert "resumed" in codes
    assert [epoch.loss for epoch in result.history] == [epoch.loss for epoch in whole.history]
    for name, weight in whole.classifier.saved.weights.items():
        np.testing.assert_array_equal(result.classifier.saved.weights[name], weight)


def test_two_workers_train_the_language_model_of_one(tmp_path: Path) -> None:
    options = {**FIELDS, "streams": 4, "precision": "float32"}
    alone = fastlstm.train_language_model(random_texts(), tmp_path / "one", **options)
    both = fastlstm.train_language_model(random_texts(), tmp_path / "two", workers=2, **options)
    losses = [[epoch.loss for epoch in result.history] for result in (alone, both)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=TOLERANCE)


def test_closing_the_events_ends_the_processes(tmp_path: Path) -> None:
    def run(_: Any) -> Generator[int, None, None]:
        while True:
            yield len(process_group().sum_numbers(1.0))

    events = start(run, tmp_path / "out", 1)
    next(events)
    assert len(processes()) == 3
    events.close()
    assert has_stopped()


def test_error_of_one_worker_is_raised_and_ends_the_others(tmp_path: Path) -> None:
    def run(_: Any) -> Generator[None, None, None]:
        yield
        if process_group().rank == 1:
            raise DataError("one class", code="one-class", labels=["a"])
        process_group().sum_numbers(1.0)  # waits for the other worker

    with pytest.raises(DataError) as error:
        list(start(run, tmp_path / "out", 2))
    assert (error.value.code, error.value.labels) == ("one-class", ["a"])
    assert has_stopped()


def test_workers_that_fail_too_often_raise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_: Any) -> Generator[None, None, None]:
        yield
        raise KeyError

    monkeypatch.setattr(training, "MAX_FAILURES", 0)
    with pytest.raises(TrainingError) as error:
        list(start(run, tmp_path / "out", 1))
    assert error.value.code == "workers-died"
    assert has_stopped()


def test_failure_of_ray_train_is_not_one_of_workers(tmp_path: Path) -> None:
    class CannotBeLoaded:
        def __reduce__(self) -> tuple[Any, ...]:
            return int, ("no number",)

    with pytest.raises(TrainingError) as error:
        list(start(CannotBeLoaded(), tmp_path / "out", 1))  # type: ignore[arg-type]
    assert error.value.code == "training-failed"


def test_more_workers_than_cores_raise(tmp_path: Path) -> None:
    with pytest.raises(OptionError) as error:
        fastlstm.train(ROWS, tmp_path / "out", workers=CORES + 1, **OPTIONS)
    assert (error.value.code, error.value.option, error.value.value) == ("bad-option-value", "workers", CORES + 1)


@pytest.mark.parametrize(
    ("machines", "workers", "cores"),
    [([8], 2, 4), ([8], 3, 2), ([4, 4], 2, 4), ([3, 3, 3, 3, 3], 6, 1), ([16, 2], 3, 5), ([0, 2], 2, 1)],
)
def test_workers_have_their_cores_on_one_machine(machines: list[int], workers: int, cores: int) -> None:
    assert cores_per_worker(machines, workers) == cores


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": "2"}, {"workers": 2, "budget": "1m"}])
def test_wrong_numbers_of_workers_raise(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        fastlstm.train(reviews(10, seed=0), tmp_path / "out", **options)
