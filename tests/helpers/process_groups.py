"""Functions that run in a group of processes, connected by `torch.distributed`."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import shutil
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import distributed

import fastlstm
from fastlstm.errors import FastLSTMError
from fastlstm.language_model.loop import LanguageModelStep
from fastlstm.language_model.run import run as run_language_model
from fastlstm.language_model.settings import LanguageModelSettings
from fastlstm.training.events import StepDone
from fastlstm.training.run import run
from fastlstm.training.settings import TrainingSettings


def run_in_group(size: int, folder: Path, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Call a function of a module in each process of a group and return the results, by rank.

    Args:
        size: The number of processes.
        folder: A folder for the file that the processes find each other by.
        function: The function.
        arguments: Its arguments.
    """
    context = multiprocessing.get_context("spawn")
    results, file = context.Queue(), folder / f"group-{secrets.token_hex(4)}"
    processes = [
        context.Process(target=_run, args=(rank, size, file, results, function, arguments)) for rank in range(size)
    ]
    for process in processes:
        process.start()
    found = dict(results.get(timeout=120) for _ in processes)
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    for rank in range(size):
        if isinstance(found[rank], BaseException):
            raise found[rank]
    return [found[rank] for rank in range(size)]


def _run(
    rank: int, size: int, file: Path, results: Any, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    os.environ["FASTLSTM_THREADS"] = "1"
    distributed.init_process_group("gloo", init_method=file.as_uri(), rank=rank, world_size=size)
    try:
        results.put((rank, function(rank, *arguments)))
    except BaseException as error:  # noqa: BLE001 -- raised again by the caller
        results.put((rank, error))
    distributed.destroy_process_group()


@dataclass(frozen=True)
class Job:
    """A training run of every process.

    Attributes:
        kind: "classifier" or "language model".
        data: What to train on.
        options: The options of the training.
        killed_after: The number of steps after which the run is killed, and then resumed from the checkpoint of the
            first process; None for a run without interruption.
    """

    kind: str
    data: Any
    options: dict[str, Any]
    killed_after: int | None = None


def run_jobs(rank: int, folder: Path, jobs: dict[str, Job]) -> dict[str, Any]:
    """Return the losses of the epochs and the weights, or the error, of each job."""
    results: dict[str, Any] = {}
    for name, job in jobs.items():
        own = folder / name / str(rank)
        try:
            results[name] = train(own, job)
        except FastLSTMError as error:
            results[name] = error
    return results


def train(out: Path, job: Job) -> tuple[list[float], dict[str, Any]]:
    """Train a model and return the losses of the epochs and the weights."""
    options = job.options
    out.parent.mkdir(parents=True, exist_ok=True)
    if job.killed_after is not None:
        _train_until_killed(out, job, job.killed_after)
        distributed.barrier()
        if distributed.get_rank():
            shutil.copy(out.with_name("0.checkpoint"), out.with_name(f"{out.name}.checkpoint"))
        distributed.barrier()
        options = {**options, "resume": True}
    if job.kind == "classifier":
        result = fastlstm.train(job.data, out, **options)
        losses = [value for epoch in result.history for value in (epoch.loss, epoch.validation_loss)]
        return losses, dict(result.classifier.saved.weights)
    model = fastlstm.train_language_model(job.data, out, **options)
    return [epoch.loss for epoch in model.history], dict(model.model.saved.weights)


def _train_until_killed(out: Path, job: Job, steps: int) -> None:
    events: Generator[Any, None, None]
    if job.kind == "classifier":
        events = run(TrainingSettings.create(job.data, out, job.options))
    else:
        events = run_language_model(LanguageModelSettings.create(job.data, out, job.options))
    for event in events:
        steps -= isinstance(event, StepDone | LanguageModelStep)
        if steps == 0:
            break
    events.close()
