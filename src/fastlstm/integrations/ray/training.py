"""Data-parallel training with Ray Train: `workers` processes, each with a share of every batch.

Each worker runs the whole training in a process group of PyTorch (gloo); see `fastlstm.nn.parallel`. The first one
writes the model and its checkpoints. If a worker dies, Ray starts all of them again, and they continue from the last
checkpoint.

Ray Train runs in a task of this process, because a task can be cancelled: Ray Train then ends the workers. If this
process dies, Ray ends its tasks, and all that they started.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from torch import distributed

from fastlstm.errors import FastLSTMError, TrainingError
from fastlstm.integrations.ray.cluster import connect, cores_per_worker, summary
from fastlstm.kernel import limit_threads
from fastlstm.language_model.corpus import load_corpus
from fastlstm.language_model.loop import LanguageModelStep
from fastlstm.language_model.settings import LanguageModelSettings
from fastlstm.nn.parallel import process_group
from fastlstm.nn.runs import checkpoint_path
from fastlstm.training.events import StepDone
from fastlstm.training.run import load_data
from fastlstm.training.settings import TrainingSettings

MAX_FAILURES = 10
"""Restarts of the workers, after which the next failure ends the training."""
POLL_SECONDS = 0.5
STOP_SECONDS = 10.0
"""Time for Ray Train to stop by itself."""
SEND_SECONDS = 0.1
"""Time between two messages about steps. A message after each small step would occupy the cores."""

Settings = TrainingSettings | LanguageModelSettings
Run = Callable[[Settings], Generator[Any, None, None]]


def events(run: Run, settings: Settings, **reading: Any) -> Generator[Any, None, None]:
    """Train in `settings.workers` processes of a cluster, and yield the events of the first one.

    Closing the generator ends the processes.

    Args:
        run: Trains in one process of a group.
        settings: The settings. The folder `out` must be reachable by the machine of the first worker.
        reading: Keyword arguments of `load_data` or `load_corpus`.

    Raises:
        MissingDependencyError: Ray is not installed.
        OptionError: The cluster cannot be reached, or has fewer cores than `settings.workers`.
        TrainingError: Workers failed too often, or Ray Train failed.
        FastLSTMError: Those of `run`, in any worker.
    """
    cluster = connect("workers", settings.workers, purpose="`workers`")
    try:
        settings = _with_data(settings, reading)
        if not settings.resume:
            checkpoint_path(settings.out).unlink(missing_ok=True)
        threads = cores_per_worker(cluster.machines, settings.workers)
        yield from _events(cluster.ray, run, settings, threads)
    finally:
        cluster.close()


def _events(ray: Any, run: Run, settings: Settings, threads: int) -> Generator[Any, None, None]:
    from ray.util.queue import Queue
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    this_machine = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    channel = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": this_machine})
    config = {"run": run, "settings": ray.put(settings), "threads": threads, "channel": channel}
    options = {name: value for name, value in os.environ.items() if name.startswith("RAY_TRAIN_")}
    with tempfile.TemporaryDirectory() as storage:
        fit = ray.remote(
            num_cpus=0,
            max_retries=0,
            max_calls=1,  # its process ends with it, and releases the controller
            scheduling_strategy=this_machine,
            runtime_env={"env_vars": options} if options else None,
        )(_fit)
        task = fit.remote(config, settings.workers, storage, MAX_FAILURES)
        try:
            while True:
                has_ended = bool(ray.wait([task], timeout=0)[0])
                try:
                    message = channel.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    if has_ended:
                        break
                    continue
                for event in message:
                    if isinstance(event, FastLSTMError):
                        raise event
                    yield event
            try:
                ray.get(task)
            except ray.exceptions.RayError as error:
                raise _training_error(error) from error
        finally:
            ray.cancel(task)  # as Ctrl-C: Ray Train ends the workers and releases their cores
            ray.wait([task], timeout=STOP_SECONDS)
            ray.cancel(task, force=True)
            channel.shutdown(force=True)


def _fit(config: dict[str, Any], workers: int, storage: str, max_failures: int) -> None:
    """Run Ray Train, until it ends or `events` cancels this task."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    trainer = TorchTrainer(
        _train,
        train_loop_config=config,
        torch_config=TorchConfig(backend="gloo"),
        scaling_config=ScalingConfig(num_workers=workers, resources_per_worker={"CPU": config["threads"]}),
        run_config=RunConfig(storage_path=storage, failure_config=FailureConfig(max_failures=max_failures)),
    )
    with contextlib.suppress(SystemExit):  # Ray Train exits after it has stopped
        trainer.fit()


def _training_error(error: Exception) -> TrainingError:
    """Return the error for a failure of Ray Train."""
    cause = getattr(error, "cause", None) or error  # what the task raised
    failures: dict[int, Exception] = getattr(cause, "worker_failures", {})
    if not failures:
        return TrainingError(f"Ray Train failed ({summary(cause)})", code="training-failed")
    rank = min(failures)
    return TrainingError(
        f"the workers failed {MAX_FAILURES + 1} times, the last time in worker {rank} with "
        f"{summary(failures[rank])}; pass `resume` to continue from the last checkpoint",
        code="workers-died",
    )


def _with_data(settings: Settings, reading: dict[str, Any]) -> Settings:
    """Return settings with the texts in memory, so that only this machine reads them, and an absolute output folder."""
    out = settings.out.absolute()
    if isinstance(settings, TrainingSettings):
        return dataclasses.replace(settings, out=out, data=load_data(settings, folds=settings.folds, **reading))
    corpus = load_corpus(
        settings.texts, settings.validation, reading=settings.reading, data_dir=settings.data_dir, **reading
    )
    return dataclasses.replace(settings, out=out, texts=corpus.training, validation=corpus.validation)


def _train(config: dict[str, Any]) -> None:
    """Train in one worker. Only the first one keeps its model and sends its events; each one sends its error."""
    import ray

    limit_threads(config["threads"])
    settings, group = ray.get(config["settings"]), process_group()
    with tempfile.TemporaryDirectory() as folder:
        if not group.is_first:
            settings = dataclasses.replace(settings, out=Path(folder) / "model")
        checkpoint = checkpoint_path(settings.out)
        content = [checkpoint.read_bytes() if group.is_first and checkpoint.is_file() else None]
        distributed.broadcast_object_list(content)
        if content[0] is not None and not group.is_first:
            checkpoint.write_bytes(content[0])
        settings = dataclasses.replace(settings, resume=content[0] is not None)
        sender = _Sender(config["channel"])
        try:
            for event in config["run"](settings):
                if group.is_first:
                    sender.send(event)
        except FastLSTMError as error:
            sender.send(error)  # `events` then ends all workers: they may wait for this one


class _Sender:
    """Sends events to `events`. Those of steps wait, and are sent together."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._waiting: list[Any] = []
        self._sent = time.monotonic()

    def send(self, event: Any) -> None:
        self._waiting.append(event)
        may_wait = isinstance(event, StepDone | LanguageModelStep)
        if not may_wait or time.monotonic() - self._sent >= SEND_SECONDS:
            self._channel.put(self._waiting)
            self._waiting, self._sent = [], time.monotonic()
