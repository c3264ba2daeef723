"""Fits for tests of process-wide state, and that state. The scenarios run in a process of their own."""

from __future__ import annotations

import hashlib
import json
import locale
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
import torch

import fastlstm
from fastlstm._typing import FloatArray

TEXTS = [f"{'good' if i % 2 else 'bad'} film number {i % 7}" for i in range(80)]
LABELS = ["pos" if i % 2 else "neg" for i in range(80)]
TIME_LIMIT = 300.0
"""Seconds after which a scenario counts as hanging. It takes a few."""


def make_estimator(**options: Any) -> fastlstm.LSTMClassifier:
    """Return an estimator with random initial weights, dropout and n-grams, which is fitted in about 0.1 s."""
    fields: dict[str, Any] = {
        "embedding_size": 8,
        "hidden_sizes": (8,),
        "dropout": 0.3,
        "word_dropout": 0.2,
        "ngrams": 50,
        "epochs": 2,
        "batch_size": 16,
        "validation_fraction": 0.2,
    }
    return fastlstm.LSTMClassifier("tutorial", random_state=0, **{**fields, **options})


def train_language_model(folder: Path) -> fastlstm.LanguageModel:
    """Return a language model, trained in about 0.1 s."""
    fields: dict[str, Any] = {"embedding_size": 6, "hidden_sizes": (7,), "streams": 3, "window": 8, "epochs": 2}
    return fastlstm.train_language_model(TEXTS, folder, validation=0.2, **fields).model


def digest(weights: Mapping[str, FloatArray]) -> str:
    """Return a checksum of the bits of the weights."""
    result = hashlib.sha256()
    for name, array in sorted(weights.items()):
        result.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return result.hexdigest()[:16]


def fit_classifier(_: int = 0) -> str:
    """Return the checksum of a fitted classifier and its predictions."""
    estimator = make_estimator().fit(TEXTS, LABELS)
    return digest({**estimator.classifier_.saved.weights, "predictions": estimator.predict_proba(TEXTS)})


def fit_language_model(_: int = 0) -> str:
    """Return the checksum of a trained language model."""
    with tempfile.TemporaryDirectory() as folder:
        return digest(train_language_model(Path(folder, "lm")).saved.weights)


def process_state() -> dict[str, Any]:
    """Return what belongs to the process, or to the calling thread, and what a fit must leave as it is."""
    new_thread: list[int] = []
    thread = threading.Thread(target=lambda: new_thread.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return {
        "random numbers of torch": torch.get_rng_state().tolist(),
        "random numbers of numpy": repr(np.random.get_state()),
        "random numbers of Python": random.getstate(),
        "threads of torch": (torch.get_num_threads(), *new_thread, torch.get_num_interop_threads()),
        "threads of BLAS and OpenMP": [(pool["filepath"], pool["num_threads"]) for pool in _thread_pools()],
        "denormals": float(torch.tensor([1e-30]) * 1e-10),
        "modes of torch": (
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            torch.are_deterministic_algorithms_enabled(),
        ),
        "floating-point errors": np.geterr(),
        "warnings": list(warnings.filters),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "environment": dict(os.environ),
        "folder": Path.cwd(),
        "locale": locale.setlocale(locale.LC_ALL),
        "logging": {
            name: logger.level
            for name, logger in [("", logging.root), *logging.root.manager.loggerDict.items()]
            if isinstance(logger, logging.Logger) and logger.level
        },
        "recursion limit": sys.getrecursionlimit(),
        "matplotlib": dict(sys.modules["matplotlib"].rcParams) if "matplotlib" in sys.modules else {},
    }


def _thread_pools() -> list[dict[str, Any]]:
    return sorted(threadpoolctl.threadpool_info(), key=lambda pool: str(pool["filepath"]))


def run_scenario(name: str, **environment: str) -> Any:
    """Run a function of this module in a new process, with two threads of PyTorch, and return its result.

    Raise `subprocess.TimeoutExpired` if it hangs.
    """
    code = f"import json; from tests.helpers import process_state as p; print(json.dumps(p.{name}()))"
    variables = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env={**variables, "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", **environment},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with its children, which hold the pipe open
        process.communicate()
        raise
    assert process.returncode == 0
    return json.loads(output.splitlines()[-1])


def use_all_threads_of_torch() -> None:
    """Multiply in PyTorch as callers may: a forked child inherits a runtime whose threads are gone."""
    assert torch.get_num_threads() == 2
    torch.ones(1 << 18).exp().sum()
    torch.ones(512, 512) @ torch.ones(512, 512)


def fork() -> dict[str, list[str]]:
    """Fit and predict here, and then in forked children, also in children of children."""
    results = {"classifier": [fit_classifier()], "language model": [fit_language_model()]}
    use_all_threads_of_torch()
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        results["classifier"] += pool.map(fit_classifier, range(2))
        results["language model"] += pool.map(fit_language_model, range(2))
    return results


def threads() -> dict[str, list[str]]:
    """Fit alone, and then side by side in four threads."""
    from concurrent.futures import ThreadPoolExecutor

    results = {"classifier": [fit_classifier()], "language model": [fit_language_model()]}
    before = process_state()
    with ThreadPoolExecutor(4) as executor:
        classifiers = [executor.submit(fit_classifier) for _ in range(6)]
        language_models = [executor.submit(fit_language_model) for _ in range(3)]
        results["classifier"] += [future.result() for future in classifiers]
        results["language model"] += [future.result() for future in language_models]
    after = process_state()
    return {**results, "changed": [name for name in before if before[name] != after[name]]}


def joblib_back_ends() -> dict[str, list[Any]]:
    """Fit and cross-validate here, and in each back end of joblib."""
    import joblib
    from sklearn.model_selection import cross_val_score

    fitted = make_estimator().fit(TEXTS, LABELS)
    results: dict[str, list[Any]] = {
        "classifier": [fit_classifier()],
        "scores": [cross_val_score(fitted, TEXTS, LABELS, cv=2).tolist()],
    }
    for name in ("threading", "multiprocessing", "loky"):
        with joblib.parallel_backend(name, n_jobs=2):
            results["classifier"] += joblib.Parallel()(joblib.delayed(fit_classifier)(k) for k in range(2))
            results["scores"].append(cross_val_score(fitted, TEXTS, LABELS, cv=2).tolist())
    return results
