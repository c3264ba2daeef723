"""Data-parallel training with Ray Train: `workers` processes, each with a share of every batch.

Each worker runs the whole training in a process group of PyTorch (gloo); see `fastlstm.nn.parallel`. The first one
writes the model and its checkpoints. If a worker dies, Ray starts all of them again, and they continue from the last
checkpoint.
"""

from __future__ import annotations

import dataclasses
import queue
import tempfile
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from torch import distributed

from fastlstm.errors import FastLSTMError, TrainingError
from fastlstm.integrations.ray.cluster import connect, cores
from fastlstm.kernel import limit_threads
from fastlstm.language_model.corpus import load_corpus
from fastlstm.language_model.settings import LanguageModelSettings
from fastlstm.nn.parallel import process_group
from fastlstm.nn.runs import checkpoint_path
from fastlstm.training.run import load_data
from fastlstm.training.settings import TrainingSettings

MAX_FAILURES = 10
"""Restarts of the workers after which training fails."""
POLL_SECONDS = 0.5

Settings = TrainingSettings | LanguageModelSettings
Run = Callable[[Settings], Generator[Any, None, None]]


def events(run: Run, settings: Settings, **reading: Any) -> Generator[Any, None, None]:
    """Train in `settings.workers` processes of a cluster, and yield the events of the first one.

    Args:
        run: Trains in one process of a group.
        settings: The settings. The folder `out` must be reachable by the machine of the first worker.
        reading: Keyword arguments of `load_data` or `load_corpus`.

    Raises:
        MissingDependencyError: Ray is not installed.
        TrainingError: Workers died too often.
        FastLSTMError: Those of `run`.
    """
    settings = _with_data(settings, reading)
    if not settings.resume:
        checkpoint_path(settings.out).unlink(missing_ok=True)
    ray, has_connected = connect("`workers`")
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.util.queue import Queue

    threads = max(1, cores(ray) // settings.workers)
    channel = Queue()
    failures: list[Exception] = []

    with tempfile.TemporaryDirectory() as storage:
        trainer = TorchTrainer(
            _train,
            train_loop_config={"run": run, "settings": ray.put(settings), "threads": threads, "channel": channel},
            torch_config=TorchConfig(backend="gloo"),
            scaling_config=ScalingConfig(num_workers=settings.workers, resources_per_worker={"CPU": threads}),
            run_config=RunConfig(storage_path=storage, failure_config=FailureConfig(max_failures=MAX_FAILURES)),
        )

        def fit() -> None:
            try:
                trainer.fit()
            except Exception as error:  # noqa: BLE001 -- raised by the caller's thread
                failures.append(error)

        thread = threading.Thread(target=fit, daemon=True)
        thread.start()
        try:
            while thread.is_alive() or not channel.empty():
                try:
                    event = channel.get(timeout=POLL_SECONDS)
                except (queue.Empty, ray.util.queue.Empty):
                    continue
                if isinstance(event, FastLSTMError):
                    raise event
                yield event
            if failures:
                raise TrainingError(
                    f"the workers died {MAX_FAILURES} times or more ({' '.join(str(failures[0]).split())[:200]}); pass "
                    "`resume` to continue from the last checkpoint",
                    code="workers-died",
                ) from failures[0]
        finally:
            if has_connected:
                ray.shutdown()


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
    """Train in one worker. Only the first one keeps its model and sends its events."""
    import ray

    limit_threads(config["threads"])
    settings, group = ray.get(config["settings"]), process_group()
    with tempfile.TemporaryDirectory() as folder:
        if not group.is_first:
            settings = dataclasses.replace(settings, out=Path(folder) / "model")
        checkpoint = checkpoint_path(settings.out)
        content = [checkpoint.read_bytes() if group.is_first and checkpoint.is_file() else None]
        distributed.broadcast_object_list(content)
        if content[0] is not None:
            checkpoint.write_bytes(content[0])
        settings = dataclasses.replace(settings, resume=content[0] is not None)
        try:
            for event in config["run"](settings):
                if group.is_first:
                    config["channel"].put(event)
        except FastLSTMError as error:
            if group.is_first:
                config["channel"].put(error)
