"""Data-parallel training with Ray Train, and a killed worker."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.command_line import reviews
from tests.helpers.language_models import FIELDS, random_texts

import fastlstm
from fastlstm.errors import DataError, OptionError

ray = pytest.importorskip("ray")
pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("default")  # those of Ray and what it imports

OPTIONS: dict[str, Any] = {
    "preset": "tutorial",
    "epochs": 3,
    "batch_size": 16,
    "hidden_sizes": (7,),
    "embedding_size": 6,
    "validation": 0.25,
    "baseline": False,
    "precision": "float32",
}
TOLERANCE = 1e-4
"""Relative difference of losses: the sums of gradients are made in another order."""


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


def test_two_workers_train_the_classifier_of_one(tmp_path: Path) -> None:
    rows = reviews(200, seed=0)
    alone = fastlstm.train(rows, tmp_path / "one", **OPTIONS)
    events: list[Any] = []
    both = fastlstm.train(rows, tmp_path / "two", workers=2, watch=events.append, **OPTIONS)
    losses = [[(epoch.loss, epoch.validation_loss) for epoch in result.history] for result in (alone, both)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=TOLERANCE)
    assert fastlstm.load(tmp_path / "two").predict(rows[0][0]) == both.classifier.predict(rows[0][0])
    assert len(events) > 5
    assert not (tmp_path / "two.checkpoint").exists()


def test_two_workers_train_the_language_model_of_one(tmp_path: Path) -> None:
    options = {**FIELDS, "streams": 4, "precision": "float32"}
    alone = fastlstm.train_language_model(random_texts(), tmp_path / "one", **options)
    both = fastlstm.train_language_model(random_texts(), tmp_path / "two", workers=2, **options)
    losses = [[epoch.loss for epoch in result.history] for result in (alone, both)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=TOLERANCE)


def test_errors_of_workers_are_raised(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        fastlstm.train(reviews(2, seed=0)[:1], tmp_path / "out", workers=2, **OPTIONS)
    assert error.value.code in ("one-class", "too-few-texts", "cannot-split")


def worker_processes() -> list[int]:
    """Return the processes of training workers."""
    found = subprocess.run(["pgrep", "-f", "ray::.*(RayTrainWorker|TrainWorker)"], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def test_training_continues_after_a_killed_worker(tmp_path: Path) -> None:
    rows = reviews(400, seed=0)
    options = {**OPTIONS, "epochs": 25, "hidden_sizes": (64,), "embedding_size": 64}
    whole = fastlstm.train(rows, tmp_path / "whole", workers=2, **options)
    killed: list[int] = []

    def kill_one(event: Any) -> None:
        if not killed and getattr(event, "epoch", 0) >= 3 and (processes := worker_processes()):
            killed.append(processes[-1])
            os.kill(processes[-1], signal.SIGKILL)

    result = fastlstm.train(rows, tmp_path / "out", workers=2, watch=kill_one, **options)
    assert killed
    assert [epoch.loss for epoch in result.history] == [epoch.loss for epoch in whole.history]
    for name, weight in whole.classifier.saved.weights.items():
        np.testing.assert_array_equal(result.classifier.saved.weights[name], weight)


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": "2"}, {"workers": 2, "budget": "1m"}])
def test_wrong_numbers_of_workers_raise(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        fastlstm.train(reviews(10, seed=0), tmp_path / "out", **options)
