"""A fit neither uses nor changes what belongs to the process: alone, in threads, and in forked children."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.process_state import (
    LABELS,
    TEXTS,
    fit_classifier,
    fit_language_model,
    make_estimator,
    process_state,
    run_scenario,
    train_language_model,
)

import fastlstm
from fastlstm.data import Dataset

FIELDS: dict[str, Any] = {"preset": "tutorial", "embedding_size": 6, "hidden_sizes": (7,), "epochs": 1}


def train(folder: Path) -> object:
    return fastlstm.train(Dataset(TEXTS, LABELS), folder / "model", test=0.2, plots=True, **FIELDS)


def train_from_a_language_model(folder: Path) -> object:
    train_language_model(folder / "lm")
    return fastlstm.train(Dataset(TEXTS, LABELS), folder / "model", encoder=folder / "lm", epochs=1)


def tune(folder: Path) -> object:
    return fastlstm.tune(Dataset(TEXTS, LABELS), folder / "model", trials=2, **FIELDS)


OPERATIONS: dict[str, Callable[[Path], object]] = {
    "fit": lambda _: make_estimator().fit(TEXTS, LABELS),
    "pretrain": lambda _: make_estimator(pretraining_epochs=1, output_first=True).fit(TEXTS, LABELS),
    "train": train,
    "encoder": train_from_a_language_model,
    "tune": tune,
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_state_of_the_process_is_the_same_before_and_after(operation: str, tmp_path: Path) -> None:
    OPERATIONS[operation](tmp_path / "first")  # imports modules
    before = process_state()
    OPERATIONS[operation](tmp_path / "second")
    after = process_state()
    assert {name: value for name, value in after.items() if value != before[name]} == {}


def test_results_do_not_depend_on_the_state_of_the_process() -> None:
    first = fit_classifier(), fit_language_model()
    torch.manual_seed(17)
    np.random.seed(17)
    random.seed(17)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert (fit_classifier(), fit_language_model()) == first
    finally:
        torch.set_num_threads(threads)


def test_forked_children_train_and_predict_with_the_same_bits() -> None:
    results = run_scenario("fork")
    assert {name: len(set(values)) for name, values in results.items()} == {"classifier": 1, "language model": 1}


def test_forked_children_train_without_the_kernel() -> None:
    results = run_scenario("fork", FASTLSTM_ISA="reference")
    assert {name: len(set(values)) for name, values in results.items()} == {"classifier": 1, "language model": 1}


def test_fits_in_threads_have_the_same_bits_and_leave_the_process_as_it_was() -> None:
    results = run_scenario("threads")
    assert results.pop("changed") == []
    assert {name: len(set(values)) for name, values in results.items()} == {"classifier": 1, "language model": 1}


def test_every_back_end_of_joblib_gives_the_same_bits() -> None:
    results = run_scenario("joblib_back_ends")
    assert len(results["classifier"]) == 7
    assert len(set(results["classifier"])) == 1
    assert results["scores"] == [results["scores"][0]] * 4
