"""Data-parallel training: the same losses and weights as one process, and resuming after a killed process."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.command_line import reviews
from tests.helpers.language_models import FIELDS, random_texts
from tests.helpers.process_groups import Job, run_in_group, run_jobs, train

LOSS_TOLERANCE = 1e-4
"""Relative difference of losses: the sums of gradients are made in another order."""
WEIGHT_TOLERANCE = 2e-3
"""Largest difference of a weight, after steps of Adam with a learning rate of 0.001 to 0.02."""
CLASSIFIER: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 16,
    "hidden_sizes": (7, 5),
    "embedding_size": 6,
    "validation": 0.25,
    "baseline": False,
    "precision": "float32",
}
CLASSIFIERS: dict[str, dict[str, Any]] = {
    "tutorial": {"preset": "tutorial"},
    "small": {"preset": "small", "ngrams": 200},
    "dropout": {"preset": "tutorial", "dropout": 0.3, "word_dropout": 0.2, "clip_norm": 0.5},
    "last batch of one text": {"preset": "tutorial", "batch_size": 149},
    "adversarial": {"preset": "tutorial", "adversarial": 0.2},
}


LANGUAGE_MODEL: dict[str, Any] = {**FIELDS, "streams": 4, "precision": "float32"}
LANGUAGE_MODELS: dict[str, dict[str, Any]] = {
    "plain": {},
    "odd streams": {"streams": 3},
    "all dropouts": {
        "embedding_dropout": 0.2,
        "input_dropout": 0.1,
        "hidden_dropout": 0.2,
        "output_dropout": 0.2,
        "weight_dropout": 0.3,
        "activation_penalty": 1.0,
        "change_penalty": 1.0,
        "hidden_sizes": (7, 6),
    },
}


def make_jobs() -> dict[str, Job]:
    rows, texts = reviews(200, seed=0), random_texts()
    jobs = {name: Job("classifier", rows, {**CLASSIFIER, **options}) for name, options in CLASSIFIERS.items()}
    jobs |= {name: Job("language model", texts, {**LANGUAGE_MODEL, **o}) for name, o in LANGUAGE_MODELS.items()}
    jobs["killed tutorial"] = dataclasses.replace(jobs["tutorial"], killed_after=13)
    jobs["killed all dropouts"] = dataclasses.replace(jobs["all dropouts"], killed_after=7)
    jobs["one stream"] = Job("language model", texts, {**LANGUAGE_MODEL, "streams": 1})
    return jobs


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The results of all jobs in two processes, by rank."""
    folder = tmp_path_factory.mktemp("group")
    return run_in_group(2, folder, run_jobs, folder, make_jobs())


@pytest.mark.parametrize("name", [*CLASSIFIERS, *LANGUAGE_MODELS])
def test_two_processes_train_the_model_of_one(tmp_path: Path, results: list[dict[str, Any]], name: str) -> None:
    losses, weights = train(tmp_path / "out", make_jobs()[name])
    np.testing.assert_allclose(results[0][name][0], losses, rtol=LOSS_TOLERANCE)
    assert results[0][name][1].keys() == weights.keys()
    for weight_name, weight in weights.items():
        np.testing.assert_allclose(
            results[0][name][1][weight_name], weight, atol=WEIGHT_TOLERANCE, err_msg=weight_name
        )


def assert_equal(first: Any, second: Any) -> None:
    """Assert that losses and weights of two runs are equal to the last bit."""
    assert first[0] == second[0]
    for name, weight in first[1].items():
        np.testing.assert_array_equal(second[1][name], weight, err_msg=name)


@pytest.mark.parametrize("name", [*CLASSIFIERS, *LANGUAGE_MODELS, "killed tutorial", "killed all dropouts"])
def test_all_processes_have_the_same_weights(results: list[dict[str, Any]], name: str) -> None:
    assert_equal(results[0][name], results[1][name])


@pytest.mark.parametrize("name", ["tutorial", "all dropouts"])
def test_a_killed_group_resumes_from_the_checkpoint_of_its_first_process(
    results: list[dict[str, Any]], name: str
) -> None:
    assert_equal(results[0][f"killed {name}"], results[0][name])


def test_a_language_model_needs_a_stream_per_process(results: list[dict[str, Any]]) -> None:
    for result in results:
        assert (result["one stream"].code, result["one stream"].streams) == ("too-few-streams", 1)
