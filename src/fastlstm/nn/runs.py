"""Parts of a run that classifiers and language models share: notes, output checks, checkpoints, fingerprints."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from fastlstm.config.options import Precision
from fastlstm.errors import InputError, ResumeError
from fastlstm.kernel import find_kernel
from fastlstm.nn.checkpoint import checkpoint_identity, is_checkpoint, missing_checkpoint
from fastlstm.nn.device import find_device
from fastlstm.nn.kernel_lstm import effective_precision, training_precision
from fastlstm.nn.parallel import process_group
from fastlstm.notes import Note
from fastlstm.plots import require_matplotlib
from fastlstm.precision import AUTO, CANDIDATES
from fastlstm.serialization import atomic
from fastlstm.serialization.folder import CLASSIFIER_FORMAT, ModelFormat, check_target


def checkpoint_path(out: Path) -> Path:
    """Return the path of the checkpoint of an unfinished run that saves its model in `out`."""
    return out.with_name(f"{out.name}.checkpoint")


def check_output(
    out: Path,
    *,
    overwrite: bool,
    resume: bool,
    device: str,
    plots: bool = False,
    model_format: ModelFormat = CLASSIFIER_FORMAT,
) -> None:
    """Check that a run can start and save its result, before any time is spent.

    Raises:
        InputError: `out` is in use, there is nothing to resume, the device is not available, or `plots` is set
            and matplotlib is not installed.
        WriteError: The folder of `out` is not writable.
    """
    find_device(device)
    if plots:
        require_matplotlib()
    if not out.name:
        raise InputError(
            f"cannot save the model as {out}; pass the name of a new folder as `out`", code="bad-output", folder=out
        )
    checkpoint = checkpoint_path(out)
    if checkpoint.exists() and not is_checkpoint(checkpoint):
        raise InputError(
            f"{checkpoint} exists and is not a fastlstm checkpoint, so it is not overwritten; move it, or choose "
            "another `out`",
            code="not-a-checkpoint",
            path=checkpoint,
        )
    if resume and not checkpoint.is_file():
        raise missing_checkpoint(checkpoint)
    if not resume and checkpoint.exists() and not overwrite:
        raise InputError(
            f"{checkpoint} is the checkpoint of an unfinished run; pass `resume=True` to continue it, or "
            "`overwrite=True` to start a new run",
            code="unfinished-run",
            path=checkpoint,
        )
    check_target(out, model_format, overwrite=overwrite or resume)
    atomic.check_writable(out)


def check_same_run(out: Path, saved_identity: object, identity: dict[str, Any]) -> None:
    """Check that the model in `out` comes from this run, so that the resumed run may replace it.

    Raise `InputError` if the identities of the two runs differ.
    """
    if saved_identity != identity:
        raise InputError(
            f"{out} holds the model of another run; pass `overwrite=True` to replace it, or choose another `out`",
            code="model-of-other-run",
            folder=out,
        )


Event = TypeVar("Event")

EVENTS_PER_DECISION = 8
"""A group of processes decides once in so many events, because a decision makes all of them wait for the first one."""


def with_checkpoints(
    events: Iterable[Event],
    save: Callable[[], None],
    *,
    save_after: type | tuple[type, ...],
    seconds: float,
) -> Generator[Event, None, None]:
    """Yield the events of a run and save checkpoints in between.

    Args:
        events: The events. At each of them the state of the run must be consistent.
        save: Saves the state. Called before an event of a type in `save_after` is yielded, before another event if
            `seconds` have passed since the last call, and when the caller closes this generator. In a group of
            processes, all save at the same events, which the first one decides at every `EVENTS_PER_DECISION`-th
            event, but not when one of them is closed.
        save_after: Types of the events at which the state is always saved.
        seconds: Time between two calls.
    """
    saved, group = time.monotonic(), process_group()
    try:
        for number, event in enumerate(events):
            can_decide = group.size == 1 or number % EVENTS_PER_DECISION == 0
            if isinstance(event, save_after) or (can_decide and group.decide(time.monotonic() - saved > seconds)):
                save()
                saved = time.monotonic()
            yield event
    except GeneratorExit:  # the caller stops the run between two steps
        if group.size == 1:
            save()
        raise


def run_precision(
    requested: Precision,
    hidden_sizes: Sequence[int],
    batch_size: int,
    device: torch.device,
    checkpoint: Path | None,
) -> Precision:
    """Return the precision that a run computes in. With "auto", a resumed run keeps that of its checkpoint.

    Args:
        requested: The precision of the settings.
        hidden_sizes, batch_size, device: Of the run; "auto" chooses the fastest precision for them.
        checkpoint: The checkpoint that the run resumes from; None for a new run.

    Raises:
        ResumeError: This CPU does not support the precision of the checkpoint.
    """
    saved: Precision | None = None
    if checkpoint is not None and requested == AUTO:
        saved = checkpoint_identity(checkpoint).get("precision")
    if saved is None:
        return training_precision(requested, hidden_sizes, batch_size, device)
    if saved in CANDIDATES["training"] and (actual := effective_precision(saved, device)) != saved:
        raise ResumeError(
            f"{checkpoint} belongs to a run in {saved}, which this CPU does not support; resume it on a CPU that "
            "does, or start a new run without `resume=True`",
            code="checkpoint-mismatch",
            path=checkpoint,
            setting="precision",
            saved=saved,
            expected=actual,
        )
    return saved


def precision_notes(precision: str, identity: Mapping[str, Any]) -> Iterator[Note]:
    """Yield notes if there is no kernel, or if the CPU does not support `precision`, the one of the settings.

    `identity` is the run's and contains the actual device and precision.
    """
    kernel = find_kernel()
    if kernel.kernel is None and identity["device"] == "cpu":
        yield Note(
            f"no compiled kernel ({kernel.reason}): training with PyTorch, which is slower; see fastlstm doctor",
            code="kernel-unavailable",
        )
    if precision != AUTO and (actual := identity["precision"]) != precision:
        yield Note(
            f"{precision} is not supported on this CPU; using {actual}, whose results differ slightly",
            code="precision-unavailable",
        )


def fingerprint(arrays: Iterable[npt.NDArray[Any]]) -> str:
    """Return 16 hexadecimal digits of the SHA-256 hash of the arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
